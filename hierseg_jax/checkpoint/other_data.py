"""Whether data that a run's settings name are those that it was trained with."""

from pathlib import Path

from hierseg_jax.checkpoint.reader import Checkpoint
from hierseg_jax.data.read.inventory import Inventory, describe_change, in_both, read_listing
from hierseg_jax.data.read.source import Source
from hierseg_jax.settings.building import with_folders
from hierseg_jax.system.wording import counted


def other_data(loaded: Checkpoint, split: str, source: Source, named: str) -> str:
    """A sentence where a split is not what a run was trained with; else, or unknown, nothing.

    A relative path, as seen from another folder, may lead to another project's data. Names and
    sizes of files are compared, not what is in them.

    Args:
      loaded: of the run.
      split: `train` or `val`.
      source: the split of the data that its settings name.
      named: these data, for the sentence.
    """
    before = loaded.meta.get("data", {}).get(split)
    if before is None:
        return ""
    if split == "train":
        try:
            # A run counts its pictures without masks among those that it trains with.
            source = with_folders(source, loaded.settings.data, loaded.hierarchy.background)
        except (OSError, ValueError):
            return ""  # they are gone, and nothing is known of the rest alone
    now = Inventory.of(len(source), source.inventory())
    if now.fingerprint == dict(before):
        return ""
    return (
        f"{split} of {named} is not what the run was trained with: it has "
        f"{describe_change(before, None, now)}. Where another data set lies at that path, as seen "
        "from this folder, give the run's own with --data."
    )


def listing_file(workdir: Path, split: str) -> Path:
    """Where a run keeps the names and sizes of a split's files."""
    return workdir / f"{split}_files.gz"


def trained_on(loaded: Checkpoint, source: Source, named: str) -> str:
    """A sentence where pictures of a split are some that the run has learned from; else nothing.

    By name and size: nothing is measured by pictures that a network has seen.

    Args:
      loaded: of a run; of a checkpoint that belongs to none nothing is known.
      source: the split.
      named: its data, for the sentence.
    """
    before = loaded.meta.get("data", {}).get("train")
    listing = before and read_listing(
        listing_file(loaded.path.parent.parent, "train"), before["sha256"]
    )
    if not listing:
        return ""
    found = in_both(listing, Inventory.of(len(source), source.inventory()))
    if not found:
        return ""
    return (
        f"{named} has {counted(len(found), 'picture')} of the names and sizes of those that the "
        f"run was trained on, the first {found[0]}: its figures are too good for new ones."
    )

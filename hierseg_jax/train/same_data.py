"""Whether a run goes on with the data that it began with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hierseg_jax.checkpoint.other_data import listing_file
from hierseg_jax.data.read.inventory import Inventory, describe_change, read_listing, write_listing
from hierseg_jax.data.read.source import Source

Inventories = Mapping[str, Inventory]
"""By split, those that a run looks at."""

ALLOW = "data.allow_changed"


def take_inventories(train_source: Source, val_source: Source) -> dict[str, Inventory]:
    """Of a run's splits.

    Raises:
      OSError: if a file has gone since its folder was listed.
    """
    sources = {"train": train_source, "val": val_source}
    return {
        split: Inventory.of(len(source), source.inventory()) for split, source in sources.items()
    }


def fingerprints(inventories: Inventories) -> dict[str, dict[str, Any]]:
    """As a checkpoint holds them."""
    return {split: inventory.fingerprint for split, inventory in inventories.items()}


def keep_listings(workdir: Path, inventories: Inventories) -> None:
    """Writes them, to tell later what has changed."""
    for split, inventory in inventories.items():
        write_listing(listing_file(workdir, split), inventory)


def what_changed(
    stored: Mapping[str, Mapping[str, Any]], inventories: Inventories, workdir: Path
) -> str:
    """What of the data differs from a checkpoint's, in words; empty where nothing does.

    Args:
      stored: fingerprints by split; what earlier versions did not store is taken as the same.
      inventories: of the data as they are.
      workdir: of the run, with the files of `keep_listings`.
    """
    changes = []
    for split, now in inventories.items():
        before = stored.get(split)
        if before is None or dict(before) == now.fingerprint:
            continue
        listing = read_listing(listing_file(workdir, split), before["sha256"])
        changes.append(f"{split} has {describe_change(before, listing, now)}")
    return "; ".join(changes)

"""From a raw download to the folders and the data.yaml that training reads.

Everything is checked before anything is written. Then files arrive one by one under
their final names, data.yaml last: wherever the work is cut off, it can be run again.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.label_statistics import summarize_split
from hierseg_jax.data.missing_classes import missing_classes
from hierseg_jax.data.prepare.check import (
    Example,
    check_pictures,
    empty_splits,
    name_faults,
    refuse,
    strangers,
)
from hierseg_jax.data.prepare.classes import BACKGROUND
from hierseg_jax.data.prepare.earlier import faults_there, read_raw, spec_there
from hierseg_jax.data.prepare.folders import closed_folders
from hierseg_jax.data.prepare.formats import FORMATS, MOVABLE, find_format
from hierseg_jax.data.prepare.picture import RawData, Wishes
from hierseg_jax.data.prepare.scaled_masks import about_scaled
from hierseg_jax.data.prepare.taken_pictures import in_splits, without_copies, without_missing
from hierseg_jax.data.prepare.transfer import transfer
from hierseg_jax.data.read.spec import SPLITS, DatasetSpec
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.data.read.unread import about_stacks
from hierseg_jax.data.read.value_names import Named, Value
from hierseg_jax.system.atomic_writing import json_bytes, write_atomically
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import (
    HiersegError,
    HiersegFileNotFoundError,
    HiersegPermissionError,
)
from hierseg_jax.system.paths import local_path
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy, check_hierarchy
from hierseg_jax.tree.pairs import unpaired

_MOSTLY_IGNORED = 0.5
"""Of all pixels of training, above which it is asked whether they are meant to be."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A data set that is ready.

    Attributes:
      spec: as `spec.file` has it.
      summary: as summary.json has it: `splits`, by split what `summarize_split` gives,
        and `skipped`, the number of images in which nothing is annotated.
      written: files copied, moved, linked or drawn now.
      kept: files that were there already.
      source: the format that was read, a key of `FORMATS`.
      notes: sentences about what was left out.
    """

    spec: DatasetSpec
    summary: dict[str, Any]
    written: int
    kept: int
    source: str = ""
    notes: tuple[str, ...] = ()


def prepare(
    raw_dir: str | pathlib.Path,
    out_dir: str | pathlib.Path,
    *,
    source: str = "",
    move: bool = False,
    link: bool = False,
    val_share: float = 0.1,
    val_names: str | Sequence[str] = (),
    order: str = "",
    hierarchy: Hierarchy | None = None,
    labels: Named = (),
    ignored: tuple[Value, ...] = (),
    skips_unknown: bool = False,
    skip_missing: bool = False,
) -> Prepared:
    """Brings a raw data set into `<out_dir>/<split>/{images,masks}`.

    Writes summary.json and, last of all, data.yaml. Files that are there already with
    the same content are kept; a file with another content is never overwritten. Where pictures
    have been added to the raw data, they are added; a data.yaml stays as it is.

    Args:
      raw_dir: of a format among `FORMATS`.
      out_dir: made where it does not exist.
      source: the format; by default it is found out.
      move: images and masks are moved. Annotations stay where they are. Of lists of ids alone.
      link: images and masks are linked: hard links, or symbolic ones where these can't be.
      val_share: of the pictures, those that a source without validation gives to it.
      val_names: a pattern of the pictures for validation, such as `clip3_*`, or several; in place
        of a share, and of the source's own validation.
      order: what lies on top where regions overlap, see `Wishes`.
      hierarchy: the class tree; by default the source's own, or PASCAL-Person-Part's.
      labels, ignored, skips_unknown: what the values of masks mean, as in `DatasetSpec`.
      skip_missing: pictures whose files are not there are left out, in place of a fault.

    Raises:
      ValueError, FileNotFoundError: before anything is written; a sentence, or one and a
        list where there are several faults.
      OSError: from the file system while writing (a full disk); run it again.
    """
    raw_dir = local_path(raw_dir)
    out_dir = pathlib.Path(os.path.abspath(local_path(out_dir)))
    _check_folders(raw_dir, out_dir)
    if hierarchy is not None:
        check_hierarchy(hierarchy)
    elif labels:
        raise HiersegError("labels are of a hierarchy: give that, too.")
    source = source or find_format(raw_dir)
    check_choice("format", source, FORMATS)
    _check_options(source, move, link, val_share)
    wishes = Wishes(hierarchy, labels, order, ignored, skips_unknown)
    raw = read_raw(source, raw_dir, out_dir / "data.yaml", wishes)
    if skip_missing:
        raw = without_missing(raw, move)
    raw = _with_pairs(without_copies(raw), wishes)
    raw = in_splits(raw, raw_dir, val_share, val_names)
    spec = _spec(out_dir, raw, wishes)
    there = spec_there(spec, wishes)
    edited, spec = there not in (None, spec), there or spec
    examples = _check_all(raw, raw_dir, out_dir, move, spec)
    kept = [example for example in examples if not example.skipped]
    summary = {
        "splits": _statistics(kept, spec.splits, spec.hierarchy),
        "skipped": len(examples) - len(kept),
    }
    summary_file = out_dir / "summary.json"
    refuse(faults_there(spec.file, there, summary_file, summary), raw_dir)
    pictures = [example.picture for example in kept]
    files = dict.fromkeys(file for of in pictures for file in (of.image, of.mask))
    notes = (*raw.notes, *about_scaled(pictures), *about_stacks(files))
    notes += tuple(_about_training(kept, spec.hierarchy))
    written = transfer(kept, move, link)
    write_atomically(summary_file, json_bytes(summary))
    if there is None:
        write_spec(spec)
    if edited:
        notes = (*notes, f"{spec.file} was there, says something else, and stays as it is.")
    return Prepared(spec, summary, written, 2 * len(kept) - written, source, notes)


def _check_folders(raw_dir: pathlib.Path, out_dir: pathlib.Path) -> None:
    raw, out = raw_dir.resolve(), out_dir.resolve()
    if raw.is_relative_to(out) or out.is_relative_to(raw):
        raise HiersegError(
            f"The raw data {raw_dir} and the output {out_dir} lie one in the other; give an "
            "--out_dir elsewhere."
        )
    for place in (out_dir, *out_dir.parents):
        if os.path.lexists(place) and not place.is_dir():
            kind = "a link that leads nowhere" if place.is_symlink() else "a file"
            raise HiersegError(f"{place} is {kind}; --out_dir is the folder to be made.")
    if not raw_dir.is_dir():
        raise HiersegFileNotFoundError(
            f"There is no folder {raw_dir}; give the raw data by --raw_dir."
        )
    if closed := closed_folders(raw_dir):
        raise HiersegPermissionError(
            f"You may not look into {listed(closed, 3)}, where pictures or masks may lie; have it "
            f"opened to you, or taken out of {raw_dir}."
        )


def _check_options(source: str, move: bool, link: bool, val_share: float) -> None:
    if move and link:
        raise HiersegError("Files are moved or linked; give --move or --link, not both.")
    if move and source != MOVABLE:
        raise HiersegError(
            f"--move is for lists of ids ({MOVABLE}) alone, and this is {source}; --link needs no "
            "space either."
        )
    if not 0 <= val_share <= 1:
        raise HiersegError(f"--val_share is {val_share:g}; expected a share from 0 to 1.")


def _with_pairs(raw: RawData, wishes: Wishes) -> RawData:
    """With the left and right of classes as pairs; a user's tree that has some stays as it is."""
    if wishes.hierarchy is not None and wishes.hierarchy.pairs:
        return raw
    names, pairs = raw.hierarchy.class_names, raw.hierarchy.pairs
    found = unpaired(names, pairs)
    if not found:
        return raw
    more = tuple((names.index(left), names.index(right)) for left, right in found)
    hierarchy = dataclasses.replace(raw.hierarchy, pairs=(*pairs, *more))
    listed_pairs = ", ".join(f"{left} and {right}" for left, right in found)
    note = f"A mirror exchanges {listed_pairs}: `pairs` in data.yaml says so."
    return dataclasses.replace(raw, hierarchy=hierarchy, notes=(*raw.notes, note))


def _spec(out_dir: pathlib.Path, raw: RawData, wishes: Wishes) -> DatasetSpec:
    given = {picture.split for picture in raw.pictures}
    image_dirs = tuple((s, out_dir / s / "images") for s in SPLITS if s in given)
    return DatasetSpec(
        out_dir / "data.yaml",
        out_dir,
        image_dirs,
        raw.hierarchy,
        raw.labels,
        ignored=wishes.ignored,
        skips_unknown=wishes.skips_unknown,
    )


def _check_all(
    raw: RawData, raw_dir: pathlib.Path, out_dir: pathlib.Path, move: bool, spec: DatasetSpec
) -> list[Example]:
    """All pictures, of which none has a fault; raises one ValueError of all faults."""
    faults = [*raw.faults, *name_faults(raw.pictures)]
    examples = check_pictures(raw.pictures, out_dir, move, spec)
    faults += [fault for example in examples for fault in example.faults]
    if not faults:
        faults += empty_splits(examples)
    kept = [example for example in examples if not example.skipped]
    refuse(faults + strangers(out_dir, kept), raw_dir)
    return examples


def _about_training(kept: list[Example], hierarchy: Hierarchy) -> Iterator[str]:
    """Where most pixels teach nothing; and about classes that training would not begin without."""
    counts_nl = [e.counts for e in kept if e.picture.split == "train"]
    if not counts_nl:
        return
    counts_l = np.array(counts_nl, np.int64).sum(0)
    share = counts_l[IGNORE_LABEL] / max(counts_l.sum(), 1)
    if share > _MOSTLY_IGNORED:
        yield (
            f"{share:.0%} of the pixels of training are ignored, and teach nothing. Where a table "
            "or `labels` ignores them, and they show none of the classes, call them "
            f"{BACKGROUND} there."
        )
    names = [hierarchy.class_names[c] for c in missing_classes(counts_l > 0, hierarchy)]
    if names:
        yield (
            f"No training mask holds {listed(names, 10)}; training asks for "
            "--config.data.allow_missing_classes=True then, or for a data.yaml without them, whose "
            "`labels` say what the numbers in the masks mean."
        )


def _statistics(
    kept: list[Example], splits: Iterable[str], hierarchy: Hierarchy
) -> dict[str, dict[str, Any]]:
    by_split = {s: [e for e in kept if e.picture.split == s] for s in splits}
    return {
        split: summarize_split([e.size for e in of], [e.counts for e in of], hierarchy)
        for split, of in by_split.items()
    }

"""Which pictures of a source are taken, and for which split."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from hierseg_jax.data.prepare.listed_splits import split_by_lists
from hierseg_jax.data.prepare.picture import Picture, RawData
from hierseg_jax.data.prepare.split import split_by_names, split_pictures
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted

_FEW = 10
"""Pictures drawn for validation, up to which it is said that they are few."""


def without_missing(raw: RawData, move: bool) -> RawData:
    """Without the pictures of which a file is not there."""
    if move:
        raise HiersegError("What --move has taken away is missing, too: leave out --skip_missing.")
    missing = [
        picture
        for picture in raw.pictures
        # Of what is drawn a file may be missing: YOLO has none for pictures of nothing.
        if not (picture.draw or picture.mask.exists())
        or not (picture.unpack or picture.image.exists())
    ]
    if not missing or len(missing) == len(raw.pictures):  # of which a fault tells
        return raw
    left = {id(picture) for picture in missing}
    pictures = [picture for picture in raw.pictures if id(picture) not in left]
    note = (
        f"Left out, for their files are not there: {counted(len(missing), 'picture')}, the first "
        f"{missing[0].image}."
    )
    return dataclasses.replace(raw, pictures=pictures, notes=(*raw.notes, note))


def without_copies(raw: RawData) -> RawData:
    """Without the pictures of validation that training has, too: nothing is measured by them."""
    trained = {picture.image for picture in raw.pictures if picture.split == "train"}
    copies = [p for p in raw.pictures if p.split == "val" and p.image in trained]
    if not copies:
        return raw
    pictures = [p for p in raw.pictures if p.split != "val" or p.image not in trained]
    note = (
        f"{counted(len(copies), 'picture')} of validation are pictures of training, too, the first "
        f"{copies[0].image}; they count as pictures of training."
    )
    return dataclasses.replace(raw, pictures=pictures, notes=(*raw.notes, note))


def in_splits(
    raw: RawData, raw_dir: pathlib.Path, val_share: float, val_names: str | Sequence[str]
) -> RawData:
    """Every picture in a split: the source's own, that of a list, or one that is drawn.

    Raises:
      ValueError: as `split_by_names`.
    """
    pictures, notes = raw.pictures, [*raw.notes]
    if not any(picture.split for picture in pictures):
        pictures, about_lists = split_by_lists(pictures, raw_dir)
        notes += about_lists
    if not any(picture.split in ("", "train") for picture in pictures):
        # Those of a test stay, where there are others.
        freed = "val" if _count(pictures, "val") else "test"
        notes.append(
            f"No picture with a mask is for training, and "
            f"{counted(_count(pictures, freed), 'picture')} for "
            f"{'validation' if freed == 'val' else 'a test'}: these are split anew."
        )
        pictures = [
            dataclasses.replace(picture, split="") if picture.split == freed else picture
            for picture in pictures
        ]
    own = _count(pictures, "val")
    if val_names:
        patterns = [val_names] if isinstance(val_names, str) else val_names
        pictures = split_by_names(pictures, patterns, raw_dir)
        if own:
            note = "--val_names takes the place of its own validation, which had "
            notes.append(f"{note}{counted(own, 'picture')}.")
    else:
        pictures = split_pictures(pictures, val_share)
        drawn = _count(pictures, "val") - own
        if 0 < drawn < _FEW and val_share < 1:
            note = f"Validation has {counted(drawn, 'picture')}, and tells little of a network: "
            notes.append(f"{note}a larger --val_share, in another --out_dir, takes more.")
    return dataclasses.replace(raw, pictures=pictures, notes=tuple(notes))


def _count(pictures: Iterable[Picture], split: str) -> int:
    return sum(picture.split == split for picture in pictures)

"""The reference's raw layouts: lists of ids, images, and masks or annotations.

`JPEGImages/<id>.jpg` with `gt_masks/<id>.npy`, or where there is no `gt_masks`, with
`Annotations_Part/<id>.mat` of the PASCAL-Part release; `train_id.txt`, `val_id.txt` and
optionally `test_id.txt` name the images of each split, one id a line.
"""

import functools
import pathlib

import numpy as np

from hierseg_jax.data.prepare.pascal_part import ANNOTATIONS, merge_table, read_person_parts
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes
from hierseg_jax.data.read.spec import SPLITS
from hierseg_jax.data.read.text_lines import numbered_lines
from hierseg_jax.system.errors import HiersegFileNotFoundError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

IMAGES, MASKS = "JPEGImages", "gt_masks"


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether a folder looks like this layout, or like a part of it."""
    marks = (MASKS, ANNOTATIONS, *(f"{split}_id.txt" for split in SPLITS))
    return any((raw_dir / mark).exists() for mark in marks)


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures that the lists name, and a sentence for each fault in the lists.

    Raises:
      FileNotFoundError: a folder or list of the layout is missing.
      ValueError: a tree that PASCAL-Part can't be merged into.
    """
    folder, suffix = _annotations(raw_dir)
    hierarchy = wishes.hierarchy or PASCAL_PERSON_PART
    class_of: dict[str, int] = {}
    if suffix == ".mat":
        wishes.refuse_labels(str(folder))
        wishes.refuse_no_background(str(folder))
        class_of = merge_table(hierarchy)
    names, faults = _read_lists(raw_dir)
    pictures = []
    for name, split in names.items():
        mask = folder / f"{name}{suffix}"
        draw = functools.partial(_person_parts, mask, class_of) if class_of else None
        image = raw_dir / IMAGES / f"{name}.jpg"
        pictures.append(Picture(split, name, image, mask, draw, ".npy", f"{split}_id.txt"))
    return RawData(pictures, hierarchy, wishes.labels, tuple(faults))


def _person_parts(file: pathlib.Path, class_of: dict[str, int], size: Size) -> np.ndarray | None:
    return read_person_parts(file, class_of)


def _read_lists(raw_dir: pathlib.Path) -> tuple[dict[str, str], list[str]]:
    """Id -> split, and faults."""
    found: dict[str, tuple[str, str]] = {}
    faults: list[str] = []
    for split in SPLITS:
        file = raw_dir / f"{split}_id.txt"
        if not file.is_file():
            if split == "test":
                continue
            raise HiersegFileNotFoundError(
                f"There is no file {file}; it must name the images of the split {split}, one id a "
                "line."
            )
        names = read_ids(file)
        if not names:
            faults.append(f"{file} names no image; a split must not be empty.")
        for number, name in names:
            if not is_plain_id(name):
                faults.append(
                    f"{file}: line {number} is no plain id: {name[:100]!r}; expected the stem of a "
                    f"file in {IMAGES}."
                )
            elif name in found:
                faults.append(f"{file}: line {number} names {name} again, after {found[name][1]}.")
            else:
                found[name] = split, f"{file.name} line {number}"
    return {name: split for name, (split, _) in found.items()}, faults


def is_plain_id(name: str) -> bool:
    """Whether an id from a list can only be a file in its folder: no path, no hidden file.

    240 bytes leave room for the suffixes of a name that the file system takes.
    """
    path = name.startswith(".") or any(c in "/\\" or c < " " for c in name)
    return not path and len(name.encode("utf-8", "surrogatepass")) <= 240


def _annotations(raw_dir: pathlib.Path) -> tuple[pathlib.Path, str]:
    if not (raw_dir / IMAGES).is_dir():
        raise HiersegFileNotFoundError(
            f"There is no folder {raw_dir / IMAGES}; it must hold the images, <id>.jpg."
        )
    if (raw_dir / MASKS).is_dir():
        return raw_dir / MASKS, ".npy"
    if (raw_dir / ANNOTATIONS).is_dir():
        return raw_dir / ANNOTATIONS, ".mat"
    raise HiersegFileNotFoundError(
        f"There is no folder {raw_dir / MASKS} of masks (<id>.npy), and no "
        f"{raw_dir / ANNOTATIONS} of PASCAL-Part (<id>.mat) either."
    )


def read_ids(file: pathlib.Path) -> list[tuple[int, str]]:
    """(line number, id), without blank lines.

    Raises:
      ValueError: a sentence that starts with the file, where it is no text.
    """
    return numbered_lines(file, "expected one id a line")

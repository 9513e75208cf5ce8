"""The raw layouts: lists of ids, images, and annotations to be made into masks.

`JPEGImages/<id>.jpg` with `gt_masks/<id>.npy`, or where there is no `gt_masks`, with
`Annotations_Part/<id>.mat` of the PASCAL-Part release; `train_id.txt`, `val_id.txt` and
optionally `test_id.txt` name the images of each split, one id a line.
"""

import dataclasses
import pathlib

from hierseg_jax.data.prepare.pascal_part import ANNOTATIONS
from hierseg_jax.data.read.spec import SPLITS
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

IMAGES, MASKS = "JPEGImages", "gt_masks"


@dataclasses.dataclass(frozen=True)
class RawExample:
    """One id of one list, and the files it stands for (whether they exist or not)."""

    split: str
    name: str
    image: pathlib.Path
    annotation: pathlib.Path


def list_examples(raw_dir: pathlib.Path) -> tuple[list[RawExample], list[str]]:
    """Examples that the lists name, and a sentence for each fault in the lists.

    Raises:
      FileNotFoundError: a folder or list of the layout is missing.
    """
    if not raw_dir.is_dir():
        raise HiersegFileNotFoundError(
            f"There is no folder {raw_dir}; give the raw data by --raw_dir."
        )
    folder, suffix = _annotations(raw_dir)
    examples: list[RawExample] = []
    faults: list[str] = []
    found: dict[str, str] = {}
    for split in SPLITS:
        file = raw_dir / f"{split}_id.txt"
        if not file.is_file():
            if split == "test":
                continue
            raise HiersegFileNotFoundError(
                f"There is no file {file}; it must name the images of the split {split}, one id a "
                "line."
            )
        names = _read_ids(file)
        if not names:
            faults.append(f"{file} names no image; a split must not be empty.")
        for number, name in names:
            here = f"{file.name} line {number}"
            if not is_plain_id(name):
                faults.append(
                    f"{file}: line {number} is no plain id: {name[:100]!r}; expected the stem of a "
                    f"file in {IMAGES}."
                )
            elif name in found:
                faults.append(f"{file}: line {number} names {name} again, after {found[name]}.")
            else:
                found[name] = here
                image = raw_dir / IMAGES / f"{name}.jpg"
                examples.append(RawExample(split, name, image, folder / f"{name}{suffix}"))
    return examples, faults


def is_plain_id(name: str) -> bool:
    """Whether an id from a list can only be a file in its folder: no path, no hidden file.

    240 bytes leave room for the suffixes of a name that the file system takes.
    """
    path = name.startswith(".") or any(c in "/\\" or c < " " for c in name)
    return not path and len(name.encode()) <= 240


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


def _read_ids(file: pathlib.Path) -> list[tuple[int, str]]:
    """(line number, id), without blank lines."""
    try:
        lines = file.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise HiersegError(f"{file} is no UTF-8 text; expected one id a line.") from error
    return [(i, line.strip()) for i, line in enumerate(lines, start=1) if line.strip()]

"""Where the JSON files of COCO's format lie, and where the pictures that they name."""

import pathlib
from collections.abc import Sequence

from hierseg_jax.data.prepare.folders import as_spelled
from hierseg_jax.data.prepare.json_file import read_bytes, shown
from hierseg_jax.system.errors import HiersegFileNotFoundError

# Files of COCO's own download that hold no segments of classes.
_OTHERS = ("captions_", "person_keypoints_", "image_info_", "panoptic_")


def json_files(raw_dir: pathlib.Path) -> list[pathlib.Path]:
    """In the folder, in `annotations`, or in those of splits; of COCO's own, the segments'."""
    files = [*raw_dir.glob("*.json"), *raw_dir.glob("*/*.json")]
    files = sorted(f for f in files if not f.name.startswith((".", *_OTHERS)))
    instances = [file for file in files if file.name.startswith("instances_")]
    return instances or files


def is_coco(file: pathlib.Path) -> bool:
    """Whether a JSON file has a key of COCO's; others may lie beside it."""
    data = read_bytes(file) if file.is_file() else b""
    return b'"images"' in data or b'"annotations"' in data


def place_of(folder: pathlib.Path, name: str, last_part: bool) -> pathlib.Path:
    """A picture by its path in the annotations, or by the last part of that alone."""
    return as_spelled(folder / (pathlib.PurePosixPath(name).name if last_part else name))


def image_folder(
    file: pathlib.Path, names: Sequence[str], raw_dir: pathlib.Path, split: str
) -> tuple[pathlib.Path, bool]:
    """The first folder that holds one of the first pictures.

    Where none holds one by its path, which may be one of another machine, its last part does.

    Args:
      file: of the annotations.
      names: of the first pictures, as it has them.
      raw_dir: of everything.
      split: of the file; may be empty.

    Returns:
      The folder, and whether pictures are there by the last part of their paths.

    Raises:
      FileNotFoundError: none does.
    """
    beside, own = file.parent, file.stem.rpartition("_")[2]
    ways = dict.fromkeys(("", own, *((split, f"{split}/images") if split else ())))
    folders = [beside, beside / "images"]
    folders += [raw_dir / above / name for above in ("", "images") for name in ways]
    for last_part in (False, True):
        for folder in folders:
            if not names or any(place_of(folder, name, last_part).is_file() for name in names):
                return folder, last_part
    tried = dict.fromkeys(map(str, folders))
    raise HiersegFileNotFoundError(
        f"{file} names pictures such as {shown(names[0])}, and none of these is in "
        f"{', '.join(tried)}."
    )

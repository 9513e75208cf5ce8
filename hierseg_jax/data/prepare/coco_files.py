"""Where the JSON files of COCO's format lie, and where the pictures that they name."""

import pathlib
from collections.abc import Sequence

from hierseg_jax.data.prepare.folders import as_spelled, split_of
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

    Where none holds one by its path, which may be one of another machine, its last part does; and
    where no folder of a usual name does, any that lies below the file's or `raw_dir`.

    Args:
      file: of the annotations.
      names: of the first pictures, as it has them.
      raw_dir: of everything.
      split: of the file; may be empty.

    Returns:
      The folder, and whether pictures are there by the last part of their paths.

    Raises:
      FileNotFoundError: none does, or several that are none of the usual ones.
    """
    beside, own = file.parent, file.stem.rpartition("_")[2]
    ways = dict.fromkeys(("", own, *((split, f"{split}/images") if split else ())))
    folders = [beside, beside / "images"]
    folders += [raw_dir / above / name for above in ("", "images") for name in ways]
    for last_part in (False, True):
        for folder in folders:
            if not names or any(place_of(folder, name, last_part).is_file() for name in names):
                return folder, last_part
    for above in dict.fromkeys((beside, raw_dir)):
        found = _folders_below(above, names)
        # Another split's picture may have the same name.
        of_splits = {folder: split_of(folder.relative_to(above)) for folder in found}
        likely = [place for place in found if split and of_splits[place] == split]
        likely = likely or [place for place in found if not split or not of_splits[place]]
        if len(likely) > 1:
            raise HiersegFileNotFoundError(
                f"The pictures that {file} names may be those in {likely[0]} or in {likely[1]}; "
                "give --raw_dir a folder that holds one of them alone."
            )
        if likely:
            return likely[0], found[likely[0]]
    raise HiersegFileNotFoundError(
        f"{file} names pictures such as {shown(names[0])}, and none of these is in {raw_dir} or a "
        "folder below it; give the folder that holds both by --raw_dir."
    )


def _folders_below(above: pathlib.Path, names: Sequence[str]) -> dict[pathlib.Path, bool]:
    """Folders with one of the pictures, and whether by the last part of its path alone."""
    found: dict[pathlib.Path, bool] = {}
    by_last = {pathlib.PurePosixPath(name).name: pathlib.PurePosixPath(name) for name in names}
    for path in sorted(above.rglob("*")):
        if (name := by_last.get(path.name)) is None or not path.is_file():
            continue
        whole = path.parts[-len(name.parts) :] == name.parts
        folder = path.parents[len(name.parts) - 1] if whole else path.parent
        found[folder] = found.get(folder, True) and not whole
    return found

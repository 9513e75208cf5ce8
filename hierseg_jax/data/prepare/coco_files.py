"""Where the JSON files of COCO's format lie, and where the pictures that they name."""

import pathlib
from collections.abc import Sequence

from hierseg_jax.data.prepare.file_words import MASK_WORDS, has
from hierseg_jax.data.prepare.folders import as_spelled, is_there, split_of, walk_files
from hierseg_jax.data.prepare.json_file import read_bytes, shown
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
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
            if not names or any(is_there(place_of(folder, name, last_part)) for name in names):
                return folder, last_part
    for above in dict.fromkeys((beside, raw_dir)):
        for last_part in (False, True):
            if place := _any_folder(file, names, above, split, last_part):
                return place, last_part
    raise HiersegFileNotFoundError(
        f"{file} names pictures such as {shown(names[0])}, and none of these is in {raw_dir} or a "
        "folder below it; give the folder that holds both by --raw_dir."
    )


def _any_folder(
    file: pathlib.Path, names: Sequence[str], above: pathlib.Path, split: str, last_part: bool
) -> pathlib.Path | None:
    """The folder, of any name, that holds pictures; None where none does.

    Raises:
      FileNotFoundError: there are several, or it is another split's, whose pictures may have the
        same names.
    """
    counts = {
        place: count
        for place in _folders_of_pictures(above)
        if (count := sum(is_there(place_of(place, name, last_part)) for name in names))
    }
    splits = {place: split_of(place.relative_to(above)) for place in counts}
    own = [place for place in counts if not split or splits[place] in ("", split)]
    own = [place for place in own if split and splits[place]] or own
    if counts and not own:
        raise HiersegFileNotFoundError(
            f"{file} names pictures such as {shown(names[0])}, and those of this name are in "
            f"{next(iter(counts))}, which is called after another split; rename the folder or the "
            "file if they are meant."
        )
    whole = [place for place in own if counts[place] == len(names)]
    if len(own) > 1 and len(whole) != 1:
        raise HiersegFileNotFoundError(
            f"{file} names pictures such as {shown(names[0])}, and they may be those in {own[0]} "
            f"or in {own[1]}; take what is not meant out of {above}, or write the folder into "
            "their file_name."
        )
    return next(iter(whole or own), None)


def _folders_of_pictures(above: pathlib.Path) -> list[pathlib.Path]:
    """All folders below that hold some, and those that hold these; none of masks."""
    folders = {
        folder
        for picture in walk_files(above, IMAGE_SUFFIXES)
        for folder in picture.relative_to(above).parents
    }
    return [above / folder for folder in sorted(folders) if not has(folder.name, MASK_WORDS)]

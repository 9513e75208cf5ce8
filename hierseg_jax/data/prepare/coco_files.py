"""Where the JSON files of COCO's format lie, and where the pictures that they name."""

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

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


class Places(NamedTuple):
    """Where the pictures of a JSON file lie.

    Attributes:
      file: of the annotations.
      folders: that hold them.
      last_part: whether by the last parts of the paths that the file has.
    """

    file: pathlib.Path
    folders: tuple[pathlib.Path, ...]
    last_part: bool

    def holding(self, name: str) -> tuple[pathlib.Path, ...]:
        """Those of the folders that hold a picture."""
        return tuple(folder for folder in self.folders if is_there(self._in(folder, name)))

    def find(self, name: str) -> tuple[pathlib.Path, str]:
        """A picture's file, which may be missing, and its path in the folder.

        Raises:
          FileNotFoundError: several folders hold one.
        """
        holding = self.holding(name) if len(self.folders) > 1 else ()
        if len(holding) > 1:
            raise self.ambiguous(name)
        folder = (*holding, *self.folders)[0]
        path = self._in(folder, name)
        return path, path.relative_to(folder).as_posix()

    def ambiguous(self, name: str) -> HiersegFileNotFoundError:
        """The error about a picture that several folders hold."""
        first, second, *_ = self.holding(name)
        return HiersegFileNotFoundError(
            f"{self.file} names the picture {shown(name)}, and it may be that in {first} or in "
            f"{second}; take what is not meant out of them, or write the folder into its file_name."
        )

    def _in(self, folder: pathlib.Path, name: str) -> pathlib.Path:
        return as_spelled(folder / (pathlib.PurePosixPath(name).name if self.last_part else name))


def find_places(
    file: pathlib.Path, names: Sequence[str], raw_dir: pathlib.Path, split: str
) -> Places:
    """The first folder that holds one of the first pictures.

    Where none holds one by its path, which may be one of another machine, its last part does; and
    where no folder of a usual name does, any that lie below the file's or `raw_dir`.

    Args:
      file: of the annotations.
      names: of the first pictures, as it has them.
      raw_dir: of everything.
      split: of the file; may be empty.

    Raises:
      FileNotFoundError: none does, or several hold the same picture.
    """
    beside, own = file.parent, file.stem.rpartition("_")[2]
    ways = dict.fromkeys(("", own, *((split, f"{split}/images") if split else ())))
    folders = [beside, beside / "images"]
    folders += [raw_dir / above / name for above in ("", "images") for name in ways]
    for last_part in (False, True):
        for folder in folders:
            places = Places(file, (folder,), last_part)
            if not names or any(map(places.holding, names)):
                return places
    for above in dict.fromkeys((beside, raw_dir)):
        for last_part in (False, True):
            everywhere = Places(file, tuple(_folders_of_pictures(above)), last_part)
            if folders_there := _any_folders(everywhere, names, above, split):
                return Places(file, folders_there, last_part)
    raise HiersegFileNotFoundError(
        f"{file} names pictures such as {shown(names[0])}, and none of these is in {raw_dir} or a "
        "folder below it; give the folder that holds both by --raw_dir."
    )


def _any_folders(
    everywhere: Places, names: Sequence[str], above: pathlib.Path, split: str
) -> tuple[pathlib.Path, ...]:
    """The folders, of any name, that hold pictures; empty where none does.

    Raises:
      FileNotFoundError: several hold the same picture, or they are another split's, whose
        pictures may have the same names.
    """
    holding = {name: everywhere.holding(name) for name in names}
    counts = Counter(folder for of in holding.values() for folder in of)
    splits = {place: split_of(place.relative_to(above)) for place in counts}
    own = [place for place in counts if not split or splits[place] in ("", split)]
    own = [place for place in own if split and splits[place]] or own
    if counts and not own:
        raise HiersegFileNotFoundError(
            f"{everywhere.file} names pictures such as {shown(names[0])}, and those of this name "
            f"are in {next(iter(counts))}, which is called after another split; rename the folder "
            "or the file if they are meant."
        )
    whole = [place for place in own if counts[place] == len(names)]
    if len(whole) == 1:
        return tuple(whole)
    places = everywhere._replace(folders=tuple(own))
    for name in names:
        if len(places.holding(name)) > 1:
            raise places.ambiguous(name)
    return places.folders


def _folders_of_pictures(above: pathlib.Path) -> list[pathlib.Path]:
    """All folders below that hold some, and those that hold these; none of masks."""
    folders = {
        folder
        for picture in walk_files(above, IMAGE_SUFFIXES)
        for folder in picture.relative_to(above).parents
    }
    return [above / folder for folder in sorted(folders) if not has(folder.name, MASK_WORDS)]

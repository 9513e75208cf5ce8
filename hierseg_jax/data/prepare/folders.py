"""Finding pictures and annotations in the folders of somebody else."""

import os
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence

from hierseg_jax.data.read.folder import IMAGE_SUFFIXES
from hierseg_jax.data.read.pattern import Pattern, is_passed_over
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import counted

_SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
SPLIT_NAMES = {
    **{f"{name}{end}": _SPLITS[name] for name in _SPLITS for end in ("", "set", "data", "dataset")},
    **{"training": "train", "valid": "val", "eval": "val", "testing": "test"},
}
"""What tools call splits -> what we call them."""


def walk_files(folder: pathlib.Path, suffixes: Sequence[str]) -> list[pathlib.Path]:
    """Visible files with one of the endings, in the folder and below, sorted; none without it.

    Links are followed, but not round in a circle.
    """
    if not folder.is_dir():
        return []
    endings = tuple(suffix.lower() for suffix in suffixes)
    found = (path for path, _ in Pattern("", ("**", "*")).files(folder, ()))
    return sorted(folder / path for path in found if path.lower().endswith(endings))


def folders_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Visible folders right in a folder, sorted."""
    found = (path for path in folder.iterdir() if not is_passed_over(path.name))
    return sorted(path for path in found if path.is_dir())


def closed_folders(folder: pathlib.Path) -> list[str]:
    """Visible ones below that may not be looked into, over which `Path.glob` passes silently."""
    closed: list[str] = []
    for _, folders, _ in os.walk(folder, onerror=lambda error: closed.append(error.filename)):
        folders[:] = [name for name in folders if not is_passed_over(name)]
    return sorted(closed)


def split_of(path: pathlib.PurePath) -> str:
    """The split that a part of a path is called after; empty where none is.

    The last part counts first, without its suffix, and by its words: `instances_train2017.json`.
    """
    for part in reversed(path.parts):
        words = part.split(".")[0].lower().replace("-", "_").split("_")
        for word in words:
            split = SPLIT_NAMES.get(word.rstrip("0123456789"))
            if split:
                return split
    return ""


def images_by_stem(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Stem -> picture, of those right in the folder.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: two pictures of one stem.
    """
    if not folder.is_dir():
        raise HiersegFileNotFoundError(f"There is no folder {folder}, where pictures should lie.")
    return files_by_stem(folder, IMAGE_SUFFIXES)


def files_by_stem(folder: pathlib.Path, suffixes: Sequence[str]) -> dict[str, pathlib.Path]:
    """Stem -> file, of the visible ones right in a folder; empty without such a folder.

    Args:
      folder: that is listed.
      suffixes: in small letters, that files have in small letters or capital ones.

    Raises:
      ValueError: two files of one stem.
    """
    found: dict[str, pathlib.Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise HiersegError(
                    f"{folder}: {found[path.stem].name} and {path.name} are two files of one "
                    "stem; take one away."
                )
            found[path.stem] = path
    return found


def find_below(path: str, roots: Sequence[pathlib.Path]) -> pathlib.Path:
    """What a path of another machine, or of another folder there, is here.

    It is looked for as it is, and then without one folder in front after another. The last name
    alone does for a file: any data set may have a folder `images`.

    Args:
      path: as a file of somebody's names it; absolute, or relative to one of the roots.
      roots: folders, in the order in which they are tried.

    Returns:
      A path that is there; below the first root, where there is none.
    """
    given = pathlib.PurePosixPath(path.replace("\\", "/"))
    parts = given.parts[1:] if given.is_absolute() else given.parts
    tails = [given, *(pathlib.PurePosixPath(*parts[at:]) for at in range(len(parts)))]
    places = [(root / tail, tail) for tail in tails for root in roots]

    def is_meant(place: pathlib.Path, tail: pathlib.PurePosixPath) -> bool:
        whole = tail == given or len(tail.parts) > 1 or parts[-2:-1] == ("..",)
        return is_there(place) and (whole or place.is_file())

    return next((place for place, tail in places if is_meant(place, tail)), places[0][0])


def unlisted(images: Iterable[pathlib.Path], where: str) -> list[str]:
    """A sentence about pictures beside those of a data set that its annotations don't name.

    Args:
      images: that they name.
      where: the annotations, for the sentence.
    """
    known = {*images}
    beside = sorted(
        path
        for folder in {image.parent for image in known}
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "." and path not in known
    )
    if not beside:
        return []
    count = counted(len(beside), "picture")
    return [f"{where}: left out, for no annotation names them: {count}, the first {beside[0]}."]


def as_spelled(path: pathlib.Path) -> pathlib.Path:
    """The file, also where its letters with accents are composed otherwise, as by a Mac's zip."""
    if is_there(path):
        return path
    forms = (path.with_name(unicodedata.normalize(form, path.name)) for form in ("NFC", "NFD"))
    return next((other for other in forms if is_there(other)), path)


def is_there(path: pathlib.Path) -> bool:
    """Whether there is such a file or folder; not of a name that is too long for any."""
    return os.path.exists(path)


def is_below(name: str) -> bool:
    """Whether a path from a file leads to below the folder that it is relative to."""
    pure = pathlib.PurePosixPath(name)
    return not pure.is_absolute() and ".." not in pure.parts and bool(pure.name)

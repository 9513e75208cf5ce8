"""Splits that lists tell: `train.txt`, `splits/val.txt`, `test_list.txt`, a picture a line."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from hierseg_jax.data.prepare.file_words import words_of
from hierseg_jax.data.prepare.folders import SPLIT_NAMES, walk_files
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.picture import Picture
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed

_LIST_WORDS = {
    *("list", "lists", "lst", "id", "ids", "name", "names", "file", "files", "filename"),
    *("filenames", "image", "images", "img", "imgs", "path", "paths", "split", "splits", "set"),
}
"""What may stand in a list's name beside that of its split."""
_MOSTLY = 0.5
"""Of different lines those that name files of pictures, at least, those without masks too."""


class _List(NamedTuple):
    """A text whose name tells a split, and the pictures with masks that its lines name."""

    file: pathlib.Path
    split: str
    images: frozenset[pathlib.Path]


def split_by_lists(
    pictures: Sequence[Picture], raw_dir: pathlib.Path
) -> tuple[list[Picture], tuple[str, ...]]:
    """Pictures with the splits that text files of these names say, and sentences about it.

    A line is a picture's path or the end of one, with its suffix or without; what stands behind a
    space, as the path of its mask, is passed over.

    Args:
      pictures: of a source, none of which has a split.
      raw_dir: of the source, below which the lists lie.
    """
    files = [(file, _split_of(file.stem)) for file in walk_files(raw_dir, (".txt",))]
    files = [(file, split) for file, split in files if split]
    if not files:
        return [*pictures], ()
    known = _Names([picture.image for picture in pictures], raw_dir)
    # A picture without a mask may be in a list.
    stems = {file.stem for file in walk_files(raw_dir, IMAGE_SUFFIXES)}
    lists: dict[str, _List] = {}
    unread, notes = [], []
    for file, split in files:
        try:
            one = _List(file, split, _named_in(file, known, stems))
        except (HiersegError, OSError) as error:
            why = error if isinstance(error, HiersegError) else f"{file}: {error.strerror}."
            unread.append(f"{why} It is not followed as a list of a split.")
            continue
        if not one.images:
            notes.append(f"{file} lists none of the pictures that have masks.")
            continue
        if (first := lists.setdefault(split, one)).images != one.images:
            return _unfollowed(
                pictures, f"{first.file} and {file} list different pictures for one split"
            )
    if not lists:
        return [*pictures], tuple(unread)
    told: dict[pathlib.Path, _List] = {}
    for one in lists.values():
        for image in sorted(one.images):
            other = told.setdefault(image, one)
            if other is not one:
                return _unfollowed(pictures, f"{other.file} and {one.file} both name {image}")
    rest = [picture.image for picture in pictures if picture.image not in told]
    files_there = listed([one.file for one in lists.values()], 3)
    if not rest and "train" not in lists:
        return _unfollowed(pictures, f"No picture is left for training by {files_there}")
    followed = [f"Splits are those of {files_there}."]
    if rest and "train" in lists:
        others = "" if "val" in lists else " or validation"
        followed.append(
            f"In none of these lists, and taken for training{others}: "
            f"{counted(len(rest), 'picture')}, the first {rest[0]}."
        )
    return [
        dataclasses.replace(picture, split=told[picture.image].split)
        if picture.image in told
        else picture
        for picture in pictures
    ], (*followed, *notes, *unread)


def _unfollowed(pictures: Sequence[Picture], why: str) -> tuple[list[Picture], tuple[str, ...]]:
    return [*pictures], (f"{why}: no list of a split is followed.",)


def _split_of(stem: str) -> str:
    """The split that a list is called after, with words for lists alone beside it."""
    words = {word.lower().rstrip("0123456789") for word in words_of(stem)} - {""}
    splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    others = words - SPLIT_NAMES.keys()
    return splits.pop() if len(splits) == 1 and others <= _LIST_WORDS else ""


class _Names:
    """Pictures by the ends of their paths, with their suffix and without."""

    def __init__(self, images: Iterable[pathlib.Path], raw_dir: pathlib.Path) -> None:
        self._folders: set[str] = set()
        self._by_end: dict[tuple[str, ...], set[pathlib.Path]] = {}
        self._parents: dict[pathlib.Path, tuple[str, ...]] = {}
        for image in images:
            below = image.relative_to(raw_dir) if image.is_relative_to(raw_dir) else image
            self._parents[image] = below.parts[:-1]
            self._folders.update(below.parts[:-1])
            for name in {image.name, image.stem}:
                path = (*below.parts[:-1], name)
                for at in range(len(path)):
                    self._by_end.setdefault(path[at:], set()).add(image)

    def find(self, path: pathlib.PurePath) -> pathlib.Path | None:
        """The one picture that a path may mean, perhaps one of another machine; else None."""
        for name in (path.name, path.stem):  # an id may have dots
            parts = (*path.parts[:-1], name)
            for at in range(len(parts)):
                found = self._by_end.get(parts[at:])
                if found is None:
                    continue
                image = next(iter(found))
                return image if len(found) == 1 and self._may_be(image, parts, at) else None
        return None

    def _may_be(self, image: pathlib.Path, parts: Sequence[str], at: int) -> bool:
        """Whether the folder in front of the end that is alike is none that is known here.

        Then the line says another place of the picture, and else it says another picture.
        """
        deeper = len(self._parents[image]) > len(parts) - 1 - at
        return not (at and deeper and parts[at - 1] in self._folders)


def _named_in(file: pathlib.Path, known: _Names, stems: Set[str]) -> frozenset[pathlib.Path]:
    """The pictures that a list names; none of another text.

    Args:
      file: that may be one.
      known: the pictures that have masks.
      stems: of all pictures that there are.

    Raises:
      HiersegError, OSError: where it can't be read as text.
    """
    lines = {line for _, line in read_ids(file)}
    found: set[pathlib.Path] = set()
    named = 0
    for line in lines:
        paths = [_path(text) for text in (line, line.split()[0])]
        image = known.find(paths[0]) or known.find(paths[1])
        found |= {image} if image else set()
        named += image is not None or any({path.name, path.stem} & stems for path in paths)
    return frozenset(found if named >= _MOSTLY * len(lines) else ())


def _path(text: str) -> pathlib.PurePosixPath:
    return pathlib.PurePosixPath(text.replace("\\", "/").strip("\"',;"))

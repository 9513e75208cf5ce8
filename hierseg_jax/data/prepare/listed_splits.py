"""Splits that lists tell: `train.txt`, `splits/val.txt`, `test_list.txt`, a picture a line."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from hierseg_jax.data.prepare.file_words import words_of
from hierseg_jax.data.prepare.folders import SPLIT_NAMES, walk_files
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.picture import Picture
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed

_MOSTLY = 0.5
"""Of the lines of such a list that name pictures, at least; others may have no mask."""


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
    by_stem: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_stem.setdefault(picture.image.stem, []).append(picture)
    told: dict[pathlib.Path, str] = {}
    lists: dict[str, pathlib.Path] = {}
    for file in walk_files(raw_dir, (".txt",)):
        split = _split_of(file.stem)
        found = _named_in(file, by_stem) if split else []
        if not found:
            continue
        first = lists.setdefault(split, file)
        if first != file:
            return [*pictures], (f"{first} and {file} both list a split, and neither is followed.",)
        for picture in found:
            if told.setdefault(picture.image, split) != split:
                return [*pictures], (
                    f"{lists[told[picture.image]]} and {file} both name {picture.image}: neither "
                    "is followed.",
                )
    if not lists:
        return [*pictures], ()
    rest = [picture.image for picture in pictures if picture.image not in told]
    notes = [f"Splits are those of {listed(sorted(map(str, lists.values())), 3)}."]
    if rest and "train" in lists:
        notes.append(
            f"In none of these lists, and taken as those of training: "
            f"{counted(len(rest), 'picture')}, the first {rest[0]}."
        )
    return [
        dataclasses.replace(picture, split=told.get(picture.image, "")) for picture in pictures
    ], tuple(notes)


def _split_of(stem: str) -> str:
    """The one split that the words of a name tell; of train_val there are two."""
    words = (word.lower() for part in words_of(stem) for word in part.split("_"))
    splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return splits.pop() if len(splits) == 1 else ""


def _named_in(file: pathlib.Path, by_stem: Mapping[str, Sequence[Picture]]) -> list[Picture]:
    """The pictures that a list names; none of another text."""
    lines: list[str] = []
    with contextlib.suppress(HiersegError):
        lines = [line for _, line in read_ids(file)]
    found = [picture for line in lines if (picture := _named_by(line, by_stem)) is not None]
    return found if len(found) >= _MOSTLY * len(lines) else []


def _named_by(line: str, by_stem: Mapping[str, Sequence[Picture]]) -> Picture | None:
    """By a whole line or its first word; None where several pictures may be meant."""
    for text in (line, line.split()[0]):
        path = pathlib.PurePosixPath(text.replace("\\", "/").strip("\"',;"))
        for stem in (path.name, path.stem):  # an id may have dots
            candidates = by_stem.get(stem, ())
            for depth in range(len(path.parts)):
                if len(candidates) == 1:
                    return candidates[0]
                parent = path.parts[-depth - 2 : -1]
                candidates = [c for c in candidates if c.image.parent.parts[-depth - 1 :] == parent]
    return None

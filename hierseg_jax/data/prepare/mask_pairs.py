"""Pictures and masks in somebody else's folders, found by their names alone.

A mask lies beside its picture under another ending (`a.jpg`, `a_mask.png`), or in a folder whose
path is that of the pictures but for a part: `images/train` and `labels/train`, `train` and
`train/masks`. There it has the name of its picture, or one that differs as all others do.
"""

import itertools
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hierseg_jax.data.prepare.file_words import (
    MASK_WORDS,
    OTHER_WORDS,
    PREFERRED_WORDS,
    begins_with,
    differ_in_a_part,
    files_by_folder,
    has_one_channel,
    holds_masks,
    picture_name,
    sounds_like_mask,
    words_of,
)
from hierseg_jax.data.prepare.folders import split_of
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.data.read.mask_places import find_affixes
from hierseg_jax.system.errors import HiersegError

_BY_STEM = Mapping[str, pathlib.Path]


class Pair(NamedTuple):
    """A picture and its mask.

    Attributes:
      split: that a folder is called after, or empty.
      name: of both, in a folder without sub-folders.
    """

    split: str
    name: str
    image: pathlib.Path
    mask: pathlib.Path


def find_pairs(root: pathlib.Path) -> tuple[list[Pair], list[pathlib.Path]]:
    """All pairs in a folder and below, and the pictures beside them that have no mask.

    Raises:
      ValueError: two masks that a picture may have.
    """
    folders = files_by_folder(root)
    masks = {folder: found for folder, files in folders.items() if (found := _beside(files))}
    others = [folder for folder in folders if folder not in masks]
    of_masks = [folder for folder in others if holds_masks(folder, folders[folder])]
    for folder in others:
        if folder not in of_masks and (found := _elsewhere(folder, of_masks, folders)):
            masks[folder] = found
    pairs, unmasked = [], []
    for folder, of_picture in masks.items():
        taken = {*of_picture.values()}
        for file in folders[folder]:
            if file in of_picture:
                name = picture_name(folder, file.stem)
                pairs.append(Pair(split_of(folder), name, file, of_picture[file]))
            elif file not in taken and _is_picture(file):
                unmasked.append(file)
    return pairs, unmasked


def _beside(files: Sequence[pathlib.Path]) -> dict[pathlib.Path, pathlib.Path]:
    """Picture -> mask, of a folder that holds both."""
    photos, masks = _by_stem(files, LOSSY_SUFFIXES), _by_stem(files, MASK_SUFFIXES)
    found = _matched(photos, masks)
    # Photographs of two kinds in a folder, 1.jpg and 10.png, are no pairs.
    if any(image.stem == mask.stem or sounds_like_mask(mask.name) for image, mask in found.items()):
        return found
    if found and has_one_channel([*found.values()]):
        return found
    pictures = {stem: file for stem, file in masks.items() if not sounds_like_mask(stem)}
    return _matched(pictures, {s: file for s, file in masks.items() if s not in pictures})


def _elsewhere(
    folder: pathlib.Path,
    of_masks: Iterable[pathlib.Path],
    folders: Mapping[pathlib.Path, Sequence[pathlib.Path]],
) -> dict[pathlib.Path, pathlib.Path]:
    """Picture -> mask, of the folder of masks that has most of them.

    Raises:
      ValueError: two folders have as many.
    """
    pictures = _by_stem(folders[folder], IMAGE_SUFFIXES)
    found = {
        other: pairs
        for other in of_masks
        if differ_in_a_part(folder.parts, other.parts) and split_of(folder) == split_of(other)
        if (pairs := _matched(pictures, _by_stem(folders[other], MASK_SUFFIXES)))
    }
    rank = {
        other: (
            not words_of(*other.parts) & OTHER_WORDS,
            bool(words_of(*other.parts) & MASK_WORDS),
            len(pairs),
        )
        for other, pairs in found.items()
    }
    if not found:
        return {}
    best, *rest = sorted(found, key=rank.__getitem__, reverse=True)
    if rest and rank[rest[0]] == rank[best]:
        raise HiersegError(
            f"{best} and {rest[0]} both hold masks of the pictures in {folder}; take the folder "
            "that is not meant out of --raw_dir."
        )
    return found[best]


def _matched(pictures: _BY_STEM, masks: _BY_STEM) -> dict[pathlib.Path, pathlib.Path]:
    if not pictures or not masks:
        return {}
    if same := _with_ending(pictures, masks, ""):
        return same
    if found := _with_ending(pictures, masks, _ending(pictures, masks)):
        return found
    if affixes := find_affixes(sorted(pictures), masks):
        tail, head, mask_tail = affixes
        return {
            image: masks[f"{head}{stem.removesuffix(tail)}{mask_tail}"]
            for stem, image in pictures.items()
        }
    # img_01 and mask_01
    head, mask_head = _head(pictures), _head(masks)
    numbered = {stem.removeprefix(mask_head): file for stem, file in masks.items()}
    return {
        image: numbered[number]
        for stem, image in pictures.items()
        if (number := stem.removeprefix(head)) and number in numbered
    }


def _head(stems: Iterable[str]) -> str:
    """What all begin with, but for digits at its end."""
    pairs = zip(min(stems), max(stems), strict=False)
    same = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return same.rstrip("0123456789")


def _ending(pictures: _BY_STEM, masks: _BY_STEM) -> str | None:
    """What most stems of masks have behind that of a picture; None where none has one.

    Raises:
      ValueError: two endings that may both be meant.
    """
    endings = Counter(
        stem.removeprefix(of) for stem in masks if (of := begins_with(stem, pictures))
    )

    def rank(ending: str) -> tuple[bool, bool, int, str]:
        words = words_of(ending)
        return bool(words & OTHER_WORDS), not words & PREFERRED_WORDS, -endings[ending], ending

    if not endings:
        return None
    best, *rest = sorted(endings, key=rank)
    for other in rest:
        if rank(other)[:2] == rank(best)[:2] and 2 * endings[other] > endings[best]:
            raise HiersegError(
                f"Masks end in {best!r} and in {other!r} behind the names of their pictures, in "
                f"{next(iter(masks.values())).parent}; take those that are not meant out of "
                "--raw_dir."
            )
    return best


def _with_ending(
    pictures: _BY_STEM, masks: _BY_STEM, ending: str | None
) -> dict[pathlib.Path, pathlib.Path]:
    if ending is None:
        return {}
    return {file: masks[stem + ending] for stem, file in pictures.items() if stem + ending in masks}


def _by_stem(files: Iterable[pathlib.Path], suffixes: Sequence[str]) -> dict[str, pathlib.Path]:
    """Of two files of one stem, the one that comes first in the alphabet."""
    chosen = [file for file in files if file.suffix.lower() in suffixes]
    return {file.stem: file for file in reversed(chosen)}


def _is_picture(file: pathlib.Path) -> bool:
    words = words_of(file.stem)
    return file.suffix.lower() in IMAGE_SUFFIXES and not words & (MASK_WORDS | OTHER_WORDS)

"""Pictures and masks in somebody else's folders, found by their names alone.

A mask lies beside its picture under another ending (`a.jpg`, `a_mask.png`), or in a folder whose
path is that of the pictures but for a part: `images/train` and `labels/train`, `train` and
`train/masks`. There it has the name of its picture, or one that differs as all others do.
"""

import itertools
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hierseg_jax.data.prepare.folders import split_of, walk_files
from hierseg_jax.data.read import png
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.data.read.mask_places import find_affixes
from hierseg_jax.system.errors import HiersegError

_MASK_WORDS = {
    *("mask", "masks", "label", "labels", "labeled", "labelled", "ann", "anno", "annot", "gt"),
    *("annotation", "annotations", "seg", "segm", "segmentation", "segmentations", "semantic"),
    *("labelids", "labeltrainids", "gtfine", "segmentationclass", "target", "targets"),
}
_PICTURE_WORDS = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "rgb"),
    *("jpegimages", "leftimg8bit", "input", "inputs"),
}
# Of files that look like masks and show something else, or the same in colours to look at.
_OTHER_WORDS = {
    *("color", "colors", "colour", "colours", "human", "vis", "viz", "overlay", "overlays"),
    *("preview", "instance", "instances", "panoptic", "depth", "edge", "edges"),
}
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
    folders: dict[pathlib.Path, list[pathlib.Path]] = {}
    for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
        folders.setdefault(file.parent.relative_to(root), []).append(file)
    masks = {folder: found for folder, files in folders.items() if (found := _beside(files))}
    others = [folder for folder in folders if folder not in masks]
    of_masks = [folder for folder in others if _holds_masks(folder, folders[folder])]
    for folder in others:
        if folder not in of_masks and (found := _elsewhere(folder, of_masks, folders)):
            masks[folder] = found
    pairs, unmasked = [], []
    for folder, of_picture in masks.items():
        taken = {*of_picture.values()}
        for file in folders[folder]:
            if file in of_picture:
                name = "__".join((*filter(_says_something, folder.parts), file.stem))
                pairs.append(Pair(split_of(folder), name, file, of_picture[file]))
            elif file not in taken and _is_picture(file):
                unmasked.append(file)
    return pairs, unmasked


def sounds_like_mask(name: str) -> bool:
    """Whether a word of a file's or folder's name says so."""
    return bool(_words(name) & _MASK_WORDS)


def _beside(files: Sequence[pathlib.Path]) -> dict[pathlib.Path, pathlib.Path]:
    """Picture -> mask, of a folder that holds both."""
    photos, masks = _by_stem(files, LOSSY_SUFFIXES), _by_stem(files, MASK_SUFFIXES)
    found = _matched(photos, masks)
    # Photographs of two kinds in a folder, 1.jpg and 10.png, are no pairs.
    if any(image.stem == mask.stem or sounds_like_mask(mask.name) for image, mask in found.items()):
        return found
    if found and _has_one_channel([*found.values()]):
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
        if _differ_in_a_part(folder.parts, other.parts) and split_of(folder) == split_of(other)
        if (pairs := _matched(pictures, _by_stem(folders[other], MASK_SUFFIXES)))
    }
    rank = {
        other: (
            not _words(*other.parts) & _OTHER_WORDS,
            bool(_words(*other.parts) & _MASK_WORDS),
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
    """What most stems of masks have behind that of a picture; None where none has one."""
    endings = Counter(
        stem[at:] for stem in masks for at in range(1, len(stem) + 1) if stem[:at] in pictures
    )

    def rank(ending: str) -> tuple[int, bool, bool, int, str]:
        words = _words(ending)
        others = bool(words & _OTHER_WORDS)
        return -endings[ending], others, "semantic" not in words, len(ending), ending

    return min(endings, key=rank, default=None)


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


def _holds_masks(folder: pathlib.PurePath, files: Sequence[pathlib.Path]) -> bool:
    """By the names of the folder, the innermost first, or what the files are."""
    if not any(file.suffix.lower() in MASK_SUFFIXES for file in files):
        return False
    for part in reversed(folder.parts):
        if words := _words(part) & (_MASK_WORDS | _PICTURE_WORDS):
            return bool(words & _MASK_WORDS)
    return _has_one_channel(files)


def _has_one_channel(files: Sequence[pathlib.Path]) -> bool:
    """Whether the first is an array, or a PNG in grey or with a palette."""
    return files[0].suffix.lower() == ".npy" or png.colour_type(files[0]) in (png.GRAY, png.PALETTE)


def _is_picture(file: pathlib.Path) -> bool:
    words = _words(file.stem)
    return file.suffix.lower() in IMAGE_SUFFIXES and not words & (_MASK_WORDS | _OTHER_WORDS)


def _words(*names: str) -> set[str]:
    return {word for name in names for word in re.split(r"[^a-z0-9]+", name.lower())}


def _says_something(part: str) -> bool:
    """Whether a folder's name tells its pictures from those of others in the split."""
    return not split_of(pathlib.PurePath(part)) and not _words(part) & _PICTURE_WORDS


def _differ_in_a_part(folder: Sequence[str], other: Sequence[str]) -> bool:
    """Whether a path is the other one, but for a part of it that may be two there."""
    if folder == other:
        return False
    ahead, theirs = [*folder], [*other]
    for end in (0, -1):
        while ahead and theirs and ahead[end] == theirs[end]:
            del ahead[end], theirs[end]
    return len(ahead) <= 1 and len(theirs) <= 2

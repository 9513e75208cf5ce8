"""Pictures and masks whose names say neither: told by what the files show.

`Training_Images/7.jpg` and `Ground_Truth/7.png`, `image7.jpg` and `mask7.png`, `x/a.png` and
`y/a_p.png`. A group of files is one kind of file of a folder. In it, words that are in all names
tell no file from another; a picture and its mask have all other words and numbers in common.
Masks have the proportions of their pictures, and show few values in large areas. What may be
meant in two ways is refused.
"""

import itertools
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hierseg_jax.data.prepare.file_words import OTHER_WORDS, Words, has
from hierseg_jax.data.prepare.folders import split_of, walk_files
from hierseg_jax.data.prepare.mask_folders import is_photo, left_out, splits_and_names
from hierseg_jax.data.prepare.mask_kind import is_coloured
from hierseg_jax.data.prepare.mask_pairs import Masked
from hierseg_jax.data.read.image_files import is_scaled, read_image, read_mask
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.errors import HiersegError

MOST_VALUES = 64
"""That masks without a table of classes may hold."""
_FLAT = 0.8  # of the pixels of a mask have the value of the one beside them
_LOOKED_AT = 6  # files of a group
_FIT = 0.7  # of the masks that are looked at
_MOST_WORDS = 50  # that names of a folder have around their numbers, to be looked at
# A number, or a word that ends where a capital letter begins the next.
_TOKEN = re.compile(r"[0-9]+|[^\W\d_](?:(?![A-Z](?<=[a-z][A-Z]))[^\W\d_])*")


class _Group(NamedTuple):
    """Files of one kind in a folder, by what tells one from the others.

    Attributes:
      split: that the folder is called after, or empty.
      tokens: of its path.
      of_key: the files.
    """

    split: str
    tokens: frozenset[str]
    of_key: dict[Words, pathlib.Path]


def find_likely_pairs(root: pathlib.Path) -> tuple[list[Masked], tuple[str, ...]]:
    """All pairs in a folder and below, and sentences about what is left out.

    Raises:
      ValueError: two groups may be the masks of one, or a mask that of two pictures.
    """
    groups = _groups(root)
    mask_of: dict[pathlib.Path, pathlib.Path] = {}
    masks_of_groups: list[_Group] = []
    flat = [any(map(_is_flat, itertools.islice(g.of_key.values(), _LOOKED_AT))) for g in groups]
    may_be_masks = [*itertools.compress(groups, flat)]
    for pictures in (group for group, is_flat in zip(groups, flat, strict=True) if not is_flat):
        masks = _masks_of(pictures, may_be_masks)
        if masks is None:
            continue
        masks_of_groups.append(masks)
        shared = pictures.of_key.keys() & masks.of_key.keys()
        mask_of |= {f: masks.of_key[key] for key, f in pictures.of_key.items() if key in shared}
    if not mask_of:
        return [], ()
    image_of = {mask: image for image, mask in mask_of.items()}
    for image, mask in mask_of.items():
        if image_of[mask] != image:
            raise HiersegError(
                f"{mask} may be the mask of {image} and of {image_of[mask]}; take the one that is "
                "not meant out of --raw_dir."
            )
    used = [group for group in groups if not mask_of.keys().isdisjoint(group.of_key.values())]
    pictures_left = [f for group in used for f in group.of_key.values() if f not in mask_of]
    masks_left = [f for group in masks_of_groups for f in group.of_key.values()]
    masks_left = [f for f in dict.fromkeys(masks_left) if f not in image_of]
    names = splits_and_names([*mask_of], root)
    notes = left_out(pictures_left, {"Masks of no picture": masks_left})
    return [Masked(*names[image], image, mask) for image, mask in mask_of.items()], notes


def _groups(root: pathlib.Path) -> list[_Group]:
    files: dict[tuple[pathlib.Path, bool], list[pathlib.Path]] = {}
    for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
        if not any(has(part, OTHER_WORDS) for part in file.relative_to(root).parts):
            files.setdefault((file.parent, is_photo(file)), []).append(file)
    found = []
    for (folder, lossy), every in files.items():
        for of in [every] if lossy else _by_looks(every):
            keys = _keys(of)
            if len({*keys}) == len(of) > 1:
                where = folder.relative_to(root)
                tokens = frozenset(token for part in where.parts for token in _tokens(part))
                found.append(_Group(split_of(where), tokens, dict(zip(keys, of, strict=True))))
    return found


def _by_looks(files: Sequence[pathlib.Path]) -> list[list[pathlib.Path]]:
    """Pictures and masks in one folder apart, such as `1.png` and `1_p.png`."""
    by_words: dict[Words, list[pathlib.Path]] = {}
    for file in files:
        words = tuple(token for token in _tokens(file.stem) if not token.isdigit())
        by_words.setdefault(words, []).append(file)
    if not 1 < len(by_words) <= _MOST_WORDS:
        return [list(files)]
    of_flat: dict[bool, list[pathlib.Path]] = {}
    for of in by_words.values():
        of_flat.setdefault(_is_flat(of[0]), []).extend(of)
    return [*of_flat.values()]


def _keys(files: Sequence[pathlib.Path]) -> list[Words]:
    """Of every name the tokens that are numbers, or not in all names."""
    of_names = [_tokens(file.stem) for file in files]
    common = set.intersection(*map(set, of_names)) if len(files) > 1 else set()
    return [tuple(t for t in of if t.isdigit() or t not in common) for of in of_names]


def _tokens(name: str) -> Words:
    found = _TOKEN.findall(name)
    return tuple(of.casefold() if not of.isdigit() else of.lstrip("0") or "0" for of in found)


def _masks_of(pictures: _Group, groups: Iterable[_Group]) -> _Group | None:
    """The group nearest to that of the pictures that shows masks of them."""
    by_nearness: dict[tuple[bool, int], list[_Group]] = {}
    for group in groups:
        shared = len(pictures.of_key.keys() & group.of_key.keys())
        fewer = min(len(pictures.of_key), len(group.of_key))
        of_split = pictures.split == group.split
        if (
            shared < 2
            or 2 * shared < fewer
            or not (of_split or "" in (pictures.split, group.split))
        ):
            continue
        nearness = of_split, len(pictures.tokens & group.tokens)
        by_nearness.setdefault(nearness, []).append(group)
    for _, near in sorted(by_nearness.items(), reverse=True):
        fitting = [group for group in near if _shows_masks(group, pictures)]
        if len(fitting) > 1:
            one, two, *_ = (next(iter(group.of_key.values())) for group in fitting)
            raise HiersegError(
                f"{one} and {two} may both be the mask of {next(iter(pictures.of_key.values()))}; "
                "take those that are not meant out of --raw_dir."
            )
        if fitting:
            return fitting[0]
    return None


def _shows_masks(group: _Group, pictures: _Group) -> bool:
    """By some of the files; others are told of when they are read."""
    shared = sorted(pictures.of_key.keys() & group.of_key.keys())
    looked_at = shared[:: -(-len(shared) // _LOOKED_AT)]
    fit = [_is_mask_of(group.of_key[key], pictures.of_key[key]) for key in looked_at]
    return bool(np.mean(fit) > _FIT)


def _is_mask_of(mask: pathlib.Path, image: pathlib.Path) -> bool:
    if image.suffix.lower() not in IMAGE_SUFFIXES or not _is_flat(mask):
        return False
    try:
        return is_scaled(_values(mask).shape, read_image(image).shape[:2])
    except HiersegError:  # told of when it is read as what it is
        return False


def _is_flat(file: pathlib.Path) -> bool:
    """Whether a file shows few values in large areas."""
    if is_photo(file):
        return False
    try:
        values_hw = _values(file)
    except HiersegError:
        return False
    same = np.mean(values_hw[:, 1:] == values_hw[:, :-1]) if values_hw.shape[1] > 1 else 0.0
    return bool(same >= _FLAT) and len(np.unique(values_hw)) <= MOST_VALUES


def _values(file: pathlib.Path) -> np.ndarray:
    return read_mask(file, colours=is_coloured(file))

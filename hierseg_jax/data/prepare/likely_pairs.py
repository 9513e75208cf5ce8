"""Pictures and masks whose names say neither: told by what the files show.

`TrainImages/7.jpg` and `TrainMasks/7.png`, `image7.jpg` and `mask7.png`, `x/a.png` and
`y/a_p.png`. A group of files is one kind of file of a folder. A picture and its mask have one name;
or the same words and numbers in one order, but for words that most names of their groups have.
Masks have about the proportions of their pictures, and show few values in large areas. What may
be meant in two ways is refused.
"""

import collections
import functools
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from hierseg_jax.data.prepare.colours import is_coloured
from hierseg_jax.data.prepare.file_words import OTHER_WORDS, Words, has, is_plain, words_of
from hierseg_jax.data.prepare.folders import split_of, walk_files
from hierseg_jax.data.prepare.mask_folders import is_photo, left_out, splits_and_names
from hierseg_jax.data.prepare.mask_pairs import Masked
from hierseg_jax.data.read.image_files import is_scaled, read_image, read_mask
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.errors import HiersegError

MOST_VALUES = 64
"""That masks without a table of classes may hold."""
_FLAT = 0.8  # of the pixels of a mask have the value of the one beside them
_COMMON = 0.7  # of the names of a group have a word that tells none from another
_LOOKED_AT = 6  # files of a group
_MOST_WORDS = 100  # that names of a folder have around their numbers, to be looked at
# A number with its sign; or a word, which ends where a capital letter begins the next: trainMasks.
_TOKEN = re.compile(r"(?:(?<![^\W_])-(?=\d))?\d+|[^\W\d_](?:(?![A-Z](?<=[a-z][A-Z]))[^\W\d_])*")

_Name = TypeVar("_Name")
_Pairs = dict[pathlib.Path, pathlib.Path]


class _Group(NamedTuple):
    """Files of one kind in a folder.

    Attributes:
      split: that the folder is called after, or empty.
      tokens: of its path.
      files: sorted.
      of_name, of_key: those that have a name, or words and numbers, of their own.
    """

    split: str
    tokens: frozenset[str]
    files: tuple[pathlib.Path, ...]
    of_name: dict[str, pathlib.Path]
    of_key: dict[Words, pathlib.Path]


def find_likely_pairs(root: pathlib.Path) -> tuple[list[Masked], tuple[str, ...]]:
    """All pairs in a folder and below, and sentences about what is left out.

    Raises:
      ValueError: two groups may be the masks of one, or a mask that of two pictures.
    """
    groups, others = _groups(root)
    masks = [group for group in groups if _are_flat(group.files)]
    pictures = [group for group in groups if group not in masks]
    # No scene takes the masks of another one that has none of its own.
    claims = [max(map(functools.partial(_claim, to), pictures), default=0) for to in masks]
    mask_of: _Pairs = {}
    image_of: _Pairs = {}
    for group in pictures:
        near = [
            to
            for to, most in zip(masks, claims, strict=True)
            if len(to.tokens & group.tokens) >= most
        ]
        for image, mask in _pairs_with(group, near).items():
            mask_of[image] = mask
            if (first := image_of.setdefault(mask, image)) != image:
                raise HiersegError(
                    f"{mask} may be the mask of {first} and of {image}; take the one that is not "
                    "meant out of --raw_dir."
                )
    if not mask_of:
        return [], ()
    names = splits_and_names([*mask_of], root)
    notes = left_out(
        [file for group in pictures for file in group.files if file not in mask_of],
        {
            "Masks of no picture": [f for group in masks for f in group.files if f not in image_of],
            "Called after neither": others,
        },
    )
    return [Masked(*names[image], image, mask) for image, mask in mask_of.items()], notes


def _groups(root: pathlib.Path) -> tuple[list[_Group], list[pathlib.Path]]:
    """And the files that are neither pictures nor masks by their names."""
    by_folder: dict[tuple[pathlib.Path, bool], list[pathlib.Path]] = {}
    others = []
    for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
        if any(has(part, OTHER_WORDS) for part in file.relative_to(root).parts):
            others.append(file)
        else:
            by_folder.setdefault((file.parent, is_photo(file)), []).append(file)
    found = []
    for (folder, lossy), files in by_folder.items():
        where = folder.relative_to(root)
        tokens = frozenset(token for part in where.parts for token in _tokens(part))
        for of in [files] if lossy else _kinds(files):
            names = [unicodedata.normalize("NFC", file.stem).casefold() for file in of]
            found.append(
                _Group(
                    split_of(where), tokens, tuple(of), _unique(names, of), _unique(_keys(of), of)
                )
            )
    return found, others


def _unique(names: Sequence[_Name], files: Sequence[pathlib.Path]) -> dict[_Name, pathlib.Path]:
    count = collections.Counter(names)
    return {name: file for name, file in zip(names, files, strict=True) if count[name] == 1}


def _kinds(files: Sequence[pathlib.Path]) -> list[list[pathlib.Path]]:
    """By suffixes, where these alone tell most apart (`1.bmp` and `1.png`); or by their looks."""
    if len({file.stem for file in files}) > 0.75 * len(files):
        return _by_looks(files)
    by_suffix: dict[str, list[pathlib.Path]] = {}
    for file in files:
        by_suffix.setdefault(file.suffix.lower(), []).append(file)
    return [*by_suffix.values()]


def _by_looks(files: Sequence[pathlib.Path]) -> list[list[pathlib.Path]]:
    """Pictures and masks in one folder apart, such as `1.png` and `1_p.png`."""
    by_words: dict[Words, list[pathlib.Path]] = {}
    for file in files:
        words = tuple(token for token in _tokens(file.stem) if not _is_number(token))
        by_words.setdefault(words, []).append(file)
    if not 1 < len(by_words) <= _MOST_WORDS:
        return [list(files)]
    of_flat: dict[bool, list[pathlib.Path]] = {}
    for of in by_words.values():
        of_flat.setdefault(_are_flat(of), []).extend(of)
    return [*of_flat.values()]


def _keys(files: Sequence[pathlib.Path]) -> list[Words]:
    """Of every name the tokens that are numbers, or words that few names have."""
    # `21_manual1` has one number.
    plain = [filter(is_plain, words_of(file.stem)) for file in files]
    of_names = [_tokens("_".join(words)) for words in plain]
    count = collections.Counter(token for of in of_names for token in {*of})
    common = {t for t, n in count.items() if n > max(1, _COMMON * len(files)) and not _is_number(t)}
    return [tuple(token for token in of if token not in common) for of in of_names]


def _tokens(name: str) -> Words:
    """Words in small letters, and numbers without zeros in front."""
    found = _TOKEN.findall(unicodedata.normalize("NFC", name))
    return tuple(str(int(of)) if _is_number(of) else of.casefold() for of in found)


def _is_number(token: str) -> bool:
    return token[-1].isdecimal()


def _nearness(pictures: _Group, masks: _Group) -> tuple[bool, int]:
    return pictures.split == masks.split, len(pictures.tokens & masks.tokens)


def _claim(masks: _Group, pictures: _Group) -> int:
    """How near the pictures are to the masks by the names of their folders, if these are two."""
    elsewhere = pictures.files[0].parent != masks.files[0].parent and len(pictures.files) > 1
    return len(pictures.tokens & masks.tokens) if elsewhere else 0


def _pairs_with(pictures: _Group, groups: Iterable[_Group]) -> _Pairs:
    """With the masks of the nearest of the groups that has such."""
    by_nearness: dict[tuple[bool, int], list[_Pairs]] = {}
    for group in groups:
        of_one_split = pictures.split == group.split or "" in (pictures.split, group.split)
        if of_one_split and (pairs := _shared(pictures, group)):
            by_nearness.setdefault(_nearness(pictures, group), []).append(pairs)
    for _, near in sorted(by_nearness.items(), key=lambda of: of[0], reverse=True):
        fitting = [pairs for pairs in near if _fit(pairs)]
        if len(fitting) > 1:
            (image, one), two = next(iter(fitting[0].items())), next(iter(fitting[1].values()))
            raise HiersegError(
                f"{one} and {two} may both be the mask of {image}; take those that are not meant "
                "out of --raw_dir."
            )
        if fitting:
            return fitting[0]
    return {}


def _shared(pictures: _Group, masks: _Group) -> _Pairs:
    """Files of one name, or of one key; empty where most of the smaller group have no other."""
    most = min(len(pictures.files), len(masks.files)) / 2
    by_name = {
        image: masks.of_name[name]
        for name, image in pictures.of_name.items()
        if name in masks.of_name
    }
    if by_name and len(by_name) >= most:
        return by_name
    by_key = {
        image: masks.of_key[key]
        for key, image in pictures.of_key.items()
        if key in masks.of_key and (len(key) == 1 or _in_one_order(image, masks.of_key[key]))
    }
    return by_key if len(by_key) >= max(2, most) else {}


def _in_one_order(image: pathlib.Path, mask: pathlib.Path) -> bool:
    """Whether what both names have stands in one order: not so in `s1_f2` and `f1_s2`."""
    one, two = _tokens(image.stem), _tokens(mask.stem)
    return [token for token in one if token in two] == [token for token in two if token in one]


def _fit(pairs: _Pairs) -> bool:
    """Whether most of the masks are some; others are told of when they are read."""
    looked_at = _spread([*pairs.items()])
    fit = sum(_is_mask_of(mask, image) for image, mask in looked_at)
    return 2 * fit > len(looked_at)


def _spread(items: Sequence[_Name]) -> Sequence[_Name]:
    """Some of all, evenly."""
    return items[:: -(-len(items) // _LOOKED_AT)]


def _is_mask_of(mask: pathlib.Path, image: pathlib.Path) -> bool:
    values_hw = _values(mask)
    if values_hw is None or image.suffix.lower() not in IMAGE_SUFFIXES or not _is_flat(values_hw):
        return False
    try:
        return is_scaled(values_hw.shape, read_image(image).shape[:2])
    except HiersegError:  # told of when it is read as what it is
        return False


def _are_flat(files: Sequence[pathlib.Path]) -> bool:
    """Whether most files show few values in large areas."""
    looked_at = [_values(file) for file in _spread(files) if not is_photo(file)]
    flat = sum(values_hw is not None and _is_flat(values_hw) for values_hw in looked_at)
    return 2 * flat > len(looked_at)


def _is_flat(values_hw: np.ndarray) -> bool:
    same = np.mean(values_hw[:, 1:] == values_hw[:, :-1]) if values_hw.shape[1] > 1 else 0.0
    return bool(same >= _FLAT) and len(np.unique(values_hw)) <= MOST_VALUES


def _values(file: pathlib.Path) -> np.ndarray | None:
    try:
        return read_mask(file, colours=is_coloured(file))
    except HiersegError:
        return None

"""A mask for every class of a picture: `a_head.png` and `a_torso.png`, or `masks/head/a.png`.

Black is not of the class, and all else is. So CelebAMask-HQ lies, and what some tools export. Masks
are united, the smaller one on top, and brought to the size of their picture.
"""

import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hierseg_jax.data.prepare.classes import find_classes, value_of_none
from hierseg_jax.data.prepare.draw import Region, bitmap, paint
from hierseg_jax.data.prepare.file_words import (
    MASK_WORDS,
    OTHER_WORDS,
    Words,
    has,
    is_plain,
    key_of,
    words_of,
)
from hierseg_jax.data.prepare.mask_folders import (
    Folders,
    is_photo,
    left_out,
    splits_and_names,
)
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes
from hierseg_jax.data.read import png
from hierseg_jax.data.read.image_files import is_scaled, read_mask
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.sampling import nearest
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

# Masks that are looked into before a folder is taken for one of these.
_SAMPLE = 16


class _Found(NamedTuple):
    """Masks by picture and class, and sentences about what is left out."""

    masks: dict[pathlib.Path, dict[str, pathlib.Path]]
    notes: tuple[str, ...] = ()


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether pictures have masks of several classes, each of two values."""
    masks = _find(raw_dir).masks
    files = [file for of_picture in masks.values() for file in of_picture.values()]
    sample = [files[i] for i in spread_indices(len(files), _SAMPLE)]
    return bool(sample) and all(len(np.unique(_read(file))) <= 2 for file in sample)


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures that have masks.

    Raises:
      FileNotFoundError: there are none.
      ValueError: a sentence that names the file.
    """
    masks, rest = _find(raw_dir)
    if not masks:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no pictures with a mask for every class, such as a_head.png and "
            "a_torso.png beside a.jpg, or masks/head/a.png and masks/torso/a.png."
        )
    names = sorted({name for of_picture in masks.values() for name in of_picture})
    classes = find_classes(names, names, str(raw_dir), wishes)
    where = splits_and_names([*masks], raw_dir)
    pictures = [
        Picture(
            *where[image],
            image,
            next(iter(of_picture.values())),
            functools.partial(_united, of_picture, classes.values, wishes.order != "file"),
            listed_in=str(raw_dir),
        )
        for image, of_picture in masks.items()
    ]
    note = f"{raw_dir} has a mask for each class: {', '.join(names)}."
    unions = () if wishes.hierarchy else _unions(masks, names)
    notes = (note, *classes.notes, *unions, *rest)
    return RawData(pictures, classes.hierarchy, classes.labels, notes=notes)


def _unions(
    masks: Mapping[pathlib.Path, Mapping[str, pathlib.Path]], names: Sequence[str]
) -> tuple[str, ...]:
    """A sentence where the masks of one name are those of all others united: a group's."""
    if any(value_of_none(name) is not None for name in names):
        return ()
    files = [[of[name] for name in names] for of in masks.values() if len(of) == len(names) > 2]
    looked_at = [files[i] for i in spread_indices(len(files), _SAMPLE)]
    left, shown = set(range(len(names))), np.zeros(len(names), bool)
    for of_picture in looked_at:
        inside = [_read(file) != 0 for file in of_picture]
        if len({mask_hw.shape for mask_hw in inside}) > 1:
            return ()
        shown |= [mask_hw.any() for mask_hw in inside]
        left = {
            i
            for i in left
            if (inside[i] == np.logical_or.reduce(inside[:i] + inside[i + 1 :])).all()
        }
    if len(looked_at) < 2 or len(left) != 1 or not shown.all():
        return ()
    group = names[left.pop()]
    parts = ", ".join(name for name in names if name != group)
    return (
        f"{group} is all of {parts} in the {len(looked_at)} pictures that were looked at, "
        "so that it is hidden by them. It is their group: give a file as --hierarchy, and another "
        f"--out_dir: `names: [background, {parts}]`, `hierarchy: {{{group}: [{parts}]}}`, a line "
        "each.",
    )


def _united(
    masks: Mapping[str, pathlib.Path], values: Mapping[str, int], by_area: bool, size: Size
) -> np.ndarray:
    inside = {name: inside_of(file, size) for name, file in masks.items()}
    regions = [Region(values[name], bitmap(of, 0, 0, size)) for name, of in inside.items()]
    return paint(regions, size, by_area)


def inside_of(file: pathlib.Path, size: Size) -> np.ndarray:
    """What is not black: bool [H, W], of the picture's size."""
    mask_hw = _read(file)
    values = np.unique(mask_hw)
    if len(values) > 2:
        raise HiersegError(
            f"{file} holds {len(values)} values; a mask of one class holds black and another. "
            "Where masks hold several classes, give --from=masks."
        )
    inside_hw = mask_hw != 0
    if not is_scaled(inside_hw.shape, size):
        (h, w), (height, width) = inside_hw.shape, size
        raise HiersegError(
            f"{file} is {h} x {w} (height x width), which is no scale of its picture's "
            f"{height} x {width}."
        )
    return nearest(inside_hw, size[::-1])


def _read(file: pathlib.Path) -> np.ndarray:
    kind = png.colour_type(file)
    if kind in (png.RGB_ALPHA, png.GRAY_ALPHA):
        raise HiersegError(
            f"{file} has transparency, of which nobody knows whether it is of the class; store "
            "masks in black and white."
        )
    return read_mask(file, colours=kind == png.RGB)


def _find(root: pathlib.Path) -> _Found:
    """Nothing where masks have no classes, or pictures have one alone.

    Raises:
      ValueError: two masks of one class of a picture.
    """
    folders = Folders(root)
    elsewhere = [folders.masks_of(of_classes) for of_classes in (False, True)]
    masks: dict[pathlib.Path, dict[str, pathlib.Path]] = {}
    unmasked: list[pathlib.Path] = []
    doubled: list[str] = []
    for folder in folders.of_pictures:
        files = folders.files[folder]
        pictures = _by_key([file for file in files if is_photo(file)], doubled)
        near: list[tuple[str, Sequence[pathlib.Path]]] = [("", files)]
        if not any(_of_classes(pictures, files, "")):
            # Masks are elsewhere, and what lies here are pictures, whatever their format.
            others = [f for f in files if f.suffix.lower() in IMAGE_SUFFIXES and not is_photo(f)]
            near, pictures = [], _by_key(others, doubled) | pictures
        near += [(name, folders.files[m]) for of in elsewhere for name, m in of.get(folder, ())]
        for inside, candidates in near:
            for image, name, file in _of_classes(pictures, candidates, inside):
                first = masks.setdefault(image, {}).setdefault(name, file)
                if first != file:
                    doubled.append(f"{first} and {file} may both be the mask of {name} of {image}.")
        unmasked += [image for image in pictures.values() if image not in masks]
    names = {name for of_picture in masks.values() for name in of_picture}
    several = any(len(of_picture) > 1 for of_picture in masks.values())
    # Numbers are of things, and 1stHO of an annotator.
    if not several or any(name[0].isdigit() for name in names):
        return _Found({})
    if doubled:
        raise HiersegError(f"{doubled[0]} Take the one that is not meant out of --raw_dir.")
    used = {file for of_picture in masks.values() for file in of_picture.values()}
    used |= {*masks, *unmasked}
    listed = (file for files in folders.files.values() for file in files)
    others = [file for file in listed if file not in used and not is_photo(file)]
    keys = {key_of(image.stem) for image in masks}
    about_whole: tuple[str, ...] = ()
    said = (file for file in others if has(str(file.relative_to(root)), MASK_WORDS))
    if whole := next((file for file in said if key_of(file.stem) in keys), None):
        about_whole = (
            f"{whole} has the name of a picture. If it holds all classes, as numbers or colours, "
            "--from=masks reads such masks; give another --out_dir.",
        )
    about_others = left_out(unmasked, {"Of no class and no picture": others})
    return _Found(masks, (*about_others, *about_whole))


def _by_key(pictures: Iterable[pathlib.Path], doubled: list[str]) -> dict[Words, pathlib.Path]:
    """By the words of their names; 00007 is 7, unless both are there."""
    pictures = list(pictures)
    short = {_without_zeros(key_of(image.stem)): image for image in pictures}
    if len(short) == len(pictures):
        return short
    found: dict[Words, pathlib.Path] = {}
    for image in pictures:
        first = found.setdefault(key_of(image.stem), image)
        if first != image:
            doubled.append(f"Masks of {first} may be those of {image}, too.")
    return found


def _of_classes(
    pictures: Mapping[Words, pathlib.Path], files: Iterable[pathlib.Path], folder: str
) -> Iterator[tuple[pathlib.Path, str, pathlib.Path]]:
    """Picture, class and mask: the class is what a mask's name has more, or its folder's."""
    for file in files:
        words = [word for word in words_of(file.stem) if is_plain(word)]
        if file.suffix.lower() not in MASK_SUFFIXES:
            continue
        plain = tuple(word.casefold() for word in words)
        for key in (plain, _without_zeros(plain)):
            at = next((n for n in range(len(key), 0, -1) if key[:n] in pictures), 0)
            more = words[at:] or [word for word in words_of(folder) if is_plain(word)]
            if at and more and not has(" ".join(more), OTHER_WORDS):
                yield pictures[key[:at]], "_".join(more), file
                break


def _without_zeros(words: Words) -> Words:
    return tuple(word.lstrip("0") or "0" if word.isdigit() else word for word in words)

"""A mask for every class of a picture: `a_head.png` and `a_torso.png`, or `head/a.png`.

Black is not of the class, and all else is. So CelebAMask-HQ lies, and what some tools export. Masks
are united, the smaller one on top, and brought to the size of their picture.
"""

import functools
import pathlib
import re
from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.draw import Region, bitmap, paint
from hierseg_jax.data.prepare.file_words import (
    MASK_WORDS,
    OTHER_WORDS,
    PICTURE_WORDS,
    begins_with,
    differ_in_a_part,
    files_by_folder,
    holds_masks,
    picture_name,
    words_of,
)
from hierseg_jax.data.prepare.folders import split_of
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes
from hierseg_jax.data.read import png
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
# By which words of a file's name are apart.
_APART = r"[^0-9A-Za-z]+"
_MASKS = Mapping[pathlib.Path, Mapping[str, pathlib.Path]]


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether pictures have masks of several classes."""
    return bool(_find(raw_dir))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures that have masks.

    Raises:
      FileNotFoundError: there are none.
      ValueError: a sentence that names the file.
    """
    masks = _find(raw_dir)
    if not masks:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no pictures with a mask for every class, such as a_head.png and "
            "a_torso.png beside a.jpg, or head/a.png and torso/a.png."
        )
    names = sorted({name for of_picture in masks.values() for name in of_picture})
    classes = find_classes(names, names, str(raw_dir), wishes)
    pictures = [
        Picture(
            split_of(inside),
            picture_name(inside, image.stem),
            image,
            next(iter(of_picture.values())),
            functools.partial(_united, of_picture, classes.values, wishes.order != "file"),
            listed_in=str(raw_dir),
        )
        for image, of_picture in masks.items()
        for inside in (image.parent.relative_to(raw_dir),)
    ]
    note = f"{raw_dir} has a mask for each class: {', '.join(names)}."
    return RawData(pictures, classes.hierarchy, classes.labels, notes=(note, *classes.notes))


def _united(
    masks: Mapping[str, pathlib.Path], values: Mapping[str, int], by_area: bool, size: Size
) -> np.ndarray:
    inside = {name: _inside(file, size) for name, file in masks.items()}
    regions = [Region(values[name], bitmap(of, 0, 0, size)) for name, of in inside.items()]
    return paint(regions, size, by_area)


def _inside(file: pathlib.Path, size: Size) -> np.ndarray:
    """What is not black: bool [H, W], of the picture's size."""
    coloured = png.colour_type(file) in (png.RGB, png.RGB_ALPHA)
    mask_hw = (read_mask(file, colours=coloured) != 0).astype(np.uint8)
    (height, width), (h, w) = size, mask_hw.shape
    # To half a pixel of the smaller one: its sides were rounded.
    if 2 * abs(height * w - width * h) > max(*size, *mask_hw.shape):
        raise HiersegError(
            f"{file} is {h} x {w} (height x width), which is no scale of its picture's "
            f"{height} x {width}."
        )
    if mask_hw.shape != size:
        mask_hw = cv2.resize(mask_hw, (width, height), interpolation=cv2.INTER_NEAREST)
    return mask_hw.astype(bool)


def _find(root: pathlib.Path) -> _MASKS:
    """Picture -> class -> mask; empty where masks have no classes, or pictures have one alone."""
    folders = files_by_folder(root)
    of_masks = [folder for folder, files in folders.items() if holds_masks(folder, files)]
    found: dict[pathlib.Path, dict[str, pathlib.Path]] = {}
    for folder, files in folders.items():
        photos = [file for file in files if file.suffix.lower() in LOSSY_SUFFIXES]
        if not photos and folder in of_masks:
            continue
        beside = _by_class(photos, files, "")
        near = [
            (other, [part for part in other.parts if part not in folder.parts])
            for other in of_masks
            if differ_in_a_part(folder.parts, other.parts) and split_of(folder) == split_of(other)
        ]
        pictures = photos or [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
        for other, parts in near:
            for image, masks in _by_class(pictures, folders[other], _class(parts)).items():
                beside.setdefault(image, {}).update(masks)
        found |= beside
    several = any(len(masks) > 1 for masks in found.values())
    named = all(name and not name.isdigit() for masks in found.values() for name in masks)
    return found if several and named else {}


def _by_class(
    pictures: Iterable[pathlib.Path], files: Iterable[pathlib.Path], of_folder: str
) -> dict[pathlib.Path, dict[str, pathlib.Path]]:
    """Picture -> class -> mask; the class is what a mask's name has more, or the folder's."""
    # 00007_hair.png is of 7.jpg.
    by_stem = {_ZEROS.sub("", image.stem): image for image in pictures}
    taken = {*by_stem.values()}
    found: dict[pathlib.Path, dict[str, pathlib.Path]] = {}
    for file in files:
        stem = _ZEROS.sub("", file.stem)
        first = begins_with(stem, by_stem)
        if file.suffix.lower() not in MASK_SUFFIXES or file in taken or not first:
            continue
        words = re.split(_APART, stem.removeprefix(first))
        if not {word.lower() for word in words} & OTHER_WORDS:
            found.setdefault(by_stem[first], {})[_class(words) or of_folder] = file
    return found


def _class(words: Iterable[str]) -> str:
    """What is left of words without those that say mask or picture."""
    return "_".join(w for w in words if w and not words_of(w) & (MASK_WORDS | PICTURE_WORDS))

"""A mask for every object of a picture, in a folder of the picture's own.

`ID/images/ID.png` and `ID/masks/*.png`, as the Data Science Bowl of 2018 has its nuclei. Masks are
united: which object a pixel is of is no matter of classes.
"""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.prepare.class_masks import inside_of
from hierseg_jax.data.prepare.classes import BACKGROUND
from hierseg_jax.data.prepare.file_words import MASK_WORDS, has, key_of
from hierseg_jax.data.prepare.folders import split_of, walk_files
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.hierarchy import Hierarchy

_Masks = dict[pathlib.Path, list[pathlib.Path]]


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether there are pictures with several masks each."""
    return bool(_find(raw_dir))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures that have a folder of masks.

    Raises:
      FileNotFoundError: there are none.
      HiersegError: a tree of several classes.
    """
    masks = _find(raw_dir)
    if not masks:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no folders of pictures with a mask for every object, such as "
            "a/images/a.png and a/masks/1.png."
        )
    wishes.refuse_labels(str(raw_dir))
    tree = wishes.hierarchy or Hierarchy.from_mapping(["object"], [BACKGROUND, "object"], ["class"])
    if tree.num_classes != 2:
        raise HiersegError(
            f"{raw_dir} has masks of objects without a class, and the tree has "
            f"{tree.num_classes}, {', '.join(tree.class_names)}; give one with a background and a "
            "class."
        )
    pictures = [
        Picture(
            split_of(image.relative_to(raw_dir).parent),
            image.parent.parent.name,
            image,
            files[0],
            functools.partial(_united, tuple(files)),
            listed_in=str(raw_dir),
        )
        for image, files in masks.items()
    ]
    several = counted(sum(map(len, masks.values())), "mask")
    note = f"{several} of objects are united, picture by picture, as {tree.class_names[1]}."
    return RawData(pictures, tree, notes=(note,))


def _united(files: Sequence[pathlib.Path], size: Size) -> np.ndarray:
    mask_hw = np.zeros(size, np.uint8)
    for file in files:
        mask_hw[inside_of(file, size)] = 1
    return mask_hw


def _find(root: pathlib.Path) -> _Masks:
    """Picture -> its masks; empty where masks are called after pictures, or each has one alone."""
    files: dict[pathlib.Path, list[pathlib.Path]] = {}
    for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
        files.setdefault(file.parent, []).append(file)
    beside: dict[pathlib.Path, list[pathlib.Path]] = {}
    for folder in files:
        beside.setdefault(folder.parent, []).append(folder)
    found: _Masks = {}
    for folder, masks in files.items():
        if not has(folder.name, MASK_WORDS) or folder.parent == root:
            continue
        others = [other for other in beside[folder.parent] if other != folder]
        if len(others) != 1 or len(files[others[0]]) != 1:
            return {}
        (image,) = files[others[0]]
        if any(key_of(mask.stem) == key_of(image.stem) for mask in masks):
            return {}
        found[image] = [mask for mask in masks if mask.suffix.lower() in MASK_SUFFIXES]
    few = len(found) < 2 or sum(map(len, found.values())) <= len(found)
    return {} if few or not all(found.values()) else found

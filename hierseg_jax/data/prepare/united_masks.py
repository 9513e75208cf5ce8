"""Several masks of a picture, each of a thing of the same kind, as one."""

import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hierseg_jax.data.prepare.colours import is_coloured
from hierseg_jax.data.prepare.picture import Size
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.system.errors import HiersegError

_MOSTLY = 0.5


def united(
    files: Sequence[pathlib.Path], read: Callable[[pathlib.Path], np.ndarray], size: Size
) -> np.ndarray:
    """What one of the masks of a picture shows, which mostly is one alone."""
    del size
    label_hw = read(files[0])
    for file in files[1:]:
        if (other_hw := read(file)).shape != label_hw.shape:
            raise HiersegError(f"{file} and {files[0]}, of one picture, are not of one size.")
        label_hw = np.maximum(label_hw, other_hw)
    return label_hw


def show_one_thing(files: Iterable[pathlib.Path]) -> bool:
    """Whether masks hold one number, the same in all, where 0 is the most of them."""
    found: set[int] = set()
    shares = []
    for file in files:
        if is_coloured(file):
            return False
        mask_hw = read_mask(file)
        found |= {*np.unique(mask_hw).tolist()}
        shares.append((mask_hw != 0).mean())
    return len(found - {0}) < 2 and float(np.mean(shares)) < _MOSTLY

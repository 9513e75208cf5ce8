"""Masks of one thing, white on black, whose edges are soft: of JPEG, or drawn smoothly."""

import dataclasses
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.prepare.mask_folders import is_photo
from hierseg_jax.data.prepare.mask_kind import is_coloured
from hierseg_jax.data.prepare.picture import Size
from hierseg_jax.data.read.image_files import read_image, read_mask
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.errors import HiersegError

DARK, BRIGHT = 40, 215
"""The most of what is black and the least of what is white; JPEG does not keep 0 and 255."""
_HALF = 128
# Channels of a grey that JPEG has stored as colours differ by as much.
_GREY = 24
# Areas of one grey are classes: in so large a window values differ by less than that, at more of
# the pixels between black and white than this.
_LOOKED_AT = 50  # before all are
_WINDOW, _EVEN, _AREAS = 5, 32, 0.05


@dataclasses.dataclass(frozen=True)
class Halved:
    """`Draw` of such a mask: 1 where it is half as bright as white, or more."""

    file: pathlib.Path

    def __call__(self, size: Size) -> np.ndarray | None:
        """uint8 [H, W] of 0 and 1, of the mask's own size."""
        del size
        grey_hw = _brightness(self.file)
        if grey_hw is None:
            raise HiersegError(f"{self.file} holds colours, and other masks are white on black.")
        return (grey_hw >= _HALF).astype(np.uint8)


def are_soft(masks: Sequence[pathlib.Path]) -> bool:
    """Whether all masks are black and white, with other greys at the edges between them alone."""
    some = [masks[index] for index in spread_indices(len(masks), _LOOKED_AT)]
    return _are_soft(some) and (len(some) == len(masks) or _are_soft(masks))


def _are_soft(masks: Sequence[pathlib.Path]) -> bool:
    held = np.zeros(256, bool)
    lossy = False
    for file in masks:
        grey_hw = _brightness(file)
        if grey_hw is None:
            return False
        lossy |= is_photo(file)
        held |= count_labels(grey_hw) > 0
        between_hw = (grey_hw > DARK) & (grey_hw < BRIGHT)
        if not between_hw.any():
            continue
        window = np.ones((_WINDOW, _WINDOW), np.uint8)
        spread_hw = cv2.dilate(grey_hw, window) - cv2.erode(grey_hw, window)
        if (spread_hw[between_hw] < _EVEN).mean() > _AREAS:
            return False
    # Of classes from 1 on, and 255 for what is ignored, none is between, nor nearly white.
    smooth = held[DARK + 1 : BRIGHT].any() or held[BRIGHT:255].sum() > 1
    return bool(held[BRIGHT:].any() and (lossy or smooth))


def _brightness(file: pathlib.Path) -> np.ndarray | None:
    """uint8 [H, W]; None of colours, and of numbers that are no bytes.

    Raises:
      HiersegError: a file that can't be read.
    """
    if is_photo(file):
        image_hwc = read_image(file)
    elif is_coloured(file):
        packed_hw = read_mask(file, colours=True)
        image_hwc = np.stack([packed_hw >> shift & 255 for shift in (16, 8, 0)], -1).astype(
            np.uint8
        )
    else:
        mask_hw = read_mask(file)
        if mask_hw.min() < 0 or mask_hw.max() > 255:
            return None
        return mask_hw.astype(np.uint8)
    if (image_hwc.max(-1) - image_hwc.min(-1)).max() > _GREY:
        return None
    return cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY)

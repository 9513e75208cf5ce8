"""Masks of one thing, white on black, whose edges are soft: of JPEG, or drawn smoothly."""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.prepare.colours import is_coloured
from hierseg_jax.data.prepare.mask_folders import is_photo
from hierseg_jax.data.read.image_files import read_image, read_mask
from hierseg_jax.data.read.mask_values import UNLABELLED
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.errors import HiersegError

DARK, BRIGHT = 40, 215
"""The most of what is black and the least of what is white; JPEG does not keep 0 and 255."""
_HALF = 128
# Channels of a grey that JPEG has stored as colours differ by as much.
_GREY = 24
_LOOKED_AT = 50  # before all are
# Areas of a value are those of a class, in so large a window, if its values differ by no more: of a
# grey more than this share of all greys, of another black or white this share of all pixels.
_WINDOW, _EVEN, _AREAS, _LEAST = 5, 2, 0.05, 20
_OTHERS = 0.02
# Greys at edges have black and white within so many pixels; those of a thin class have not.
_REACH, _BETWEEN = 4, 0.9
# And they are many, of which no band of so many has so large a share; a rim has one.
_GREYS, _BAND, _CROWDED = 8, 32, 0.5


def halved(file: pathlib.Path, dark: int, bright: int) -> np.ndarray:
    """Such a mask at its own size: `bright` where it is half as bright as white or more."""
    grey_hw = _brightness(file)
    if grey_hw is None:
        raise HiersegError(f"{file} holds colours, and other masks are white on black.")
    return np.where(grey_hw >= _HALF, bright, dark).astype(np.uint8)


def white_share(masks: Sequence[pathlib.Path], hard: bool = False) -> float | None:
    """Of masks that are black and white, with greys at the edges between them alone.

    Masks that can't be read are told of when they are checked.

    Args:
      masks: the files.
      hard: whether masks of 0 and 255 alone are such, too.

    Returns:
      Of all pixels the share that is half as bright as white or more; None for other masks.

    Raises:
      HiersegError: one of a few with areas of grey among soft ones.
    """
    some = [masks[index] for index in spread_indices(len(masks), _LOOKED_AT)]
    found = _looked_over(some, hard)
    return found if found is None or len(some) == len(masks) else _looked_over(masks, hard)


def _looked_over(masks: Sequence[pathlib.Path], hard: bool) -> float | None:
    counts, even = np.zeros(256, np.int64), np.zeros(256, np.int64)
    with_areas, between = [], 0
    for file in masks:
        try:
            grey_hw = _brightness(file)
        except HiersegError:
            continue
        if grey_hw is None:
            return None
        window = np.ones((_WINDOW, _WINDOW), np.uint8)
        even_hw = cv2.dilate(grey_hw, window) - cv2.erode(grey_hw, window) <= _EVEN
        grey = (grey_hw > DARK) & (grey_hw < BRIGHT)
        count = np.count_nonzero(grey)
        if count >= _LEAST and np.count_nonzero(grey & even_hw) > _AREAS * count:
            with_areas.append(file)
            if 10 * len(with_areas) > len(masks):
                return None
            continue
        counts += count_labels(grey_hw)
        even += count_labels(grey_hw[even_hw])
        if count:
            around = np.ones((2 * _REACH + 1,) * 2, np.uint8)
            black_hw = cv2.erode(grey_hw, around) <= DARK
            between += int(
                np.count_nonzero(grey & black_hw & (cv2.dilate(grey_hw, around) >= BRIGHT))
            )
    if hard and not counts[1:255].any() and counts[255]:
        return float(counts[255] / counts.sum())
    total = counts[DARK + 1 : BRIGHT].sum()
    if between < _BETWEEN * total or not _are_of_edges(counts, even, any(map(is_photo, masks))):
        return None
    if with_areas:
        raise HiersegError(
            f"{with_areas[0]} has areas of grey, and other masks are black and white with soft "
            "edges. If grey is a class, name the values by `labels` in a --hierarchy file, with "
            "`unknown: ignore` for all others; if not, mend the mask or take it away."
        )
    return float(counts[_HALF:].sum() / counts.sum())


def _are_of_edges(counts: np.ndarray, even: np.ndarray, lossy: bool) -> bool:
    """Whether values are those of black and white, by how many pixels of all masks have each.

    Args:
      counts, even: integer [256], of all pixels, and of those in areas of one value.
      lossy: whether there is JPEG among the masks.
    """
    if not counts[BRIGHT:].any():
        return False
    # There is one black and one white, and next to no area of another.
    for end in (slice(0, DARK + 1), slice(BRIGHT, 256)):
        most = even[end].argmax()
        near = np.abs(np.arange(len(even[end])) - most) <= _EVEN
        if even[end][~near].sum() > _OTHERS * counts.sum():
            return False
    between = counts[DARK + 1 : BRIGHT]
    total = between.sum()
    if total >= _LEAST:
        bands = np.convolve(between, np.ones(_BAND), "valid")
        if bands.max() > _CROWDED * total:
            return False
    smooth = total >= _LEAST or np.count_nonzero(counts[BRIGHT:255]) > 1
    return lossy or bool(smooth and np.count_nonzero(counts[1:255]) >= _GREYS)


def _brightness(file: pathlib.Path) -> np.ndarray | None:
    """uint8 [H, W]; None of colours, and of numbers that are no bytes.

    Raises:
      HiersegError: a file that can't be read.
    """
    if is_photo(file):
        image_hwc = read_image(file)
    elif is_coloured(file):
        packed_hw = read_mask(file, colours=True)
        channels = [packed_hw >> shift & 255 for shift in (16, 8, 0)]
        image_hwc = np.stack(channels, -1).astype(np.uint8)
    else:
        mask_hw = read_mask(file)
        if mask_hw.dtype.kind == "i":
            mask_hw = np.where(mask_hw == UNLABELLED, 0, mask_hw)
        if mask_hw.min() < 0 or mask_hw.max() > 255:
            return None
        return mask_hw.astype(np.uint8)
    if (image_hwc.max(-1) - image_hwc.min(-1)).max() > _GREY:
        return None
    return cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY)

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
from hierseg_jax.data.read.mask_values import UNLABELLED
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.errors import HiersegError

DARK, BRIGHT = 40, 215
"""The most of what is black and the least of what is white; JPEG does not keep 0 and 255."""
_HALF = 128
# Channels of a grey that JPEG has stored as colours differ by as much.
_GREY = 24
_LOOKED_AT = 50  # before all are
# Areas of one grey are classes: in so large a window values differ by less than that, at more of
# the pixels between black and white than this. Of a mask that has as many of them.
_WINDOW, _EVEN, _AREAS, _LEAST = 5, 32, 0.05, 20
# Thin classes have no areas, but one grey: smooth edges have so many greys at least, and not so
# large a share of them within a band of as many greys.
_GREYS, _BAND, _CROWDED = 8, 32, 0.5
# A line that was scaled down is hardly anywhere half as bright as white.
_THIN = 0.3


@dataclasses.dataclass(frozen=True)
class Halved:
    """`Draw` of such a mask, by what is half as bright as white, or more.

    Attributes:
      file: of the mask.
      dark, bright: the labels of what is not, and of what is.
    """

    file: pathlib.Path
    dark: int = 0
    bright: int = 1

    def __call__(self, size: Size) -> np.ndarray | None:
        """uint8 [H, W] of the two labels, of the mask's own size."""
        del size
        grey_hw = _brightness(self.file)
        if grey_hw is None:
            raise HiersegError(f"{self.file} holds colours, and other masks are white on black.")
        return np.where(grey_hw >= _HALF, self.bright, self.dark).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class SoftMasks:
    """What such masks are told of.

    Attributes:
      share: of all pixels, those that are half as bright as white or more.
      thin: masks most of whose grey is not.
    """

    share: float
    thin: tuple[pathlib.Path, ...]


def soft_masks(masks: Sequence[pathlib.Path]) -> SoftMasks | None:
    """None unless masks are black and white, with other greys at the edges between them alone.

    Masks that can't be read are told of when they are checked.

    Raises:
      HiersegError: one of a few with areas of grey among soft ones.
    """
    some = [masks[index] for index in spread_indices(len(masks), _LOOKED_AT)]
    found = _looked_over(some)
    return found if found is None or len(some) == len(masks) else _looked_over(masks)


def _looked_over(masks: Sequence[pathlib.Path]) -> SoftMasks | None:
    counts = np.zeros(256, np.int64)
    with_areas, thin = [], []
    for file in masks:
        try:
            grey_hw = _brightness(file)
        except HiersegError:
            continue
        if grey_hw is None:
            return None
        of_mask = count_labels(grey_hw)
        if _has_areas(grey_hw):
            with_areas.append(file)
            if 10 * len(with_areas) > len(masks):
                return None
            continue
        counts += of_mask
        visible = of_mask[DARK + 1 :].sum()
        if visible and of_mask[_HALF:].sum() < _THIN * visible:
            thin.append(file)
    if not _are_of_edges(counts, any(map(is_photo, masks))):
        return None
    if with_areas:
        raise HiersegError(
            f"{with_areas[0]} has areas of grey, and other masks are black and white with soft "
            "edges. If grey is a class, name the values by `labels` in a --hierarchy file, with "
            "`unknown: ignore` for all others; if not, mend the mask or take it away."
        )
    return SoftMasks(counts[_HALF:].sum() / counts.sum(), tuple(thin))


def _has_areas(grey_hw: np.ndarray) -> bool:
    between_hw = (grey_hw > DARK) & (grey_hw < BRIGHT)
    if np.count_nonzero(between_hw) < _LEAST:
        return False
    window = np.ones((_WINDOW, _WINDOW), np.uint8)
    spread_hw = cv2.dilate(grey_hw, window) - cv2.erode(grey_hw, window)
    return bool((spread_hw[between_hw] < _EVEN).mean() > _AREAS)


def _are_of_edges(counts: np.ndarray, lossy: bool) -> bool:
    """Whether greys are those of edges, by how many pixels of all masks have each."""
    if not counts[BRIGHT:].any():
        return False
    between = counts[DARK + 1 : BRIGHT]
    total = between.sum()
    if total >= _LEAST:
        bands = np.convolve(between, np.ones(_BAND), "valid")
        if bands.max() > _CROWDED * total:
            return False
    # Of classes from 1 on, and 255 for what is ignored, none is between, nor nearly white.
    smooth = total > 0 or np.count_nonzero(counts[BRIGHT:255]) > 1
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

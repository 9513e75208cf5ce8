"""Which examples the page shows, and their photographs and label maps, small."""

from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.inspection.examine import Examined, Usable
from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.resize import Placement, Resize
from hierseg_jax.data.sizes import bounded

SIDE = 512
"""Pixels of the longer side on the page."""


def choose_examples(present_nl: np.ndarray, most: int) -> list[int]:
    """Examples that together show as many labels as possible, then some from all over.

    Args:
      present_nl: bool [N, L], whether an example has a label.
      most: how many, where there are so many.
    """
    chosen: list[int] = []
    left_l = present_nl.any(0)
    while left_l.any() and len(chosen) < most:
        chosen.append(int((present_nl & left_l).sum(1).argmax()))
        left_l &= ~present_nl[chosen[-1]]
    left = [index for index in range(len(present_nl)) if index not in chosen]
    fill = min(most - len(chosen), len(left))
    return chosen + [left[i] for i in np.linspace(0, len(left) - 1, fill).astype(int)]


def photograph(example: Examined) -> np.ndarray:
    """The image, its longer side at most SIDE: uint8 RGB [h, w, 3].

    Raises:
      ValueError, OSError: it has changed since and can't be read.
    """
    image_hwc = read_image(example.pair.image)
    return _shrinking(image_hwc.shape[:2]).fit_image(image_hwc)


def label_map(example: Examined, values: MaskMeaning) -> np.ndarray:
    """The labels of an example, small: uint8 [h, w].

    Raises:
      ValueError, OSError: the mask has changed since and can't be read.
    """
    label_hw = values.labels(values.read(example.pair.mask), example.pair.mask)
    label_hw = np.ascontiguousarray(label_hw)
    return _shrinking(label_hw.shape).fit_labels(label_hw)


def presence(examples: Sequence[Usable]) -> np.ndarray:
    """Which labels, the background included, an example has: bool [N, L]."""
    return np.stack([example.counts_l[:-1] > 0 for example in examples])


def _shrinking(picture: tuple[int, int]) -> Placement:
    return Resize().place(picture, bounded(picture, SIDE))

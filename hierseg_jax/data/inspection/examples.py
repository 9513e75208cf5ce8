"""Which examples the page shows, and their photographs and label maps, small."""

from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.inspection.examine import Examined, Usable
from hierseg_jax.data.read.image_files import read_image, read_mask
from hierseg_jax.reports.inline_pictures import shrink


def choose_examples(present_nc: np.ndarray, most: int) -> list[int]:
    """Examples that together show as many classes as possible, then some from all over.

    Args:
      present_nc: bool [N, C], whether an example has a class.
      most: how many, where there are so many.
    """
    chosen: list[int] = []
    left_c = present_nc.any(0)
    while left_c.any() and len(chosen) < most:
        chosen.append(int((present_nc & left_c).sum(1).argmax()))
        left_c &= ~present_nc[chosen[-1]]
    left = [index for index in range(len(present_nc)) if index not in chosen]
    fill = min(most - len(chosen), len(left))
    return chosen + [left[i] for i in np.linspace(0, len(left) - 1, fill).astype(int)]


def photograph(example: Examined) -> np.ndarray:
    """The image, small: uint8 RGB [h, w, 3]; raises where it has changed and can't be read."""
    return shrink(read_image(example.pair.image))


def label_map(example: Examined) -> np.ndarray:
    """The leaf classes of an example, small: uint8 [h, w]; raises as `photograph`."""
    return shrink(np.ascontiguousarray(read_mask(example.pair.mask), np.uint8))


def presence(examples: Sequence[Usable]) -> np.ndarray:
    """Which leaf classes, background included, an example has: bool [N, C]."""
    return np.stack([example.counts_c[:-1] > 0 for example in examples])

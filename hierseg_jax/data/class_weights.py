"""Weights of classes from how often a training split shows them."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.sources import Source
from hierseg_jax.errors import HiersegError
from hierseg_jax.hierarchy import Hierarchy

RULES = ("none", "inverse_sqrt", "median_frequency")


@dataclasses.dataclass(frozen=True)
class Frequencies:
    """Of the classes of one level over a split, ignored pixels left out.

    Attributes:
      pixels_c: int64 [C], pixels of every class.
      where_c: int64 [C], pixels of the images that show the class.
    """

    pixels_c: np.ndarray
    where_c: np.ndarray


def count_frequencies(source: Source, hierarchy: Hierarchy) -> tuple[Frequencies, ...]:
    """Reads a whole split: frequencies at every level, coarse to fine.

    Raises:
      ValueError, OSError: of the source, for an example that can't be read.
    """

    def count(index: int) -> np.ndarray:
        return count_labels(source[index]["label"])[: hierarchy.num_classes]

    sums = [np.zeros((2, level.num_classes), np.int64) for level in hierarchy.levels]
    # Reading and decoding leave Python's lock alone.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for leaf_c in pool.map(count, range(len(source))):
            for total_2c, level in zip(sums, hierarchy.levels, strict=True):
                level_c = np.zeros(level.num_classes, np.int64)
                np.add.at(level_c, level.leaf_to_class, leaf_c.astype(np.int64))
                total_2c += np.stack([level_c, np.where(level_c > 0, level_c.sum(), 0)])
    return tuple(Frequencies(*total_2c) for total_2c in sums)


def weights_of(frequencies: Frequencies, rule: str) -> tuple[float, ...]:
    """Weights of the classes of a level; those of classes that occur have the mean 1.

    `inverse_sqrt`: 1 / sqrt(share of the pixels). `median_frequency` (Eigen and Fergus, ICCV
    2015, arXiv 1411.4734, section 6.3.2): the inverse of a class's share of the pixels of
    those images that show it. (There times the median of these shares, which the mean of 1
    takes the place of.) A class that never occurs has the weight 1.

    Args:
      frequencies: of the level.
      rule: of `RULES`, not `none`.

    Raises:
      ValueError: for another rule.
    """
    pixels_c = frequencies.pixels_c.astype(np.float64)
    occurs_c = pixels_c > 0
    if rule == "inverse_sqrt":
        share_c = np.sqrt(pixels_c)
    elif rule == "median_frequency":
        share_c = pixels_c / np.maximum(frequencies.where_c, 1)
    else:
        raise HiersegError(f"There is no rule {rule!r} of class weights; choose of {RULES[1:]}.")
    weights_c = 1 / np.where(occurs_c, share_c, 1.0)
    if occurs_c.any():
        weights_c /= weights_c[occurs_c].mean()
    return tuple(float(weight) for weight in np.where(occurs_c, weights_c, 1.0))

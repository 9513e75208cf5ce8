"""Weights of classes: given, or from how often a training split shows them."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.read.mixture import draws_of_each
from hierseg_jax.data.read.source import Source, read_label
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

RULES = ("none", "inverse_sqrt", "median_frequency")
# Bounds, as factors on the weight of the median class. A class of 0.01 % of the pixels would
# have 8,000 times the weight of the background, and its few pixels, mislabelled ones among
# them, would rule the gradient.
MIN_WEIGHT, MAX_WEIGHT = 0.1, 10.0
# Of weights that are given: beyond, float32 would lose the other classes beside it.
MOST = 1e6


@dataclasses.dataclass(frozen=True)
class Frequencies:
    """Of the classes of one level over a split, pixels without a class there left out.

    Attributes:
      pixels_c: float64 [C], pixels of every class, as often as an epoch draws them.
      where_c: float64 [C], pixels of the images that show the class.
    """

    pixels_c: np.ndarray
    where_c: np.ndarray


def count_frequencies(source: Source, hierarchy: Hierarchy) -> tuple[Frequencies, ...]:
    """Reads a whole split: frequencies at every level, coarse to fine.

    Images of a mixture count as often as an epoch draws them.
    """
    labels = hierarchy.labels

    def count(index: int) -> np.ndarray:
        return count_labels(read_label(source, index))[: len(labels.names)]

    known_kl = labels.classes_kl != IGNORE_LABEL
    sums = [np.zeros((2, level.num_classes)) for level in hierarchy.levels]
    # Reading and decoding leave Python's lock alone.
    with ThreadPoolExecutor(min(8, available_cores())) as pool:
        counts = pool.map(count, range(len(source)))
        for label_l, draws in zip(counts, draws_of_each(source), strict=True):
            for total_2c, class_l, known_l in zip(sums, labels.classes_kl, known_kl, strict=True):
                level_c = np.bincount(class_l[known_l], label_l[known_l], len(total_2c[0]))
                seen_2c = np.stack([level_c, np.where(level_c > 0, level_c.sum(), 0)])
                total_2c += draws * seen_2c
    return tuple(Frequencies(*total_2c) for total_2c in sums)


def weights_of(frequencies: Frequencies, rule: str) -> tuple[float, ...]:
    """Weights of the classes of a level; those of classes that occur have the mean 1.

    `inverse_sqrt`: 1 / sqrt(share of the pixels). `median_frequency` (Eigen and Fergus, ICCV
    2015, arXiv 1411.4734, section 6.3.2): the inverse of a class's share of the pixels of
    those images that show it. Either is kept within `MIN_WEIGHT` and `MAX_WEIGHT` times that
    of the median class before the mean is made 1. A class that never occurs has the weight 1.

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
    weights_c = np.ones(len(pixels_c))
    if occurs_c.any():
        share_c = share_c[occurs_c]
        bounded_c = np.clip(np.median(share_c) / share_c, MIN_WEIGHT, MAX_WEIGHT)
        weights_c[occurs_c] = bounded_c / bounded_c.mean()
    return tuple(weights_c.tolist())


def parse_class_weights(text: str) -> str | tuple[float, ...] | dict[str, float]:
    """What `loss_options.class_weights` says.

    Returns:
      One of `RULES`; or of `1, 2.5, 0.3` the numbers; or of `torso: 1.2, head: 3` the numbers
      by name.

    Raises:
      ValueError: for anything else, weights below 0 or above `MOST`, and only zeros.
    """
    if text in RULES:
        return text
    names, colons, numbers = zip(*(part.rpartition(":") for part in text.split(",")), strict=True)
    try:
        weights = tuple(map(float, numbers))
    except ValueError:
        weights = ()
    if not weights or any(colons) != all(colons):
        raise HiersegError(
            f"The config's loss_options.class_weights is {text!r}; it must be "
            f"{', '.join(RULES[:-1])} or {RULES[-1]}, or weights: a number for every leaf class, "
            "in order, as in '0.3,1,2.5', or names with numbers, as in "
            "'torso: 1.2, head: 3', the others having 1."
        )
    if not all(0 <= weight <= MOST for weight in weights) or not any(weights):
        raise HiersegError(
            f"The config's loss_options.class_weights is {text!r}; weights are 0 or more, at most "
            f"{MOST:,.0f}, and one is above 0."
        )
    if not any(colons):
        return weights
    by_name = dict(zip(map(str.strip, names), weights, strict=True))
    if len(by_name) < len(names):
        raise HiersegError(
            f"The config's loss_options.class_weights names a class twice: {text!r}."
        )
    return by_name


def given_weights(
    weights: tuple[float, ...] | dict[str, float], hierarchy: Hierarchy
) -> tuple[tuple[float, ...], ...]:
    """Weights of the classes of every level, coarse to fine, from those of leaf classes.

    A group has the mean weight of its leaves: at an upper level, too, a pixel then counts as
    the user's weights say, and equal weights below are the same weight above.

    Raises:
      ValueError: for another number of weights than of classes, or a name that is no class.
    """
    names = hierarchy.class_names
    if isinstance(weights, dict):
        for name in weights:
            if name not in names:
                hint = did_you_mean(name, names, f"they are {', '.join(names)}.")
                raise HiersegError(
                    f"The config's loss_options.class_weights names {name!r}, which is no leaf "
                    f"class; {hint}"
                )
        weights = tuple(weights.get(name, 1.0) for name in names)
    if len(weights) != len(names):
        raise HiersegError(
            f"The config's loss_options.class_weights has {len(weights)} numbers; there are "
            f"{len(names)} classes ({', '.join(names)})."
        )
    leaf_c = np.asarray(weights, np.float64)
    return tuple(
        tuple(
            float(leaf_c[level.leaf_to_class == index].mean()) for index in range(level.num_classes)
        )
        for level in hierarchy.levels
    )

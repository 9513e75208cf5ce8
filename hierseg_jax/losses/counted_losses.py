"""Cross-entropy and losses of regions, at several levels at once, from the same few counts.

Taken one by one, each goes over all pixels several times at each level. What counts for all of
them goes over them once; Lovász-softmax needs counts of its own.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.counted_levels import CountedLevels
from hierseg_jax.losses.flat import TVERSKY, Counted, Loss, mean_of_classes
from hierseg_jax.losses.lovasz_softmax import BINS, lovasz_of_bins
from hierseg_jax.losses.pixels import flatten_pixels, total_over

COUNTED = ("crossentropy", *TVERSKY, "lovasz")
"""Losses that are made of counts, of labels of any depth and with class weights, where they have no
other options."""


@dataclasses.dataclass(frozen=True)
class Counters:
    """What counts the pixels of logits that have 32 bits or fewer.

    All take labels int32 [N], below L, or -1 where a pixel counts nowhere; and classes of leaves
    int32 [K, C] and of labels int32 [K, L], at K levels, of labels -1 where they are unknown.

    Attributes:
      label_counts: (labels, L) -> int32 [L], how many pixels have each.
      soft_counts: (logits float32 [N, C], labels, classes of leaves, classes of labels, weights
        float32 [K, L], other weights) -> float32 [K, 1 + 2 C]: sums of -log p(true class), with
        the first weights; then with the others, of the classes in order, sums of p where the class
        is true, and of p.
      error_bins: (logits, labels, classes of leaves, numbered on from level to level, those of
        labels, groups of labels int32 [K, L], the number T of all classes, the number G of groups,
        bins) -> int32 and float32 [T, G + 1, bins]: how many pixels err by so much, of each group
        those without the class, and last all those with it; and the sums of these errors.
    """

    label_counts: Callable[[jax.Array, int], jax.Array]
    soft_counts: Callable[..., jax.Array]
    error_bins: Callable[..., tuple[jax.Array, jax.Array]]


def of_counts(weights: Mapping[str, float], levels: CountedLevels, counters: Counters) -> Loss:
    """The weighted sum of losses of classes, at levels whose probabilities are sums over leaves.

    Args:
      weights: of the losses, by names of `COUNTED`.
      levels: at which they are taken.
    """
    num_labels = levels.classes_kl.shape[1]
    of_sums = {name: weight for name, weight in weights.items() if name != "lovasz"}

    def summed(
        logits_bhwc: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        valid_b, axis_name = counted.get("valid_b"), counted.get("axis_name")
        # What is no label adds nothing, as in the losses one by one.
        logits_nc, labels_n, counted_n = flatten_pixels(
            logits_bhwc, labels_bhw, valid_b, num_labels
        )
        labels_n = jnp.where(counted_n, labels_n.astype(jnp.int32), -1)
        counts_l = counters.label_counts(labels_n, num_labels)
        pixels_l = total_over(counts_l, axis_name).astype(jnp.float32)
        total = jnp.zeros((), jnp.float32)
        region_weights_kl = levels.region_weights(pixels_l)
        pixels = logits_nc, labels_n, pixels_l, region_weights_kl, axis_name
        if of_sums:
            total += _by_sums(levels, of_sums, counters.soft_counts, *pixels)
        if "lovasz" in weights:
            total += weights["lovasz"] * _by_bins(levels, counters.error_bins, *pixels)
        return total

    return summed


def _by_sums(
    levels: CountedLevels,
    weights: Mapping[str, float],
    soft_counts: Callable[..., jax.Array],
    logits_nc: jax.Array,
    labels_n: jax.Array,
    pixels_l: jax.Array,
    region_weights_kl: jax.Array,
    axis_name: str | None,
) -> jax.Array:
    """Losses of pixels.

    Args:
      pixels_l: how many of all devices have each label.
      region_weights_kl: how many one of them stands for in losses of regions.
    """
    of_regions = {name: weight for name, weight in weights.items() if name in TVERSKY}
    region_levels = levels.region_levels if of_regions else []
    entropy_levels = levels.entropy_levels if "crossentropy" in weights else []
    kept = sorted({*region_levels, *entropy_levels})
    class_of_kc, class_of_kl = _numbers(levels, kept)
    weights_of_pixels = levels.entropy_weights(pixels_l), region_weights_kl
    sums_ks = soft_counts(
        *(logits_nc, labels_n, class_of_kc, class_of_kl),
        *(weights_kl[np.array(kept)] for weights_kl in weights_of_pixels),
    )
    sums_ks = total_over(sums_ks, axis_name)
    total = weights.get("crossentropy", 0.0) * sums_ks[:, 0].sum()
    for k in region_levels:
        classes = levels.classes_k[k]
        sums_2c = sums_ks[kept.index(k), 1:].reshape(2, -1)
        true_positive_c, predicted_c = sums_2c[:, :classes]
        has_class_cl = levels.classes_kl[k] == np.arange(classes)[:, None]
        labelled_c = (has_class_cl * (region_weights_kl[k] * pixels_l)).sum(1)
        for name, weight in of_regions.items():
            alpha, beta = TVERSKY[name]
            value = mean_of_classes(
                true_positive_c,
                predicted_c - true_positive_c,
                labelled_c,
                alpha=alpha,
                beta=beta,
                smooth=1.0,
            )
            total += levels.region_share(k, pixels_l) * weight * value
    return total


def _by_bins(
    levels: CountedLevels,
    error_bins: Callable[..., tuple[jax.Array, jax.Array]],
    logits_nc: jax.Array,
    labels_n: jax.Array,
    pixels_l: jax.Array,
    region_weights_kl: jax.Array,
    axis_name: str | None,
) -> jax.Array:
    """The same of Lovász-softmax."""
    kept = levels.region_levels
    firsts_k = np.cumsum([0, *(levels.classes_k[k] for k in kept)])
    numbers = _numbers(levels, kept, firsts_k[:-1, None])
    groups_kl = levels.groups_kl[kept]
    binned = error_bins(
        *(logits_nc, labels_n, *numbers, jnp.asarray(groups_kl, jnp.int32)),
        *(int(firsts_k[-1]), int(levels.groups_kl.max()) + 1, BINS),
    )
    total = jnp.zeros((), jnp.float32)
    of_levels = zip(*(jnp.split(of, firsts_k[1:-1]) for of in binned), strict=True)
    for k, of_level in zip(kept, of_levels, strict=True):
        counts, errors = of_level
        if not levels.known_kl.all():
            weights_vg = levels.bin_weights(k, region_weights_kl[k])
            counts, errors = (_weighted(of, weights_vg) for of in of_level)
        total += levels.region_share(k, pixels_l) * lovasz_of_bins(counts, errors, axis_name)
    return total


def _numbers(
    levels: CountedLevels, kept: list[int], firsts_k1: np.ndarray | int = 0
) -> tuple[jax.Array, jax.Array]:
    """Of some levels the classes of leaves [K, C] and labels [K, L], from given numbers on."""
    class_of_kc = levels.class_of_kc[kept].astype(int) + firsts_k1
    class_of_kl = np.where(levels.known_kl, levels.classes_kl.astype(int), -1)[kept]
    class_of_kl = np.where(class_of_kl < 0, -1, class_of_kl + firsts_k1)
    return jnp.asarray(class_of_kc, jnp.int32), jnp.asarray(class_of_kl, jnp.int32)


def _weighted(of_vgb: jax.Array, weights_vg: jax.Array) -> jax.Array:
    """Of bins of groups, and of the class, those of all pixels without it and with it."""
    weighted_vgb = of_vgb * weights_vg[:, :, None]
    return jnp.stack([weighted_vgb[:, :-1].sum(1), weighted_vgb[:, -1]], axis=1)

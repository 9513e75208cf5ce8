"""Cross-entropy and losses of regions, at several levels at once, from the same few counts.

Taken one by one, each goes over all pixels several times at each level. What counts for all of
them goes over them once; Lovász-softmax needs counts of its own.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.flat import TVERSKY, Counted, Loss, mean_of_classes
from hierseg_jax.losses.lovasz_softmax import BINS, lovasz_of_bins
from hierseg_jax.losses.pixels import flatten_pixels, total_over

COUNTED = ("crossentropy", *TVERSKY, "lovasz")
"""Losses that are made of counts, where they have no options and labels are of leaves."""


@dataclasses.dataclass(frozen=True)
class Counters:
    """What counts the pixels of logits that have 32 bits or fewer.

    Attributes:
      soft_counts: (logits float32 [N, C], labels int32 [N], -1 where a pixel counts nowhere,
        classes of the leaves at each level int32 [K, C]) -> float32 [K, 1 + 3 C]: sums of
        -log p(true class); then, of the classes in order, sums of p where the class is true, of p,
        and of its pixels.
      error_bins: (logits, labels, classes of the leaves, numbered on from level to level, the
        number T of all of them, bins) -> int32 and float32 [T, 2, bins]: how many pixels without
        and with the class err by so much, and the sums of these errors.
    """

    soft_counts: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    error_bins: Callable[[jax.Array, jax.Array, jax.Array, int, int], tuple[jax.Array, jax.Array]]


def of_counts(
    weights: Mapping[str, float],
    levels: Sequence[tuple[float, np.ndarray]],
    counters: Counters,
) -> Loss:
    """The weighted sum of losses of classes, at levels whose probabilities are sums over leaves.

    Args:
      weights: of the losses, by names of `COUNTED`.
      levels: of each its weight and the class of every leaf, int [C].
    """
    class_of_kc = np.stack([class_of_c for _, class_of_c in levels]).astype(np.int32)
    classes_k = [int(class_of_c.max()) + 1 for class_of_c in class_of_kc]
    level_weights = [weight for weight, _ in levels]
    of_sums = {name: weight for name, weight in weights.items() if name != "lovasz"}

    def by_sums(logits_nc: jax.Array, labels_n: jax.Array, axis_name: str | None) -> jax.Array:
        sums_ks = total_over(
            counters.soft_counts(logits_nc, labels_n, jnp.asarray(class_of_kc)), axis_name
        )
        total = jnp.zeros((), jnp.float32)
        for weight, classes, sums_s in zip(level_weights, classes_k, sums_ks, strict=True):
            true_positive_c, predicted_c, labelled_c = sums_s[1:].reshape(3, -1)[:, :classes]
            labelled_c = jax.lax.stop_gradient(labelled_c)
            for name, of_loss in of_sums.items():
                if name == "crossentropy":
                    value = sums_s[0] / jnp.maximum(labelled_c.sum(), 1)
                else:
                    alpha, beta = TVERSKY[name]
                    value = mean_of_classes(
                        true_positive_c,
                        predicted_c - true_positive_c,
                        labelled_c,
                        alpha=alpha,
                        beta=beta,
                        smooth=1.0,
                    )
                total += weight * of_loss * value
        return total

    def by_bins(logits_nc: jax.Array, labels_n: jax.Array, axis_name: str | None) -> jax.Array:
        firsts_k = np.cumsum([0, *classes_k])
        numbers_kc = jnp.asarray(class_of_kc + firsts_k[:-1, None], jnp.int32)
        binned = counters.error_bins(logits_nc, labels_n, numbers_kc, int(firsts_k[-1]), BINS)
        counts_of_k, errors_of_k = (jnp.split(of, firsts_k[1:-1]) for of in binned)
        terms = (
            weight * lovasz_of_bins(counts_c2k, errors_c2k, axis_name)
            for weight, counts_c2k, errors_c2k in zip(
                level_weights, counts_of_k, errors_of_k, strict=True
            )
        )
        return jnp.asarray(sum(terms))

    def summed(
        logits_bhwc: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        logits_nc, labels_n, counted_n = flatten_pixels(
            logits_bhwc, labels_bhw, counted.get("valid_b")
        )
        leaves = class_of_kc.shape[1]
        # What is no class adds nothing, as in the losses one by one.
        is_class_n = counted_n & (labels_n < leaves)
        pixels = logits_nc, jnp.where(is_class_n, labels_n.astype(jnp.int32), -1)
        axis_name = counted.get("axis_name")
        total = by_sums(*pixels, axis_name) if of_sums else jnp.zeros((), jnp.float32)
        if "lovasz" in weights:
            total += weights["lovasz"] * by_bins(*pixels, axis_name)
        return total

    return summed

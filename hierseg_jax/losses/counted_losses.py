"""Cross-entropy and losses of regions, at several levels at once, from the same few counts.

Taken one by one, each goes over all pixels several times at each level. What counts for all of
them goes over them once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.flat import TVERSKY, Counted, Loss, mean_of_classes
from hierseg_jax.losses.pixels import flatten_pixels, total_over
from hierseg_jax.system.errors import HiersegError

COUNTED = ("crossentropy", *TVERSKY)
"""Losses that are made of counts, where they have no options and labels are of leaves."""

SoftCounts = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""(logits float32 [N, C], labels int32 [N], -1 where a pixel counts nowhere, classes of the leaves
at each level int32 [K, C]) -> float32 [K, 1 + 3 C]: sums of -log p(true class); then, of the
classes in order, sums of p where the class is true, of p, and of its pixels."""


def of_counts(
    weights: Mapping[str, float],
    levels: Sequence[tuple[float, np.ndarray]],
    soft_counts: SoftCounts,
) -> Loss:
    """The weighted sum of losses of classes, at levels whose probabilities are sums over leaves.

    Args:
      weights: of the losses, by names of `COUNTED`.
      levels: of each its weight and the class of every leaf, int [C].
      soft_counts: counts the pixels, of logits that have 32 bits or fewer.
    """
    class_of_kc = np.stack([class_of_c for _, class_of_c in levels]).astype(np.int32)

    def summed(
        logits_bhwc: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        logits_nc, labels_n, counted_n = flatten_pixels(
            logits_bhwc, labels_bhw, counted.get("valid_b")
        )
        leaves = class_of_kc.shape[1]
        if logits_nc.shape[1] != leaves:
            raise HiersegError(
                f"The loss is of {leaves} classes; got logits of {logits_nc.shape[1]}."
            )
        # What is no class adds nothing, as in the losses one by one.
        is_class_n = counted_n & (labels_n < leaves)
        labels_n = jnp.where(is_class_n, labels_n.astype(jnp.int32), -1)
        sums_ks = total_over(
            soft_counts(logits_nc, labels_n, jnp.asarray(class_of_kc)), counted.get("axis_name")
        )
        total = jnp.zeros((), jnp.float32)
        for (weight, class_of_c), sums_s in zip(levels, sums_ks, strict=True):
            classes = int(class_of_c.max()) + 1
            true_positive_c, predicted_c, labelled_c = sums_s[1:].reshape(3, -1)[:, :classes]
            labelled_c = jax.lax.stop_gradient(labelled_c)
            for name, of_loss in weights.items():
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

    return summed

"""Soft counts of the classes of all levels by a kernel: one pass over the pixels each way."""

from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.models.kernels.library import call


def label_counts(labels_n: jax.Array, num_labels: int) -> jax.Array:
    """How many pixels have each label: int32 [L].

    Args:
      labels_n: int32 [N], below L; -1 where a pixel counts nowhere.
      num_labels: L.
    """
    count = call("hierseg_label_counts", jax.ShapeDtypeStruct((num_labels,), jnp.int32))
    counts_l: jax.Array = count(labels_n.astype(jnp.int32))
    return counts_l


@jax.custom_vjp
def soft_counts(
    logits_nc: jax.Array,
    labels_n: jax.Array,
    class_of_kc: jax.Array,
    class_of_kl: jax.Array,
    entropy_weights_kl: jax.Array,
    region_weights_kl: jax.Array,
) -> jax.Array:
    """What losses of classes are made of, at levels whose classes are sets of leaves.

    Pixels are weighed by their labels, at every level anew; the weights have no gradient.

    Args:
      logits_nc: float32 [N, C], of the leaf classes.
      labels_n: int32 [N], below L; -1 where a pixel counts nowhere.
      class_of_kc: int32 [K, C], the class of every leaf at K levels.
      class_of_kl: int32 [K, L], of every label; -1 where it is unknown, and its pixels don't count.
      entropy_weights_kl: float32 [K, L], of -log p.
      region_weights_kl: float32 [K, L], of the other sums.

    Returns:
      float32 [K, 1 + 2 C], sums over the pixels that count: of -log p(true class); then, of the
      classes in order and 0 beyond them, p where the class is true, and p.
    """
    arrays = logits_nc, labels_n, class_of_kc, class_of_kl, entropy_weights_kl, region_weights_kl
    return _forward(*arrays)[0]


def _forward(
    logits_nc: jax.Array,
    labels_n: jax.Array,
    class_of_kc: jax.Array,
    class_of_kl: jax.Array,
    entropy_weights_kl: jax.Array,
    region_weights_kl: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    levels, leaves = class_of_kc.shape
    numbers = (of.astype(jnp.int32) for of in (labels_n, class_of_kc, class_of_kl))
    weights = (of.astype(jnp.float32) for of in (entropy_weights_kl, region_weights_kl))
    arrays = logits_nc, *numbers, *weights
    return call("hierseg_soft_counts", (levels, 1 + 2 * leaves))(*arrays), arrays


def _backward(arrays: tuple[jax.Array, ...], d_sums: jax.Array) -> tuple[Any, ...]:
    d_logits = call("hierseg_soft_counts_gradient", arrays[0].shape)(*arrays, d_sums)
    return d_logits, *(None for _ in arrays[1:])


soft_counts.defvjp(_forward, _backward)

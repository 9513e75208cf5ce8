"""Soft counts of the classes of all levels by a kernel: one pass over the pixels each way."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models.kernels.library import call


@jax.custom_vjp
def soft_counts(logits_nc: jax.Array, labels_n: jax.Array, class_of_kc: jax.Array) -> jax.Array:
    """What losses of classes are made of, at levels whose classes are sets of leaves.

    Args:
      logits_nc: float32 [N, C], of the leaf classes.
      labels_n: int32 [N], leaf classes; -1 where a pixel counts nowhere.
      class_of_kc: int32 [K, C], the class of every leaf at K levels.

    Returns:
      float32 [K, 1 + 3 C], sums over the pixels that count: of -log p(true class); then, of the
      classes in order and 0 beyond them, p where the class is true, p, and the pixels of the class.
    """
    return _forward(logits_nc, labels_n, class_of_kc)[0]


def _forward(
    logits_nc: jax.Array, labels_n: jax.Array, class_of_kc: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    levels, leaves = class_of_kc.shape
    arrays = logits_nc, labels_n.astype(jnp.int32), class_of_kc.astype(jnp.int32)
    return call("hierseg_soft_counts", (levels, 1 + 3 * leaves))(*arrays), arrays


def _backward(arrays: tuple[jax.Array, ...], d_sums: jax.Array) -> tuple[Any, ...]:
    d_logits = call("hierseg_soft_counts_gradient", arrays[0].shape)(*arrays, d_sums)
    # Numbers of classes have no gradient.
    return d_logits, *(np.zeros(of.shape, jax.dtypes.float0) for of in arrays[1:])


soft_counts.defvjp(_forward, _backward)

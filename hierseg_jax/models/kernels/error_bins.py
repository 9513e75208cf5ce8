"""Errors of the classes of all levels, counted in bins by a kernel: one pass each way."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models.kernels.library import call

MOST_BINS = 2**14
"""The kernel counts in units of 2^-16 of a bin, in 31 bits."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def error_bins(
    logits_nc: jax.Array, labels_n: jax.Array, class_of_kc: jax.Array, classes: int, bins: int
) -> tuple[jax.Array, jax.Array]:
    """How many pixels err by how much at every class of levels whose classes are sets of leaves.

    A pixel's error at a class is 1 - p where it bears the class, and p elsewhere. The errors of a
    bin differ by less than 1 / bins; the last has those of 1, too.

    Args:
      logits_nc: float32 [N, C], of the leaf classes.
      labels_n: int32 [N], leaf classes; -1 where a pixel counts nowhere.
      class_of_kc: int32 [K, C], the class of every leaf at K levels, numbered on from level to
        level.
      classes: T, of all levels together.
      bins: at most `MOST_BINS`.

    Returns:
      int32 [T, 2, bins], how many pixels without the class, and with it, have such an error; and
      float32 [T, 2, bins], the sums of these errors, of each to 2^-16 of a bin's width; NaN if a
      probability that counts is.
    """
    return _forward(logits_nc, labels_n, class_of_kc, classes, bins)[0]


def _forward(
    logits_nc: jax.Array, labels_n: jax.Array, class_of_kc: jax.Array, classes: int, bins: int
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
    if not 1 <= bins <= MOST_BINS:
        raise ValueError(f"bins is {bins}; it must be from 1 to {MOST_BINS}.")
    shape = (classes, 2, bins)
    arrays = logits_nc, labels_n.astype(jnp.int32), class_of_kc.astype(jnp.int32)
    count = call("hierseg_error_bins", jax.ShapeDtypeStruct(shape, jnp.int32), shape)
    counts_t2k, sums_t2k = count(*arrays)
    return (counts_t2k, sums_t2k), arrays


def _backward(classes: int, bins: int, arrays: tuple[jax.Array, ...], d: Any) -> tuple[Any, ...]:
    d_logits = call("hierseg_error_bins_gradient", arrays[0].shape)(*arrays, d[1])
    # Numbers of classes have no gradient.
    return d_logits, *(np.zeros(of.shape, jax.dtypes.float0) for of in arrays[1:])


error_bins.defvjp(_forward, _backward)

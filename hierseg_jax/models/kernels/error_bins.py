"""Errors of the classes of all levels, counted in bins by a kernel: one pass each way."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.models.kernels.library import call

MOST_BINS = 2**14
"""The kernel counts in units of 2^-16 of a bin, in 31 bits."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def error_bins(
    logits_nc: jax.Array,
    labels_n: jax.Array,
    class_of_kc: jax.Array,
    class_of_kl: jax.Array,
    group_of_kl: jax.Array,
    classes: int,
    groups: int,
    bins: int,
) -> tuple[jax.Array, jax.Array]:
    """How many pixels err by how much at every class of levels whose classes are sets of leaves.

    A pixel's error at a class is 1 - p where it bears the class, and p elsewhere. The errors of a
    bin differ by less than 1 / bins; the last has those of 1, too.

    Args:
      logits_nc: float32 [N, C], of the leaf classes.
      labels_n: int32 [N], below L; -1 where a pixel counts nowhere.
      class_of_kc: int32 [K, C], the class of every leaf at K levels, numbered on from level to
        level.
      class_of_kl: int32 [K, L], of every label; -1 where it is unknown, and its pixels don't count.
      group_of_kl: int32 [K, L], of the labels whose class is known: those of a group are counted
        together.
      classes: T, of all levels together.
      groups: G, of labels.
      bins: at most `MOST_BINS`.

    Returns:
      int32 [T, G + 1, bins], how many pixels have such an error: of each group those without the
      class, and last all those with it; and float32 [T, G + 1, bins], the sums of these errors, of
      each to 2^-16 of a bin's width; NaN if a probability that counts is.
    """
    arrays = logits_nc, labels_n, class_of_kc, class_of_kl, group_of_kl
    return _forward(*arrays, classes, groups, bins)[0]


def _forward(
    logits_nc: jax.Array,
    labels_n: jax.Array,
    class_of_kc: jax.Array,
    class_of_kl: jax.Array,
    group_of_kl: jax.Array,
    classes: int,
    groups: int,
    bins: int,
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
    if not 1 <= bins <= MOST_BINS:
        raise ValueError(f"bins is {bins}; it must be from 1 to {MOST_BINS}.")
    shape = (classes, groups + 1, bins)
    numbers = (of.astype(jnp.int32) for of in (labels_n, class_of_kc, class_of_kl, group_of_kl))
    arrays = logits_nc, *numbers
    count = call("hierseg_error_bins", jax.ShapeDtypeStruct(shape, jnp.int32), shape)
    counts_tgb, sums_tgb = count(*arrays)
    return (counts_tgb, sums_tgb), arrays


def _backward(
    classes: int, groups: int, bins: int, arrays: tuple[jax.Array, ...], d: Any
) -> tuple[Any, ...]:
    d_logits = call("hierseg_error_bins_gradient", arrays[0].shape)(*arrays, d[1])
    return d_logits, *(None for _ in arrays[1:])


error_bins.defvjp(_forward, _backward)

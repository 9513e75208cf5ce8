"""Losses at every level of the tree: on leaf probabilities, or on every level's own logits."""

import functools
from collections.abc import Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.flat import Counted, Loss
from hierseg_jax.losses.pixels import flatten_pixels
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy, Level


def hierarchical_crossentropy(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    hierarchy: Hierarchy,
    level_weights: Sequence[float] = (),
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """Cross-entropy at every level, a class's probability being the sum over its leaves.

    The weighted sum over levels of the mean over counted pixels of -log p(true class). For
    a flat head: nothing but the leaves has logits.

    Args:
      logits_bhwc: floating [B, H, W, C], of the leaf classes.
      labels_bhw: integer [B, H, W], leaf classes or 255.
      hierarchy: with C leaf classes.
      level_weights: one a level, coarse to fine; by default all 1.
      valid_b, axis_name: as for every loss.

    Raises:
      ValueError: for arrays or weights that do not fit the hierarchy.
    """
    weights = check_level_weights(level_weights, hierarchy)
    if logits_bhwc.shape[-1] != hierarchy.num_classes:
        raise HiersegError(
            f"The hierarchy has {hierarchy.num_classes} classes; hierarchical_crossentropy takes "
            f"as many logits a pixel, got {logits_bhwc.shape[-1]}."
        )
    logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b)
    # Before any arithmetic: not even a NaN there reaches the loss or its gradient.
    logits_nc = jnp.where(counted_n[:, None], logits_nc, 0.0)
    all_n = jax.nn.logsumexp(logits_nc, axis=-1)
    loss_n = jnp.zeros_like(all_n)
    for level, weight in zip(hierarchy.levels, weights, strict=True):
        if weight:
            class_c = jnp.asarray(level.leaf_to_class, jnp.uint8)
            of_true_nc = class_c[labels_n][:, None] == class_c
            true_n = jax.nn.logsumexp(jnp.where(of_true_nc, logits_nc, -jnp.inf), axis=-1)
            loss_n += weight * (all_n - true_n)
    total, count = jnp.where(counted_n, loss_n, 0.0).sum(), counted_n.sum()
    if axis_name is not None:
        total, count = jax.lax.psum((total, count), axis_name)
    return total / jnp.maximum(count, 1)


def at_every_level(
    loss: Loss, hierarchy: Hierarchy, class_weights: Sequence[Sequence[float]] = ()
) -> Loss:
    """A loss of classes as one of a hierarchical head: summed over its levels.

    Every level's logits are taken by themselves, with its own labels. (The public code of
    Deep Hierarchical Semantic Segmentation adds cross-entropy in this way.)

    Args:
      loss: of the classes of one level.
      hierarchy: of the head.
      class_weights: of the classes of every level, coarse to fine; by default none.
    """
    losses: list[Loss] = [
        functools.partial(loss, class_weights_c=np.asarray(weights_c, np.float32))
        for weights_c in class_weights
    ] or [loss] * hierarchy.num_levels

    def summed(
        logits_bhwk: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        terms = (
            of_level(logits_bhwk[..., channels], level_labels(labels_bhw, level), **counted)
            for of_level, level, channels in zip(
                losses, hierarchy.levels, hierarchy.level_channels, strict=True
            )
        )
        return jnp.asarray(sum(terms))

    return summed


def level_labels(labels_bhw: jax.Array, level: Level) -> jax.Array:
    """Classes at a level of leaf labels: uint8, ignored ones stay ignored."""
    table = np.full(256, IGNORE_LABEL, np.uint8)
    table[: len(level.leaf_to_class)] = level.leaf_to_class
    return jnp.asarray(table)[labels_bhw.astype(jnp.int32)]


def check_level_weights(weights: Sequence[float], hierarchy: Hierarchy) -> tuple[float, ...]:
    """The weights, or ones; ValueError unless there is one a level, not negative, not all 0."""
    if not len(weights):
        return (1.0,) * hierarchy.num_levels
    names = ", ".join(hierarchy.level_names)
    if len(weights) != hierarchy.num_levels:
        raise HiersegError(
            f"level_weights has {len(weights)} numbers; the tree has {hierarchy.num_levels} levels "
            f"({names}), which take one each."
        )
    if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise HiersegError(
            f"level_weights is {tuple(weights)}; each must be 0 or more, and one above 0."
        )
    return tuple(float(weight) for weight in weights)

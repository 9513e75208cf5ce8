"""Losses at every level of the tree: on leaf probabilities, or on every level's own logits.

With its own logits a level counts the pixels whose class is known there, and no others: the mean
is over these. On leaf probabilities it counts all, of groups as `inner_labels.py` has it.
"""

import functools
from collections.abc import Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.flat import Counted, Loss
from hierseg_jax.losses.inner_labels import of_labels
from hierseg_jax.losses.pixels import check_channels, counted_pixels, mean_of_counted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.number_kinds import is_real
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.level import Level


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

    The weighted sum over levels of the mean over the pixels known there of -log p(true
    class). For a flat head: nothing but the leaves has logits.

    Args:
      logits_bhwc: floating [B, H, W, C], of the leaf classes.
      labels_bhw: integer [B, H, W], labels of the hierarchy, or 255.
      hierarchy: with C leaf classes.
      level_weights: one a level, coarse to fine; by default all 1.
      valid_b, axis_name: as for every loss.

    Raises:
      ValueError: for arrays or weights that do not fit the hierarchy.
    """
    weights = check_level_weights(level_weights, hierarchy)
    check_channels(logits_bhwc, hierarchy.num_classes, "classes", "hierarchical_crossentropy")
    if hierarchy.inner_labels:
        levels = range(hierarchy.num_levels)
        losses = [of_labels("crossentropy", hierarchy, level) for level in levels]
        summed = at_every_level_of_leaves(losses, hierarchy, weights)
        return summed(logits_bhwc, labels_bhw, valid_b=valid_b, axis_name=axis_name)
    num_labels = len(hierarchy.labels.names)
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, num_labels)
    all_n = jax.nn.logsumexp(logits_nc, axis=-1)
    loss_n = jnp.zeros_like(all_n)
    for level, weight in zip(hierarchy.levels, weights, strict=True):
        if weight:
            class_c = jnp.asarray(level.leaf_to_class, jnp.uint8)
            of_true_nc = class_c[labels_n][:, None] == class_c
            true_n = jax.nn.logsumexp(jnp.where(of_true_nc, logits_nc, -jnp.inf), axis=-1)
            loss_n += weight * (all_n - true_n)
    return mean_of_counted(loss_n, counted_n, axis_name)


def at_every_level(losses: Sequence[Loss], hierarchy: Hierarchy) -> Loss:
    """Losses of classes as one of a hierarchical head: summed over its levels.

    Every level's logits are taken by themselves, with its own labels. (The public code of
    Deep Hierarchical Semantic Segmentation adds cross-entropy in this way.)

    Args:
      losses: of the classes of every level, coarse to fine.
      hierarchy: of the head.
    """

    def summed(
        logits_bhwk: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        terms = (
            of_level(logits_bhwk[..., channels], labels_at(labels_bhw, hierarchy, k), **counted)
            for k, (of_level, channels) in enumerate(
                zip(losses, hierarchy.level_channels, strict=True)
            )
        )
        return jnp.asarray(sum(terms))

    return summed


def at_every_level_of_leaves(
    losses: Sequence[Loss], hierarchy: Hierarchy, level_weights: Sequence[float]
) -> Loss:
    """Losses of classes as one of a flat head: the levels' probabilities are sums over leaves.

    Args:
      losses: of the classes of every level, coarse to fine; for labels of any node where the
        hierarchy has such.
      hierarchy: of the labels.
      level_weights: one a level.
    """

    def summed(
        logits_bhwc: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        num_labels = len(hierarchy.labels.names)
        logits_nc, _, _ = counted_pixels(
            logits_bhwc, labels_bhw, counted.get("valid_b"), num_labels
        )

        def of_level(k: int) -> jax.Array:
            logits_nv = group_logits(logits_nc, hierarchy.levels[k])
            given = labels_bhw if hierarchy.inner_labels else labels_at(labels_bhw, hierarchy, k)
            return losses[k](
                logits_nv.reshape(*labels_bhw.shape, logits_nv.shape[-1]), given, **counted
            )

        terms = (weight * of_level(k) for k, weight in enumerate(level_weights) if weight)
        return jnp.asarray(sum(terms))

    return summed


def labels_at(labels_bhw: jax.Array, hierarchy: Hierarchy, level: int) -> jax.Array:
    """Classes at a level of labels: uint8; 255 where unknown, and ignored ones stay ignored."""
    return jnp.asarray(hierarchy.labels.table(level))[labels_bhw.astype(jnp.int32)]


def group_logits(logits_nc: jax.Array, level: Level) -> jax.Array:
    """Logits of a level's classes from those of the leaves: [N, classes of the level].

    Their softmax has for every class the sum of its leaves' probabilities. The logit of a
    class of one leaf is that leaf's, to the bit.
    """
    if np.array_equal(level.leaf_to_class, np.arange(level.num_classes)):
        return logits_nc

    planes_n1 = jnp.split(logits_nc, logits_nc.shape[1], axis=1)

    def logit_of(leaves: np.ndarray) -> jax.Array:
        if len(leaves) == 1:
            return planes_n1[leaves[0]]
        greatest_n1 = functools.reduce(jnp.maximum, [planes_n1[leaf] for leaf in leaves])
        greatest_n1 = jax.lax.stop_gradient(greatest_n1)
        return greatest_n1 + jnp.log(sum(jnp.exp(planes_n1[c] - greatest_n1) for c in leaves))

    members = (np.flatnonzero(level.leaf_to_class == v) for v in range(level.num_classes))
    return jnp.concatenate([logit_of(leaves) for leaves in members], axis=1)


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
    if not all(is_real(w) and 0 <= w < float("inf") for w in weights) or not any(weights):
        raise HiersegError(
            f"level_weights is {tuple(weights)}; each must be 0 or more, and one above 0."
        )
    return tuple(float(weight) for weight in weights)

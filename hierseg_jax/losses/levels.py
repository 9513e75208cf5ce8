"""Losses at every level of the tree: on leaf probabilities, or on every level's own logits.

A pixel whose label is a group counts at the levels where its class is known, and nowhere else:
the mean of a level is over the pixels known there.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.flat import Counted, Loss, crossentropy
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
    if logits_bhwc.shape[-1] != hierarchy.num_classes:
        raise HiersegError(
            f"The hierarchy has {hierarchy.num_classes} classes; hierarchical_crossentropy takes "
            f"as many logits a pixel, got {logits_bhwc.shape[-1]}."
        )
    logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b)
    # Before any arithmetic: not even a NaN there reaches the loss or its gradient.
    logits_nc = jnp.where(counted_n[:, None], logits_nc, 0.0)
    if hierarchy.inner_labels:
        labels_n = jnp.where(counted_n, labels_n, IGNORE_LABEL)
        by_level = {k: weight for k, weight in enumerate(weights) if weight}
        losses = [crossentropy] * len(weights)
        return _on_group_logits(losses, by_level, logits_nc, labels_n, hierarchy, axis_name)
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
    losses = _by_level(loss, hierarchy, class_weights)

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
    loss: Loss,
    hierarchy: Hierarchy,
    class_weights: Sequence[Sequence[float]] = (),
    level_weights: Sequence[float] = (),
) -> Loss:
    """`at_every_level` for a flat head: the levels' probabilities are sums over their leaves.

    Args:
      loss, hierarchy, class_weights: as there.
      level_weights: one a level, coarse to fine; by default all 1.
    """
    losses = _by_level(loss, hierarchy, class_weights)
    weights = dict(enumerate(check_level_weights(level_weights, hierarchy)))

    def summed(
        logits_bhwc: jax.Array,
        labels_bhw: jax.Array,
        *,
        valid_b: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> jax.Array:
        logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b)
        # Before any arithmetic: not even a NaN there reaches the loss or its gradient.
        logits_nc = jnp.where(counted_n[:, None], logits_nc, 0.0)
        labels_n = jnp.where(counted_n, labels_n, IGNORE_LABEL)
        pictures = len(labels_bhw)
        return _on_group_logits(
            losses, weights, logits_nc, labels_n, hierarchy, axis_name, pictures
        )

    return summed


def _by_level(
    loss: Loss, hierarchy: Hierarchy, class_weights: Sequence[Sequence[float]]
) -> list[Loss]:
    """The loss once a level, with the weights of the level's classes if there are any."""
    return [
        functools.partial(loss, class_weights_c=np.asarray(weights_c, np.float32))
        for weights_c in class_weights
    ] or [loss] * hierarchy.num_levels


def at_finest_known_level(loss: Loss, hierarchy: Hierarchy) -> Loss:
    """A loss of classes as one of a flat head, for labels of any node.

    At every level the loss of its classes, whose probabilities are summed over their leaves,
    over all pixels known there; weighted by the share of the counted pixels that are known so
    far and no farther. Where all labels are leaf classes this is the loss itself.

    Args:
      loss: of classes, a mean over them.
      hierarchy: of the labels; the loss takes the logits of its leaf classes.
    """
    finest_l = hierarchy.labels.depths_l - 1
    finest_of = np.full(256, IGNORE_LABEL, np.uint8)
    finest_of[: len(finest_l)] = finest_l

    def shared(
        logits_bhwc: jax.Array,
        labels_bhw: jax.Array,
        *,
        valid_b: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> jax.Array:
        logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b)
        # Before any arithmetic: not even a NaN there reaches the loss or its gradient.
        logits_nc = jnp.where(counted_n[:, None], logits_nc, 0.0)
        labels_n = jnp.where(counted_n, labels_n, IGNORE_LABEL)
        finest_n = jnp.asarray(finest_of)[labels_n]
        levels = np.unique(finest_l).tolist()
        pixels_k = jnp.stack([(finest_n == k).sum() for k in levels])
        if axis_name is not None:
            pixels_k = jax.lax.psum(pixels_k, axis_name)
        share_k = pixels_k.astype(logits_nc.dtype) / jnp.maximum(pixels_k.sum(), 1)
        weights = dict(zip(levels, share_k, strict=True))
        losses = [loss] * hierarchy.num_levels
        return _on_group_logits(losses, weights, logits_nc, labels_n, hierarchy, axis_name)

    return shared


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


def _on_group_logits(
    losses: Sequence[Loss],
    weights: Mapping[int, float | jax.Array],
    logits_nc: jax.Array,
    labels_n: jax.Array,
    hierarchy: Hierarchy,
    axis_name: str | None,
    pictures: int = 1,
) -> jax.Array:
    """The weighted sum over levels of losses of their classes, on summed probabilities of leaves.

    Args:
      losses: of classes, one a level.
      weights: by level; the others are left out.
      logits_nc: of the leaf classes, 0 where a pixel does not count.
      labels_n: uint8 [N], 255 where a pixel does not count.
      hierarchy, axis_name: of the loss.
      pictures: that the pixels are of, one after another.
    """

    def of_level(k: int) -> jax.Array:
        logits_nv = group_logits(logits_nc, hierarchy.levels[k])
        return losses[k](
            logits_nv.reshape(pictures, 1, -1, logits_nv.shape[-1]),
            labels_at(labels_n, hierarchy, k).reshape(pictures, 1, -1),
            axis_name=axis_name,
        )

    return jnp.asarray(sum(weight * of_level(k) for k, weight in weights.items()))


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

"""Tree-triplet loss: embeddings of pixels as near to one another as their classes in the tree.

Li et al., Deep Hierarchical Semantic Segmentation, CVPR 2022 (arXiv 2203.14335), section 3.3.
For an anchor a, a positive p and a negative n with psi(a, p) < psi(a, n), psi the number of
edges between two leaves:

    loss = mean of max(d(a, p) - d(a, n) + m, 0),    d = (1 - cos) / 2,
    m = 0.1 + 0.5 (psi(a, n) - psi(a, p)) / (2 D),    D the number of levels

The public code fixes the margin at 0.6 and takes positives of other classes alone; here
the anchor's own class is the nearest of all, as in the paper.
"""

import jax
import jax.numpy as jnp

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

TOLERANCE = 0.1


def tree_triplet(
    embedding_bhwe: jax.Array,
    labels_bhw: jax.Array,
    *,
    hierarchy: Hierarchy,
    key: jax.Array,
    triplets: int,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """The loss of triplets drawn from a batch.

    The anchor's class is drawn evenly from those that occur, the positive's from those
    that leave a farther one, the negative's from those farther than the positive's; then
    the pixels evenly within their classes.

    Args:
      embedding_bhwe: floating [B, h, w, E], not 0 anywhere.
      labels_bhw: integer [B, H, W], leaf classes or 255; H and W are the same multiple of h
        and w. The upper left pixel of every patch counts.
      hierarchy: of the labels.
      key: of `jax.random`.
      triplets: number of triplets drawn.
      valid_b: bool [B]; examples that are False count nowhere.
      axis_name: mapped axis over which the batch is spread; every device draws its own.

    Returns:
      float32 scalar; 0 where fewer than two classes occur.
    """
    if triplets < 1:
        raise HiersegError(f"tree_triplet needs at least 1 triplet; got {triplets}.")
    features = embedding_bhwe.shape[-1]
    stride = labels_bhw.shape[1] // embedding_bhwe.shape[1]
    small_bhw = jnp.asarray(labels_bhw)[:, ::stride, ::stride]
    if small_bhw.shape != embedding_bhwe.shape[:3]:
        raise HiersegError(
            f"Embeddings {tuple(embedding_bhwe.shape)} do not divide labels "
            f"{tuple(labels_bhw.shape)} evenly."
        )
    if valid_b is not None:
        small_bhw = jnp.where(valid_b[:, None, None], small_bhw, IGNORE_LABEL)
    labels_n = small_bhw.reshape(-1).astype(jnp.int32)
    classes_t3, exists_t = _draw_classes(key, labels_n, hierarchy, triplets)
    pixels_t3 = _draw_pixels(jax.random.fold_in(key, 1), labels_n, classes_t3, hierarchy)
    embedding_ne = embedding_bhwe.reshape(-1, features).astype(jnp.float32)
    drawn_t3e = embedding_ne[pixels_t3]
    norm_t31 = jnp.sqrt((drawn_t3e**2).sum(-1, keepdims=True) + 1e-12)
    anchor_te, positive_te, negative_te = jnp.moveaxis(drawn_t3e / norm_t31, 1, 0)

    edges_cc = jnp.asarray(hierarchy.distances, jnp.float32)
    near_t = edges_cc[classes_t3[:, 0], classes_t3[:, 1]]
    far_t = edges_cc[classes_t3[:, 0], classes_t3[:, 2]]
    margin_t = TOLERANCE + 0.5 * (far_t - near_t) / (2 * hierarchy.num_levels)
    # d(a, p) - d(a, n): the halves of 1 cancel.
    gap_t = (anchor_te * (negative_te - positive_te)).sum(-1) / 2
    losses_t = jnp.where(exists_t, jax.nn.relu(gap_t + margin_t), 0.0)
    value = losses_t.sum() / jnp.maximum(exists_t.sum(), 1)
    return value if axis_name is None else jax.lax.pmean(value, axis_name)


def triplet_weight(progress: jax.Array) -> jax.Array:
    """Weight of the loss beside others: from 0 to 1/2 by a cosine, as training goes from 0 to 1."""
    return (1 - jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 4


def _draw_classes(
    key: jax.Array, labels_n: jax.Array, hierarchy: Hierarchy, triplets: int
) -> tuple[jax.Array, jax.Array]:
    """Classes of anchor, positive and negative [T, 3], and whether there is such a triplet."""
    edges_cc = jnp.asarray(hierarchy.distances)
    present_c = (labels_n[:, None] == jnp.arange(hierarchy.num_classes)).any(0)
    anchor_key, positive_key, negative_key = jax.random.split(key, 3)

    def draw(key: jax.Array, allowed_tc: jax.Array) -> jax.Array:
        return jax.random.categorical(key, jnp.where(allowed_tc, 0.0, -jnp.inf))

    anchor_t = draw(anchor_key, jnp.broadcast_to(present_c, (triplets, hierarchy.num_classes)))
    edges_tc = edges_cc[anchor_t]
    farthest_t1 = jnp.where(present_c, edges_tc, -1).max(-1, keepdims=True)
    positive_t = draw(positive_key, present_c & (edges_tc < farthest_t1))
    near_t1 = jnp.take_along_axis(edges_tc, positive_t[:, None], 1)
    negative_t = draw(negative_key, present_c & (edges_tc > near_t1))
    exists = present_c.sum() > 1
    return jnp.stack([anchor_t, positive_t, negative_t], 1), jnp.broadcast_to(exists, (triplets,))


def _draw_pixels(
    key: jax.Array, labels_n: jax.Array, classes_t3: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
    """A pixel of each class, evenly among those that bear it: indices [T, 3]."""
    order_n = jnp.argsort(labels_n)
    ends_c = jnp.searchsorted(labels_n[order_n], jnp.arange(hierarchy.num_classes), side="right")
    starts_c = jnp.concatenate([jnp.zeros(1, ends_c.dtype), ends_c[:-1]])
    counts_t3 = (ends_c - starts_c)[classes_t3]
    share_t3 = jax.random.uniform(key, classes_t3.shape)
    offset_t3 = jnp.minimum((share_t3 * counts_t3).astype(jnp.int32), counts_t3 - 1)
    return order_n[jnp.maximum(starts_c[classes_t3] + offset_t3, 0)]

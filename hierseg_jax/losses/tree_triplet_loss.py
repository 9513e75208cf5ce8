"""Tree-triplet loss: embeddings of pixels as near to one another as their classes in the tree.

Li et al., Deep Hierarchical Semantic Segmentation, CVPR 2022 (arXiv 2203.14335), section 3.3.
For an anchor a, a positive p and a negative n with psi(a, p) < psi(a, n), psi the number of
edges between two leaves:

    loss = mean of max(d(a, p) - d(a, n) + m, 0),    d = (1 - cos) / 2,
    m = 0.1 + 0.5 (psi(a, n) - psi(a, p)) / (2 D),    D the number of levels

The public code fixes the margin at 0.6 and takes positives of other classes alone; here
the anchor's own class is the nearest of all, as in the paper.

Labels may be groups (`Hierarchy.inner_labels`), a, p and n then any of the leaves below them. A
triplet is one only if it is whichever leaves these are: the greatest psi(a, p) that is possible
is less than the least possible psi(a, n). These two make the margin.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

TOLERANCE = 0.1
# More edges than a tree of 255 leaves has.
NEVER = 1000


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

    The anchor's label is drawn evenly from those that occur (of groups: and have triplets),
    the positive's from those that leave a farther one, the negative's from those farther than
    the positive's; then the pixels evenly within their labels.

    Args:
      embedding_bhwe: floating [B, h, w, E], not 0 anywhere.
      labels_bhw: integer [B, H, W], labels of the hierarchy or 255; H and W are the same
        multiple of h and w. The upper left pixel of every patch counts.
      hierarchy: of the labels.
      key: of `jax.random`.
      triplets: number of triplets drawn.
      valid_b: bool [B]; examples that are False count nowhere.
      axis_name: mapped axis over which the batch is spread; every device draws its own.

    Returns:
      float32 scalar; 0 where there is no triplet: where fewer than two classes occur.
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
    is_byte_bhw = (small_bhw >= 0) & (small_bhw < IGNORE_LABEL)
    small_bhw = jnp.where(is_byte_bhw, small_bhw, IGNORE_LABEL)
    if valid_b is not None:
        small_bhw = jnp.where(valid_b[:, None, None], small_bhw, IGNORE_LABEL)
    labels_n = small_bhw.reshape(-1).astype(jnp.int32)
    drawn_t3, exists_t = _draw_labels(key, labels_n, hierarchy, triplets)
    pixels_t3 = _draw_pixels(jax.random.fold_in(key, 1), labels_n, drawn_t3, hierarchy)
    embedding_ne = embedding_bhwe.reshape(-1, features).astype(jnp.float32)
    drawn_t3e = embedding_ne[pixels_t3]
    norm_t31 = jnp.sqrt((drawn_t3e**2).sum(-1, keepdims=True) + 1e-12)
    anchor_te, positive_te, negative_te = jnp.moveaxis(drawn_t3e / norm_t31, 1, 0)

    least_ll, most_ll = _edges(hierarchy, jnp.float32)
    near_t = most_ll[drawn_t3[:, 0], drawn_t3[:, 1]]
    far_t = least_ll[drawn_t3[:, 0], drawn_t3[:, 2]]
    margin_t = TOLERANCE + 0.5 * (far_t - near_t) / (2 * hierarchy.num_levels)
    # d(a, p) - d(a, n): the halves of 1 cancel.
    gap_t = (anchor_te * (negative_te - positive_te)).sum(-1) / 2
    losses_t = jnp.where(exists_t, jax.nn.relu(gap_t + margin_t), 0.0)
    value = losses_t.sum() / jnp.maximum(exists_t.sum(), 1)
    return value if axis_name is None else jax.lax.pmean(value, axis_name)


def triplet_weight(progress: jax.Array) -> jax.Array:
    """Weight of the loss beside others: from 0 to 1/2 by a cosine, as training goes from 0 to 1."""
    return (1 - jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 4


def _edges(hierarchy: Hierarchy, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
    """The least and the greatest number of edges between leaves of two labels: [labels, labels]."""
    edges_cc, leaves_lc = hierarchy.distances, hierarchy.labels.leaves_lc
    if not hierarchy.inner_labels:
        both_cc = jnp.asarray(edges_cc, dtype)
        return both_cc, both_cc

    def extreme(reduce: Callable[..., np.ndarray]) -> jax.Array:
        of_first_lc = np.stack([reduce(edges_cc[below_c], axis=0) for below_c in leaves_lc])
        of_both = [reduce(of_first_lc[:, below_c], axis=1) for below_c in leaves_lc]
        return jnp.asarray(np.stack(of_both), dtype)

    return extreme(np.min), extreme(np.max)


def _draw_labels(
    key: jax.Array, labels_n: jax.Array, hierarchy: Hierarchy, triplets: int
) -> tuple[jax.Array, jax.Array]:
    """Labels of anchor, positive and negative [T, 3], and whether there is such a triplet."""
    least_ll, most_ll = _edges(hierarchy, jnp.int32)
    labels, leaves = len(least_ll), hierarchy.num_classes
    present_l = (labels_n[:, None] == jnp.arange(labels)).any(0)
    anchor_key, positive_key, negative_key = jax.random.split(key, 3)

    def draw(key: jax.Array, allowed_tl: jax.Array) -> jax.Array:
        chances_tl = jnp.where(allowed_tl, 0.0, -jnp.inf)
        if labels == leaves:
            return jax.random.categorical(key, chances_tl)
        # As `categorical` does it, with the leaves' noise as it is without groups.
        of_leaves_tc = jax.random.gumbel(key, (triplets, leaves))
        of_groups_tg = jax.random.gumbel(jax.random.fold_in(key, 1), (triplets, labels - leaves))
        noise_tl = jnp.concatenate([of_leaves_tc, of_groups_tg], axis=1)
        return (noise_tl + chances_tl).argmax(-1)

    anchor_l = present_l
    if hierarchy.inner_labels:
        nearest_l = jnp.where(present_l, most_ll, NEVER).min(1)
        anchor_l &= nearest_l < jnp.where(present_l, least_ll, -1).max(1)
    anchor_t = draw(anchor_key, jnp.broadcast_to(anchor_l, (triplets, labels)))
    least_tl = least_ll[anchor_t]
    most_tl = most_ll[anchor_t] if hierarchy.inner_labels else least_tl
    farthest_t1 = jnp.where(present_l, least_tl, -1).max(-1, keepdims=True)
    positive_t = draw(positive_key, present_l & (most_tl < farthest_t1))
    near_t1 = jnp.take_along_axis(most_tl, positive_t[:, None], 1)
    negative_t = draw(negative_key, present_l & (least_tl > near_t1))
    exists = anchor_l.any() if hierarchy.inner_labels else present_l.sum() > 1
    drawn_t3 = jnp.stack([anchor_t, positive_t, negative_t], 1)
    return drawn_t3, jnp.broadcast_to(exists, (triplets,))


def _draw_pixels(
    key: jax.Array, labels_n: jax.Array, drawn_t3: jax.Array, hierarchy: Hierarchy
) -> jax.Array:
    """A pixel of each label, evenly among those that bear it: indices [T, 3]."""
    order_n = jnp.argsort(labels_n)
    labels = len(hierarchy.labels.names)
    ends_l = jnp.searchsorted(labels_n[order_n], jnp.arange(labels), side="right")
    starts_l = jnp.concatenate([jnp.zeros(1, ends_l.dtype), ends_l[:-1]])
    counts_t3 = (ends_l - starts_l)[drawn_t3]
    share_t3 = jax.random.uniform(key, drawn_t3.shape)
    offset_t3 = jnp.minimum((share_t3 * counts_t3).astype(jnp.int32), counts_t3 - 1)
    return order_n[jnp.maximum(starts_l[drawn_t3] + offset_t3, 0)]

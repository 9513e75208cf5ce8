"""From logits to predictions, on the device: classes, their scores, and where levels contradict."""

import jax
import jax.numpy as jnp
from jax import lax

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import DECODINGS, OF_HIERARCHICAL, path_matrix, reasoned, top_down
from hierseg_jax.tree.hierarchy import Hierarchy


def leaf_scores(logits_bhwk: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """Scores of the leaf classes in [0, 1]: [B, H, W, C].

    Softmax probabilities of a flat head; of a hierarchical one (`path`, `logic`) the mean of the
    scores on each leaf's path, which do not sum to 1.

    Raises:
      ValueError: for an unknown rule, or logits of a head that it is not for.
    """
    _check(logits_bhwk, hierarchy, decoding)
    if decoding not in OF_HIERARCHICAL:
        return jax.nn.softmax(logits_bhwk)
    scores_bhwk = jax.nn.sigmoid(logits_bhwk)
    if decoding == "logic":
        planes = [scores_bhwk[..., k] for k in range(hierarchy.num_nodes)]
        scores_bhwk = jnp.stack(reasoned(planes, hierarchy, jnp), axis=-1)
    matrix_kc = jnp.asarray(path_matrix(hierarchy))
    return jnp.matmul(scores_bhwk, matrix_kc, precision=lax.Precision.HIGHEST)


def score_planes(logits_bhwk: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """`leaf_scores` plane by plane, as `log_planes` takes them: float32 [B, C, H, W]."""
    scores_bhwc = leaf_scores(logits_bhwk, hierarchy, decoding).astype(jnp.float32)
    return scores_bhwc.transpose(0, 3, 1, 2)


def leaf_confidence(logits_bhwk: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """The score of the predicted leaf class: float32 [B, H, W]."""
    scores_bhwc = leaf_scores(logits_bhwk, hierarchy, decoding).astype(jnp.float32)
    leaf_bhw = leaf_classes(logits_bhwk, hierarchy, decoding)
    return jnp.take_along_axis(scores_bhwc, leaf_bhw[..., None], axis=-1)[..., 0]


def leaf_classes(logits_bhwk: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """The predicted leaf class of every pixel: int32 [B, H, W].

    Args:
      logits_bhwk: floating [B, H, W, C] of a flat head, or [B, H, W, nodes].
      hierarchy: of the classes.
      decoding: `leaf` or `top_down` of a flat head, `path` or `logic` of a hierarchical one.

    Raises:
      ValueError: for an unknown rule, or logits of a head that it is not for.
    """
    _check(logits_bhwk, hierarchy, decoding)
    if decoding == "leaf":
        return lax.argmax(logits_bhwk, 3, jnp.int32)
    scores_bhwc = leaf_scores(logits_bhwk, hierarchy, decoding)
    if decoding in OF_HIERARCHICAL:
        return lax.argmax(scores_bhwc, 3, jnp.int32)
    planes = [scores_bhwc[..., c] for c in range(hierarchy.num_classes)]
    return top_down(planes, hierarchy, jnp)


def inconsistent_pixels(logits_bhwk: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """Whether a pixel's best classes, found at every level by itself, contradict the tree.

    They do where the best class at some level is not the parent of the best one below. Of
    a flat head the levels' probabilities are sums over leaves. Bool [B, H, W].
    """
    if decoding in OF_HIERARCHICAL:
        levels = [logits_bhwk[..., channels] for channels in hierarchy.level_channels]
    else:
        p_bhwc = jax.nn.softmax(logits_bhwk)
        levels = []
        for level in hierarchy.levels:
            member_cl = level.leaf_to_class[:, None] == jnp.arange(level.num_classes)
            member_cl = member_cl.astype(p_bhwc.dtype)
            levels.append(jnp.matmul(p_bhwc, member_cl, precision=lax.Precision.HIGHEST))
    best = [lax.argmax(scores, 3, jnp.int32) for scores in levels]
    found = jnp.zeros(best[0].shape, bool)
    for k in range(1, hierarchy.num_levels):
        found |= jnp.asarray(hierarchy.parents(k))[best[k]] != best[k - 1]
    return found


def _check(logits_bhwk: jax.Array, hierarchy: Hierarchy, decoding: str) -> None:
    if decoding not in DECODINGS:
        raise HiersegError(
            f"There is no decoding {decoding!r}; choose of {', '.join(DECODINGS)}. "
            "`settings.decoding` of a run is one of them."
        )
    of_nodes = decoding in OF_HIERARCHICAL
    channels = hierarchy.num_nodes if of_nodes else hierarchy.num_classes
    if logits_bhwk.shape[-1] != channels:
        raise HiersegError(
            f"The decoding {decoding!r} takes {channels} logits a pixel, one for each "
            f"{'node of the tree' if of_nodes else 'class'}; got {tuple(logits_bhwk.shape)}."
        )

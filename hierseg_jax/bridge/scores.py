"""Decoding inside an exported graph: the rules of `hierseg_jax/tree/decoding.py`, in NCHW."""

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.data.picture_labels import FLOOR, STEPS
from hierseg_jax.models.graph import ops
from hierseg_jax.tree.decoding import OF_HIERARCHICAL, path_matrix, reasoned
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import Siblings


def leaf_log_probabilities(logits_nchw: jax.Array, siblings: Siblings) -> jax.Array:
    """As `models.conditional` computes them: [N, nodes, h, w] -> [N, leaf classes, h, w]."""
    rows_kk = np.eye(siblings.num_nodes, dtype=np.float32)
    of_family_kf, on_path_kc = siblings.in_family_kf, siblings.on_path_kc
    best_nfhw = jnp.concatenate(
        [
            ops.channel_max(ops.mix_channels(logits_nchw, rows_kk[:, channels]))
            for channels in siblings.families
        ],
        axis=1,
    )
    below_nchw = logits_nchw - ops.mix_channels(best_nfhw, of_family_kf.T)
    sums_nfhw = ops.mix_channels(jnp.exp(below_nchw), of_family_kf)
    # They are 1 at least. OpenCV 5 fills channels up with zeros, whose logarithms get into sums.
    log_sums_nfhw = jnp.log(ops.at_least(sums_nfhw, 1))
    # A path has one node of every family that it meets.
    return ops.mix_channels(below_nchw, on_path_kc) - ops.mix_channels(
        log_sums_nfhw, of_family_kf.T @ on_path_kc
    )


def scores(logits_nchw: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """Scores of the leaf classes, as `predict.leaf_scores` has them: [N, C, h, w]."""
    if decoding in OF_HIERARCHICAL:
        scores_nkhw = jax.nn.sigmoid(logits_nchw)
        if decoding == "logic":
            one_hot_kk = np.eye(hierarchy.num_nodes, dtype=np.float32)
            planes = [ops.mix_channels(scores_nkhw, row_k[:, None]) for row_k in one_hot_kk]
            scores_nkhw = jnp.concatenate(reasoned(planes, hierarchy, jnp), axis=1)
        return ops.mix_channels(scores_nkhw, path_matrix(hierarchy))
    # As exp and one reciprocal a pixel: a tenth of the time of onnxruntime's Softmax here.
    exp = jnp.exp(logits_nchw - ops.channel_max(logits_nchw))
    return exp * _inverse_sum(exp)


def log_planes(logits_nchw: jax.Array, hierarchy: Hierarchy, decoding: str) -> jax.Array:
    """`picture_labels.log_planes` of the scores: uint16 [N, C, h, w]."""
    steps, highest = -STEPS / FLOOR, STEPS + 0.5  # a half, as the cast cuts off
    if decoding in OF_HIERARCHICAL:
        planes_nchw = jnp.log(scores(logits_nchw, hierarchy, decoding)) * steps + highest
    else:
        below_nchw = logits_nchw - ops.channel_max(logits_nchw)
        # Not of the sum, which jax2onnx makes one slow ReduceLogSumExp; of the best score, which
        # the confidence needs too.
        best_n1hw = _inverse_sum(jnp.exp(below_nchw))
        planes_nchw = below_nchw * steps + (jnp.log(best_n1hw) * steps + highest)
    return jax.nn.relu(planes_nchw).astype(jnp.uint16)


def _inverse_sum(exp_nchw: jax.Array) -> jax.Array:
    """1 / the sum over channels.

    OpenCV 5 mistakes maximum, difference, exp, sum and a division of 1 for a softmax.
    """
    return (1 / exp_nchw.shape[1]) / ops.channel_mean(exp_nchw)


def classify(
    logits_nchw: jax.Array, hierarchy: Hierarchy, decoding: str
) -> tuple[jax.Array, jax.Array]:
    """Leaf classes (integers) and their scores: both [N, 1, h, w]."""
    if decoding == "leaf":
        # The largest probability needs no softmax of the others.
        exp = jnp.exp(logits_nchw - ops.channel_max(logits_nchw))
        return ops.channel_argmax(logits_nchw), _inverse_sum(exp)
    scores_nchw = scores(logits_nchw, hierarchy, decoding)
    if decoding == "top_down":
        scores_nchw = scores_nchw - 2 * _losers(scores_nchw, hierarchy)
    return ops.channel_argmax(scores_nchw), ops.channel_max(scores_nchw)


def _losers(probabilities_nchw: jax.Array, hierarchy: Hierarchy) -> jax.Array:
    """1 for leaves below a class that was not chosen at its level, from the top down, else 0.

    A class is chosen where its probability is greatest once 2 has been taken from those
    below a class that was not: the sign of the difference to the greatest tells.
    """
    lost: jax.Array | None = None
    for k, level in enumerate(hierarchy.levels[:-1]):
        summed = ops.mix_channels(probabilities_nchw, _one_hot(level.leaf_to_class))
        if lost is not None:
            summed = summed - ops.mix_channels(lost, 2 * _one_hot(hierarchy.parents(k)).T)
        lost = ops.sign(ops.channel_max(summed) - summed)
    if lost is None:
        return jnp.zeros_like(probabilities_nchw)
    return ops.mix_channels(lost, _one_hot(hierarchy.parents(hierarchy.num_levels - 1)).T)


def _one_hot(classes: np.ndarray) -> np.ndarray:
    """float32 [len(classes), number of them]."""
    return np.eye(int(classes.max()) + 1, dtype=np.float32)[classes]

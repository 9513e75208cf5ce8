"""What a student is taught: the Kullback-Leibler divergence of its scores from a teacher's.

Hinton et al., Distilling the Knowledge in a Neural Network (arXiv 1503.02531), section 2, pixel by
pixel: both distributions are softened by a temperature T, and the divergence is multiplied by T²,
so that gradients don't fall with it.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from hierseg_jax.losses.levels import group_logits
from hierseg_jax.losses.pixels import mean_of_counted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy


def distillation(
    logits_bhwk: jax.Array,
    teacher_bhwk: jax.Array,
    taught_bhw: jax.Array,
    *,
    hierarchical: bool = False,
    temperature: float = 1.0,
    hierarchy: Hierarchy | None = None,
    level_weights: Sequence[float] = (),
    axis_name: str | None = None,
) -> jax.Array:
    """T² KL(teacher || student), mean over the pixels that are taught.

    Of leaf classes KL of the two softmaxes; with `level_weights` the weighted sum over the levels
    of a tree, where a class's probability is the sum over its leaves. Of nodes (`hierarchical`) the
    sum over them of KL of the two sigmoids.

    Args:
      logits_bhwk: floating [B, H, W, K], the student's.
      teacher_bhwk: floating [B, H, W, K], logits or log-probabilities; no gradient reaches them.
      taught_bhw: bool [B, H, W]; other pixels count nowhere.
      hierarchical: whether channels are nodes, not leaf classes.
      temperature: T, above 0.
      hierarchy: with K leaf classes, where there are `level_weights`.
      level_weights: one a level, coarse to fine; empty: the leaf classes alone.
      axis_name: mapped axis over which the batch is spread.

    Returns:
      float32 scalar, at least; 0 where no pixel counts.

    Raises:
      HiersegError: for shapes that do not fit one another.
    """
    if logits_bhwk.shape != teacher_bhwk.shape or taught_bhw.shape != logits_bhwk.shape[:3]:
        raise HiersegError(
            "distillation takes logits of a student and a teacher, both [batch, height, width, "
            f"channels], and which pixels count; got {tuple(logits_bhwk.shape)}, "
            f"{tuple(teacher_bhwk.shape)} and {tuple(taught_bhw.shape)}."
        )
    taught_n = taught_bhw.reshape(-1)

    def softened(scores_bhwk: jax.Array) -> jax.Array:
        scores_nk = scores_bhwk.reshape(-1, scores_bhwk.shape[-1])
        scores_nk = scores_nk.astype(jnp.promote_types(logits_bhwk.dtype, jnp.float32))
        # Before any arithmetic: not even a NaN there reaches the loss or its gradient.
        return jnp.where(taught_n[:, None], scores_nk, 0.0) / temperature

    student_nk, teacher_nk = softened(logits_bhwk), softened(jax.lax.stop_gradient(teacher_bhwk))
    if hierarchical:
        loss_n = _of_nodes(student_nk, teacher_nk)
    elif hierarchy is None or not level_weights:
        loss_n = _of_classes(student_nk, teacher_nk)
    else:
        loss_n = jnp.zeros(len(taught_n), student_nk.dtype)
        for level, weight in zip(hierarchy.levels, level_weights, strict=True):
            if weight:
                both = group_logits(student_nk, level), group_logits(teacher_nk, level)
                loss_n += weight * _of_classes(*both)
    return temperature**2 * mean_of_counted(loss_n, taught_n, axis_name)


def _of_classes(student_nk: jax.Array, teacher_nk: jax.Array) -> jax.Array:
    log_p_nk, log_q_nk = jax.nn.log_softmax(teacher_nk), jax.nn.log_softmax(student_nk)
    return (jnp.exp(log_p_nk) * (log_p_nk - log_q_nk)).sum(-1)


def _of_nodes(student_nk: jax.Array, teacher_nk: jax.Array) -> jax.Array:
    log_p_nk, log_q_nk = jax.nn.log_sigmoid(teacher_nk), jax.nn.log_sigmoid(student_nk)
    # log(1 - sigmoid(x)) = log(sigmoid(x)) - x
    true_nk = log_p_nk - log_q_nk
    false_nk = true_nk - (teacher_nk - student_nk)
    p_nk = jnp.exp(log_p_nk)
    return (p_nk * true_nk + (1 - p_nk) * false_nk).sum(-1)


def in_cells(logits_bhwk: jax.Array, cell: int) -> jax.Array:
    """The mean of every `cell` x `cell` pixels: [B, H / cell, W / cell, K]."""
    batch, height, width, channels = logits_bhwk.shape
    cells = logits_bhwk.reshape(batch, height // cell, cell, width // cell, cell, channels)
    return cells.mean((2, 4))

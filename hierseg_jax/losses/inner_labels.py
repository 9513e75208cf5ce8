"""Cross-entropy and focal loss of a flat head where labels are nodes of any depth.

A group's label says that a pixel is one of the leaf classes below the group, and not which. The
pixel's true class then is their union, whose probability p is the sum of theirs: the loss is
minus log p, whichever of the leaves has it. All else follows from p, as at a leaf:

- `gamma` looks away from pixels of large p, and `hard_share` takes those of least p.
- A class weight is that of the label's class at the finest level where it is known.
- `label_smoothing` spreads its share evenly over the leaf classes; the target and the
  probabilities of the leaves below the label are then summed, those of others stay apart.

Labels of leaves have the losses of `flat.py`, to the bit.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.flat import ratio
from hierseg_jax.losses.pixels import flatten_pixels, hardest_pixels
from hierseg_jax.tree.hierarchy import Hierarchy


def crossentropy_of_labels(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    hierarchy: Hierarchy,
    class_weights: Sequence[Sequence[float]] = (),
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
    gamma: float = 0.0,
    label_smoothing: float = 0.0,
    hard_share: float = 1.0,
) -> jax.Array:
    """`flat.crossentropy`, or with `gamma` `flat.focal`, for labels of any node.

    Args:
      logits_bhwc: floating [B, H, W, C], of the leaf classes.
      labels_bhw: integer [B, H, W], labels of the hierarchy, or 255.
      hierarchy: with C leaf classes.
      class_weights: of the classes of every level, coarse to fine; by default all 1.
      valid_b, axis_name: as for every loss.
      gamma, label_smoothing, hard_share: as in `flat.py`; only one of the first two.
    """
    logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b)
    below_nc = jnp.asarray(_by_value(hierarchy.labels.leaves_lc))[labels_n] & counted_n[:, None]
    counted_n = below_nc.any(-1)
    # Before any arithmetic: not even a NaN there reaches the loss or its gradient.
    log_p_nc = jax.nn.log_softmax(jnp.where(counted_n[:, None], logits_nc, 0.0))
    log_p_n = _log_sum(log_p_nc, below_nc, counted_n)
    weights_n = counted_n.astype(logits_nc.dtype)
    if class_weights:
        of_labels = _by_value(_weights_of_labels(class_weights, hierarchy))
        weights_n *= jnp.asarray(of_labels, logits_nc.dtype)[labels_n]
    loss_n = -log_p_n
    if label_smoothing:
        leaf_weights_c = jnp.asarray(class_weights[-1] if class_weights else 1.0, logits_nc.dtype)
        # As PyTorch: the label's weight alone is in the divisor.
        weights_nc = jnp.where(below_nc, weights_n[:, None], leaf_weights_c)
        below_count_n1 = jnp.maximum(below_nc.sum(-1, keepdims=True), 1).astype(logits_nc.dtype)
        target_nc = (1 - label_smoothing) * (below_nc / below_count_n1)
        target_nc = (target_nc + label_smoothing / logits_nc.shape[-1]) * weights_nc
        log_p_nc = jnp.where(below_nc, log_p_n[:, None], log_p_nc)
        loss_n = -(jnp.where(counted_n[:, None], log_p_nc, 0.0) * target_nc).sum(-1)
    if gamma:
        # The floor keeps the power's gradient finite where p is 1; there it is 0.
        loss_n *= jnp.maximum(-jnp.expm1(log_p_n), jnp.finfo(logits_nc.dtype).eps) ** gamma
    if not label_smoothing:
        loss_n *= weights_n
    if hard_share != 1:
        hard_n = hardest_pixels(-log_p_n, counted_n, len(labels_bhw), hard_share)
        loss_n, weights_n = loss_n * hard_n, weights_n * hard_n
    return ratio(loss_n, weights_n, axis_name)


def _log_sum(log_p_nc: jax.Array, below_nc: jax.Array, counted_n: jax.Array) -> jax.Array:
    """Log of the summed probability of the leaves below each label [N]; 0 where none counts."""
    log_p_n = jax.nn.logsumexp(
        jnp.where(below_nc | ~counted_n[:, None], log_p_nc, -jnp.inf), axis=-1
    )
    # Rounding may leave a sum of probabilities just above 1.
    return jnp.where(counted_n & ~(log_p_n > 0), log_p_n, 0.0)


def _weights_of_labels(
    class_weights: Sequence[Sequence[float]], hierarchy: Hierarchy
) -> np.ndarray:
    """Of every label the weight of its class at the finest level where that is known: [labels]."""
    labels = hierarchy.labels
    return np.asarray(
        [
            class_weights[depth - 1][labels.classes_kl[depth - 1, label]]
            for label, depth in enumerate(labels.depths_l)
        ]
    )


def _by_value(of_labels: np.ndarray) -> np.ndarray:
    """Rows of labels by the value of a mask, zeros where that is no label: [256, ...]."""
    table = np.zeros((256, *of_labels.shape[1:]), of_labels.dtype)
    table[: len(of_labels)] = of_labels
    return table

"""Losses of classes on logits: one signature, one treatment of ignored pixels.

Every loss is a function

    loss(logits_bhwc, labels_bhw, *, valid_b=None, class_weights_c=None, axis_name=None) -> scalar

of
  logits_bhwc: floating [B, H, W, C]; bfloat16 is computed in float32.
  labels_bhw: integer [B, H, W] in 0..C-1, or 255 (`IGNORE_LABEL`) for pixels that
    count nowhere.
  valid_b: bool [B]; examples that are False (padding) count nowhere.
  class_weights_c: floating [C], not negative; by default all 1.
  axis_name: mapped axis (of `jax.pmap`) over which the batch is spread, if any; sums
    then run over all of it, so that N devices see the loss of one with the whole
    batch. The mean of their gradients is the gradient of that loss.
and returns a float32 scalar (float64 for float64 logits). Where no pixel counts the
loss is 0 and so is its gradient.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from hierseg_jax.losses.pixels import flatten_pixels

Loss = Callable[..., jax.Array]


def crossentropy(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """Softmax cross-entropy, mean over the pixels that count, weighted by their class.

    Equals `torch.nn.CrossEntropyLoss(weight, ignore_index=255)` on logits. (The
    reference applies that to probabilities, a defect.)
    """
    return focal(
        logits_bhwc,
        labels_bhw,
        valid_b=valid_b,
        class_weights_c=class_weights_c,
        axis_name=axis_name,
        gamma=0.0,
    )


def focal(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    gamma: float = 2.0,
) -> jax.Array:
    """Cross-entropy of each pixel times (1 - p)^gamma, p the true class's probability.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv 1708.02002),
    equation 4, for several classes. Mean as in `crossentropy`, which is gamma 0.

    Args:
      gamma: 0 or more; larger looks away from easy pixels.
    """
    if gamma < 0:
        raise ValueError(f"focal needs gamma 0 or more; got {gamma}.")
    logits_nc, one_hot_nc = _counted_pixels(logits_bhwc, labels_bhw, valid_b)
    log_p_n = jnp.where(one_hot_nc, jax.nn.log_softmax(logits_nc), 0.0).sum(-1)
    loss_n = -log_p_n
    if gamma:
        # The floor keeps the power's gradient finite where p is 1; there it is 0.
        miss_n = jnp.maximum(-jnp.expm1(log_p_n), jnp.finfo(logits_nc.dtype).eps)
        loss_n *= miss_n**gamma
    if class_weights_c is None:
        pixels = _total(one_hot_nc.sum(), axis_name)
        return _total(loss_n.sum(), axis_name) / jnp.maximum(pixels, 1)
    weights_n = jnp.where(one_hot_nc, class_weights_c.astype(logits_nc.dtype), 0.0).sum(-1)
    total = _total(weights_n.sum(), axis_name)
    return _total((loss_n * weights_n).sum(), axis_name) / jnp.where(total > 0, total, 1.0)


def tversky(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
) -> jax.Array:
    """1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth) per class, averaged.

    Salehi et al. 2017 (arXiv 1706.05721), equation 1, with soft counts from the
    softmax over batch and pixels together. As in segmentation_models_pytorch, a class
    that no counted label bears contributes 0, and the mean is over all classes.

    Args:
      alpha: weight of false positives.
      beta: weight of false negatives.
      smooth: added to both sides of the fraction; above 0.
    """
    logits_nc, one_hot_nc = _counted_pixels(logits_bhwc, labels_bhw, valid_b)
    probabilities_nc = jax.nn.softmax(logits_nc)
    counted_n1 = one_hot_nc.any(-1, keepdims=True)
    predicted_c = _total(jnp.where(counted_n1, probabilities_nc, 0.0).sum(0), axis_name)
    true_positive_c = _total(jnp.where(one_hot_nc, probabilities_nc, 0.0).sum(0), axis_name)
    labelled_c = _total(one_hot_nc.sum(0), axis_name).astype(logits_nc.dtype)
    false_positive_c = predicted_c - true_positive_c
    false_negative_c = labelled_c - true_positive_c
    score_c = (true_positive_c + smooth) / (
        true_positive_c + alpha * false_positive_c + beta * false_negative_c + smooth
    )
    loss_c = jnp.where(labelled_c > 0, 1.0 - score_c, 0.0)
    if class_weights_c is None:
        return loss_c.mean()
    weights_c = class_weights_c.astype(logits_nc.dtype)
    total = weights_c.sum()
    return (loss_c * weights_c).sum() / jnp.where(total > 0, total, 1.0)


def dice(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    smooth: float = 1.0,
) -> jax.Array:
    """The reference's dice loss: `tversky` with alpha = beta = 1/2.

    The smoothing term stands beside TP, not beside 2 TP as in the usual formula.
    """
    return tversky(
        logits_bhwc,
        labels_bhw,
        valid_b=valid_b,
        class_weights_c=class_weights_c,
        axis_name=axis_name,
        alpha=0.5,
        beta=0.5,
        smooth=smooth,
    )


def iou(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    smooth: float = 1.0,
) -> jax.Array:
    """The reference's IoU (Jaccard) loss: `tversky` with alpha = beta = 1."""
    return tversky(
        logits_bhwc,
        labels_bhw,
        valid_b=valid_b,
        class_weights_c=class_weights_c,
        axis_name=axis_name,
        alpha=1.0,
        beta=1.0,
        smooth=smooth,
    )


LOSSES: dict[str, Loss] = {
    "crossentropy": crossentropy,
    "dice": dice,
    "focal": focal,
    "iou": iou,
    "tversky": tversky,
}


def get_loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
      ValueError: for an unknown name, listing the known ones.
    """
    if name not in LOSSES:
        raise ValueError(f"There is no loss {name!r}; choose one of {', '.join(LOSSES)}.")
    return LOSSES[name]


def _total(value: jax.Array, axis_name: str | None) -> jax.Array:
    return value if axis_name is None else jax.lax.psum(value, axis_name)


def _counted_pixels(
    logits_bhwc: jax.Array, labels_bhw: jax.Array, valid_b: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Logits [N, C] in float32 at least and labels as bool [N, C], N pixels of the batch.

    Both are all zeros where a pixel does not count, logits before any arithmetic, so
    that not even a NaN there reaches the loss or its gradient.
    """
    logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b)
    classes_c = jnp.arange(logits_nc.shape[-1], dtype=jnp.uint8)
    one_hot_nc = (labels_n[:, None] == classes_c) & counted_n[:, None]
    return jnp.where(counted_n[:, None], logits_nc, 0.0), one_hot_nc

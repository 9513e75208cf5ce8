"""Losses of classes on logits: one signature, one treatment of ignored pixels.

Every loss is a function

    loss(logits_bhwc, labels_bhw, *, valid_b=None, class_weights_c=None, axis_name=None) -> scalar

of

- `logits_bhwc`: floating [B, H, W, C]; bfloat16 is computed in float32.
- `labels_bhw`: integer [B, H, W] in 0..C-1, or 255 (`IGNORE_LABEL`) for pixels that count
  nowhere.
- `valid_b`: bool [B]; examples that are False (padding) count nowhere.
- `class_weights_c`: floating [C], not negative; by default all 1.
- `axis_name`: mapped axis (of `jax.pmap`) over which the batch is spread, if any; sums then run
  over all of it, so that N devices see the loss of one with the whole batch. The mean of their
  gradients is the gradient of that loss.

Labels of groups, where data have them, have losses made of these: `inner_labels.py` and
`levels.py` say what a pixel adds of which only a group is known.

It returns a float32 scalar (float64 for float64 logits). Where no pixel counts the loss is 0 and
so is its gradient.
"""

import math
from collections.abc import Callable
from typing import TypedDict, Unpack

import jax
import jax.numpy as jnp

from hierseg_jax.losses.boundary_loss import boundary
from hierseg_jax.losses.lovasz_softmax import lovasz
from hierseg_jax.losses.pixels import (
    counted_pixels,
    hardest_pixels,
    ratio,
    total_over,
    weights_of_classes,
)
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError

Loss = Callable[..., jax.Array]
TVERSKY = {"tversky": (0.3, 0.7), "dice": (0.5, 0.5), "iou": (1.0, 1.0)}
"""Weights of false positives and false negatives in `tversky`."""


class Counted(TypedDict, total=False):
    """What every loss is told of its pixels and devices."""

    valid_b: jax.Array | None
    class_weights_c: jax.Array | None
    axis_name: str | None


def crossentropy(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    label_smoothing: float = 0.0,
    hard_share: float = 1.0,
) -> jax.Array:
    """Softmax cross-entropy, mean over the pixels that count, weighted by their class.

    Equals `torch.nn.CrossEntropyLoss(weight, ignore_index=255, label_smoothing)` on logits.
    (The reference applies that to probabilities, a defect.)

    Args:
      label_smoothing: share of every pixel's target that is spread evenly over all classes
        (Szegedy et al., arXiv 1512.00567, section 7); 0 or more, below 1.
      hard_share: as in `focal`.
    """
    if not 0 <= label_smoothing < 1:
        raise HiersegError(f"label_smoothing is {label_smoothing}; it must be 0 or more, below 1.")
    if not label_smoothing:
        return focal(
            logits_bhwc,
            labels_bhw,
            valid_b=valid_b,
            class_weights_c=class_weights_c,
            axis_name=axis_name,
            gamma=0.0,
            hard_share=hard_share,
        )
    logits_nc, one_hot_nc = _counted_pixels(logits_bhwc, labels_bhw, valid_b)
    counted_n1 = one_hot_nc.any(-1, keepdims=True)
    log_p_nc = jnp.where(counted_n1, jax.nn.log_softmax(logits_nc), 0.0)
    even = label_smoothing / logits_nc.shape[-1]
    target_nc = (1 - label_smoothing) * one_hot_nc + even
    if class_weights_c is not None:
        # As PyTorch: the true class's weight alone is in the divisor.
        target_nc *= weights_of_classes(class_weights_c, target_nc)
    loss_n = -(log_p_nc * target_nc).sum(-1)
    weights_n = _pixel_weights(logits_nc, one_hot_nc, class_weights_c)
    if hard_share != 1:
        hardness_n = -jnp.where(one_hot_nc, log_p_nc, 0.0).sum(-1)
        hard_n = hardest_pixels(hardness_n, counted_n1[:, 0], len(labels_bhw), hard_share)
        loss_n, weights_n = loss_n * hard_n, weights_n * hard_n
    return ratio(loss_n, weights_n, axis_name)


def focal(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    gamma: float = 2.0,
    hard_share: float = 1.0,
) -> jax.Array:
    """Cross-entropy of each pixel times (1 - p)^gamma, p the true class's probability.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv 1708.02002),
    equation 4, for several classes. Mean as in `crossentropy`, which is gamma 0.

    Args:
      gamma: 0 or more; larger looks away from easy pixels.
      hard_share: of every image's counted pixels only this share, those whose true class is
        least likely, is taken (see `hardest_pixels`); above 0, 1 takes all.
    """
    if not 0 <= gamma < math.inf:
        raise HiersegError(f"focal needs gamma 0 or more; got {gamma}.")
    logits_nc, one_hot_nc = _counted_pixels(logits_bhwc, labels_bhw, valid_b)
    log_p_n = jnp.where(one_hot_nc, jax.nn.log_softmax(logits_nc), 0.0).sum(-1)
    loss_n = -log_p_n
    if gamma:
        # The floor keeps the power's gradient finite where p is 1; there it is 0.
        miss_n = jnp.maximum(-jnp.expm1(log_p_n), jnp.finfo(logits_nc.dtype).eps)
        loss_n *= miss_n**gamma
    if hard_share == 1 and class_weights_c is None:
        pixels = total_over(one_hot_nc.sum(), axis_name)
        return total_over(loss_n.sum(), axis_name) / jnp.maximum(pixels, 1)
    weights_n = _pixel_weights(logits_nc, one_hot_nc, class_weights_c)
    if hard_share != 1:
        counted_n = one_hot_nc.any(-1)
        weights_n *= hardest_pixels(-log_p_n, counted_n, len(labels_bhw), hard_share)
    return ratio(loss_n * weights_n, weights_n, axis_name)


def tversky(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    alpha: float = TVERSKY["tversky"][0],
    beta: float = TVERSKY["tversky"][1],
    smooth: float = 1.0,
) -> jax.Array:
    """1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth) per class, averaged.

    Salehi et al. 2017 (arXiv 1706.05721), equation 1, with soft counts from the
    softmax over batch and pixels together. As in segmentation_models_pytorch, a class
    that no counted label bears contributes 0, and the mean is over all classes.

    Args:
      alpha: weight of false positives, 0 or more.
      beta: weight of false negatives, 0 or more.
      smooth: added to both sides of the fraction; above 0.
    """
    known = not any(isinstance(of, jax.core.Tracer) for of in (alpha, beta, smooth))
    if known and not (0 <= alpha < math.inf and 0 <= beta < math.inf and 0 < smooth < math.inf):
        raise HiersegError(
            "tversky, dice and iou need alpha and beta of 0 or more and smooth above 0; got "
            f"{alpha}, {beta} and {smooth}."
        )
    logits_nc, one_hot_nc = _counted_pixels(logits_bhwc, labels_bhw, valid_b)
    probabilities_nc = jax.nn.softmax(logits_nc)
    counted_n1 = one_hot_nc.any(-1, keepdims=True)
    predicted_c = total_over(jnp.where(counted_n1, probabilities_nc, 0.0).sum(0), axis_name)
    true_positive_c = total_over(jnp.where(one_hot_nc, probabilities_nc, 0.0).sum(0), axis_name)
    labelled_c = total_over(one_hot_nc.sum(0), axis_name).astype(logits_nc.dtype)
    return mean_of_classes(
        true_positive_c,
        predicted_c - true_positive_c,
        labelled_c,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        class_weights_c=class_weights_c,
    )


def mean_of_classes(
    true_positive_c: jax.Array,
    false_positive_c: jax.Array,
    labelled_c: jax.Array,
    *,
    alpha: float,
    beta: float,
    smooth: float,
    class_weights_c: jax.Array | None = None,
) -> jax.Array:
    """Of soft counts the mean of `tversky`; 0 for classes that no label bears."""
    false_negative_c = labelled_c - true_positive_c
    score_c = (true_positive_c + smooth) / (
        true_positive_c + alpha * false_positive_c + beta * false_negative_c + smooth
    )
    loss_c = jnp.where(labelled_c > 0, 1.0 - score_c, 0.0)
    if class_weights_c is None:
        return loss_c.mean()
    weights_c = weights_of_classes(class_weights_c, loss_c)
    total = weights_c.sum()
    return (loss_c * weights_c).sum() / jnp.where(total > 0, total, 1.0)


def dice(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    smooth: float = 1.0,
    **counted: Unpack[Counted],
) -> jax.Array:
    """The reference's dice loss: `tversky` with alpha = beta = 1/2.

    The smoothing term stands beside TP, not beside 2 TP as in the usual formula.
    """
    alpha, beta = TVERSKY["dice"]
    return tversky(logits_bhwc, labels_bhw, alpha=alpha, beta=beta, smooth=smooth, **counted)


def iou(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    smooth: float = 1.0,
    **counted: Unpack[Counted],
) -> jax.Array:
    """The reference's IoU (Jaccard) loss: `tversky` with alpha = beta = 1."""
    alpha, beta = TVERSKY["iou"]
    return tversky(logits_bhwc, labels_bhw, alpha=alpha, beta=beta, smooth=smooth, **counted)


LOSSES: dict[str, Loss] = {
    "crossentropy": crossentropy,
    "dice": dice,
    "focal": focal,
    "iou": iou,
    "tversky": tversky,
    "lovasz": lovasz,
    "boundary": boundary,
}


def get_loss(name: str) -> Loss:
    """The loss of that name.

    Raises:
      ValueError: for an unknown name, listing the known ones.
    """
    check_choice("loss", name, LOSSES)
    return LOSSES[name]


def _pixel_weights(
    logits_nc: jax.Array, one_hot_nc: jax.Array, class_weights_c: jax.Array | None
) -> jax.Array:
    """Weight of every pixel's class, 0 where it does not count: [N]."""
    if class_weights_c is None:
        return one_hot_nc.any(-1).astype(logits_nc.dtype)
    return jnp.where(one_hot_nc, weights_of_classes(class_weights_c, logits_nc), 0.0).sum(-1)


def _counted_pixels(
    logits_bhwc: jax.Array, labels_bhw: jax.Array, valid_b: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Logits [N, C] of `counted_pixels`, and labels as bool [N, C], all False where none counts."""
    classes = logits_bhwc.shape[-1]
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, classes)
    classes_c = jnp.arange(classes, dtype=jnp.uint8)
    return logits_nc, (labels_n[:, None] == classes_c) & counted_n[:, None]

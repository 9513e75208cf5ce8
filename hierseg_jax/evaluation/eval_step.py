"""One evaluation step, as a pure function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.evaluation.confusions import confusion_matrices
from hierseg_jax.evaluation.predictions import inconsistent_pixels, leaf_classes, score_planes
from hierseg_jax.losses import Loss
from hierseg_jax.models import Forward, SegmentationModel, grid_forward_of
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

DeviceBatch = dict[str, jax.Array]
EvalStep = Callable[[dict[str, Any], DeviceBatch], dict[str, jax.Array]]


def make_eval_step(
    model: SegmentationModel,
    loss: Loss,
    hierarchy: Hierarchy,
    decoding: str = "leaf",
    forward: Forward | None = None,
    with_scores: bool = False,
) -> EvalStep:
    """(variables, batch) -> loss, confusion matrices and predictions of each image.

    Args:
      model: the network.
      loss: on its logits.
      hierarchy: of the labels.
      decoding: of `decoding.DECODINGS`, fitting the head.
      forward: in place of the network's own, such as from `make_augmented_forward`; its logits
        may be a `grid_stride` apart.
      with_scores: whether scores come back, for labels at other sizes.

    Returns:
      A function whose result is {"loss": float32 scalar, "confusion": int32 [B, L, C] of labels
      and leaf classes (all 0 where an example is not valid), "inconsistent": int32 [B], counted
      pixels whose levels contradict one another before decoding, "prediction": uint8
      [B, H, W]}; and "scores": float32 [B, C, h, w], from `make_scores`.
    """
    grid_of = forward or grid_forward_of(model)

    def eval_step(variables: dict[str, Any], batch: DeviceBatch) -> dict[str, jax.Array]:
        grid_bhwc = grid_of(variables, scale_image(batch["image"]))
        enlarged = grid_bhwc.shape[:3] == batch["label"].shape
        logits_bhwc = grid_bhwc if enlarged else model.from_grid(grid_bhwc)
        value = loss(logits_bhwc, batch["label"], valid_b=batch["valid"], axis_name=model.axis_name)
        prediction_bhw = leaf_classes(logits_bhwc, hierarchy, decoding)
        confusion_blc = confusion_matrices(
            prediction_bhw,
            batch["label"],
            hierarchy.num_classes,
            batch["valid"],
            len(hierarchy.labels.names),
        )
        counted_bhw = (batch["label"] != IGNORE_LABEL) & batch["valid"][:, None, None]
        inconsistent_bhw = inconsistent_pixels(logits_bhwc, hierarchy, decoding) & counted_bhw
        result = {
            "loss": value,
            "confusion": confusion_blc,
            "inconsistent": inconsistent_bhw.sum((1, 2), dtype=jnp.int32),
            "prediction": prediction_bhw.astype(jnp.uint8),
        }
        if with_scores:
            result["scores"] = score_planes(grid_bhwc, hierarchy, decoding)
        return result

    return eval_step


def make_scores(
    model: SegmentationModel,
    hierarchy: Hierarchy,
    decoding: str = "leaf",
    forward: Forward | None = None,
) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
    """(variables, image [B, H, W, 3]) -> scores of leaf classes, float32 [B, C, h, w] in [0, 1].

    They are a `grid_stride` of the network apart, or as `forward` has them: what
    `picture_labels` brings to the size of a picture.

    Args:
      others: as in `make_eval_step`.
    """
    grid_of = forward or grid_forward_of(model)

    def scores(variables: dict[str, Any], image_bhwc: jax.Array) -> jax.Array:
        return score_planes(grid_of(variables, scale_image(image_bhwc)), hierarchy, decoding)

    return scores


def scale_image(image_bhwc: jax.Array) -> jax.Array:
    """uint8 [0, 255] -> float32 [0, 1]; floating images are taken to be in [0, 1] already."""
    if jnp.issubdtype(image_bhwc.dtype, jnp.floating):
        return image_bhwc
    return image_bhwc.astype(jnp.float32) / 255

"""One evaluation step, as a pure function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.evaluation.metrics import confusion_matrices
from hierseg_jax.evaluation.predictions import inconsistent_pixels, leaf_classes
from hierseg_jax.losses import Loss
from hierseg_jax.models import Forward, SegmentationModel, forward_of
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

DeviceBatch = dict[str, jax.Array]
EvalStep = Callable[[dict[str, Any], DeviceBatch], dict[str, jax.Array]]


def make_eval_step(
    model: SegmentationModel,
    loss: Loss,
    hierarchy: Hierarchy,
    decoding: str = "leaf",
    forward: Forward | None = None,
) -> EvalStep:
    """(variables, batch) -> loss, confusion matrices and predictions of each image.

    Args:
      model: the network.
      loss: on its logits.
      hierarchy: of the classes.
      decoding: of `decoding.DECODINGS`, fitting the head.
      forward: in place of the network's own, such as from `make_augmented_forward`.

    Returns:
      A function whose result is {"loss": float32 scalar, "confusion": int32 [B, C, C] of leaf
      classes (all 0 where an example is not valid), "inconsistent": int32 [B], counted
      pixels whose levels contradict one another before decoding, "prediction": uint8
      [B, H, W]}.
    """

    logits_of = forward or forward_of(model)

    def eval_step(variables: dict[str, Any], batch: DeviceBatch) -> dict[str, jax.Array]:
        logits_bhwc = logits_of(variables, scale_image(batch["image"]))
        value = loss(logits_bhwc, batch["label"], valid_b=batch["valid"], axis_name=model.axis_name)
        prediction_bhw = leaf_classes(logits_bhwc, hierarchy, decoding)
        confusion_bcc = confusion_matrices(
            prediction_bhw, batch["label"], hierarchy.num_classes, batch["valid"]
        )
        counted_bhw = (batch["label"] != IGNORE_LABEL) & batch["valid"][:, None, None]
        inconsistent_bhw = inconsistent_pixels(logits_bhwc, hierarchy, decoding) & counted_bhw
        return {
            "loss": value,
            "confusion": confusion_bcc,
            "inconsistent": inconsistent_bhw.sum((1, 2), dtype=jnp.int32),
            "prediction": prediction_bhw.astype(jnp.uint8),
        }

    return eval_step


def scale_image(image_bhwc: jax.Array) -> jax.Array:
    """uint8 [0, 255] -> float32 [0, 1]; floating images are taken to be in [0, 1] already."""
    if jnp.issubdtype(image_bhwc.dtype, jnp.floating):
        return image_bhwc
    return image_bhwc.astype(jnp.float32) / 255

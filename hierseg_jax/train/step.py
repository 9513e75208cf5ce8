"""One training step and one evaluation step, as pure functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from hierseg_jax.losses import Loss
from hierseg_jax.metrics import confusion_matrices
from hierseg_jax.models import EfficientUNet, ESNet
from hierseg_jax.train.state import TrainState

Batch = dict[str, jax.Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]
EvalStep = Callable[[dict[str, Any], Batch], dict[str, jax.Array]]


def make_train_step(
    model: EfficientUNet | ESNet, loss: Loss, optimizer: optax.GradientTransformation
) -> TrainStep:
    """(state, batch) -> (next state, {"loss": scalar}).

    Where the model has an `axis_name`, the step is to be mapped over it: loss and
    batch statistics are then those of the whole batch, gradients are averaged.
    """
    axis_name = model.axis_name

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, lax.axis_index(axis_name))

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            logits_bhwc, updates = model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                scale_image(batch["image"]),
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            value = loss(logits_bhwc, batch["label"], valid_b=batch["valid"], axis_name=axis_name)
            return value, updates["batch_stats"]

        (value, batch_stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        if axis_name is not None:
            grads = lax.pmean(grads, axis_name)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        state = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        return state, {"loss": value}

    return train_step


def make_eval_step(model: EfficientUNet | ESNet, loss: Loss) -> EvalStep:
    """(variables, batch) -> loss, confusion matrices and predictions of each image.

    Returns a function whose result is {"loss": float32 scalar, "confusion": int32
    [B, C, C] (all 0 where an example is not valid), "prediction": uint8 [B, H, W]}.
    """

    def eval_step(variables: dict[str, Any], batch: Batch) -> dict[str, jax.Array]:
        logits_bhwc = model.apply(variables, scale_image(batch["image"]))
        value = loss(logits_bhwc, batch["label"], valid_b=batch["valid"], axis_name=model.axis_name)
        prediction_bhw = lax.argmax(logits_bhwc, 3, jnp.int32)
        confusion_bcc = confusion_matrices(
            prediction_bhw, batch["label"], model.num_classes, batch["valid"]
        )
        prediction_bhw = prediction_bhw.astype(jnp.uint8)
        return {"loss": value, "confusion": confusion_bcc, "prediction": prediction_bhw}

    return eval_step


def scale_image(image_bhwc: jax.Array) -> jax.Array:
    """uint8 [0, 255] -> float32 [0, 1]; floating images are taken to be in [0, 1] already."""
    if jnp.issubdtype(image_bhwc.dtype, jnp.floating):
        return image_bhwc
    return image_bhwc.astype(jnp.float32) / 255

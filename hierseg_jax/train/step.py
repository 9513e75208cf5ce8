"""One training step, as a pure function."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax import lax

from hierseg_jax.evaluation.eval_step import DeviceBatch, scale_image
from hierseg_jax.losses import Loss
from hierseg_jax.models import SegmentationModel, precision_of
from hierseg_jax.models.embedding import COLLECTION, read_embedding
from hierseg_jax.models.kernels.many_arrays import apply_updates
from hierseg_jax.models.kernels.random_bits import wrap_key
from hierseg_jax.models.layers import BLOCK_OUTPUT
from hierseg_jax.train.average import update_average
from hierseg_jax.train.mixing import Mix, keep
from hierseg_jax.train.state import TrainState

# Beside the stream of dropout.
TRIPLET_STREAM = 1
TrainStep = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def make_train_step(
    model: SegmentationModel,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    embedding_loss: Loss | None = None,
    total_steps: int = 1,
    remat: bool = False,
    average_decay: float = 0.0,
    mix: Mix = keep,
    teacher_loss: Callable[..., jax.Array] | None = None,
) -> TrainStep:
    """(state, batch) -> (next state, {"loss": scalar}).

    Args:
      model: the network; with an `embedding_size` where there is an embedding loss.
      loss: on logits.
      optimizer: from `make_optimizer`.
      embedding_loss: `TotalLoss.of_embedding`, added to the loss.
      total_steps: of the whole training, of which that loss is told the share done.
      remat: whether the backward pass computes the inside of blocks again rather than keep it.
      average_decay: of the state's average, where it has one.
      mix: what becomes of a batch before it is trained on.
      teacher_loss: `Lessons.loss`, added to the loss; what it takes beside logits and batch, the
        step takes as well.

    Where the model has an `axis_name`, the step is to be mapped over it: loss and
    batch statistics are then those of the whole batch, gradients are averaged.
    """
    axis_name = model.axis_name

    def train_step(
        state: TrainState, batch: DeviceBatch, *of_teacher: Any
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(wrap_key(state.key), state.step)
        mixed = mix(key, batch, axis_name)
        batch = mixed.batch
        if axis_name is not None:
            key = jax.random.fold_in(key, lax.axis_index(axis_name))

        def forward(params: Any) -> tuple[jax.Array, Any]:
            return model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                scale_image(batch["image"]),
                train=True,
                mutable=["batch_stats", *([COLLECTION] if embedding_loss else [])],
                rngs={"dropout": key},
            )

        if remat:
            forward = keep_block_outputs_alone(forward)

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            logits_bhwc, updates = forward(params)
            shared = {"valid_b": batch["valid"], "axis_name": axis_name}

            def of_labels(labels_bhw: jax.Array) -> jax.Array:
                value = loss(logits_bhwc, labels_bhw, **shared)
                if embedding_loss is not None:
                    value += embedding_loss(
                        read_embedding(updates),
                        labels_bhw,
                        key=jax.random.fold_in(key, TRIPLET_STREAM),
                        progress=state.step / total_steps,
                        **shared,
                    )
                return value

            value = mixed.loss(of_labels)
            if teacher_loss is not None:
                value += teacher_loss(logits_bhwc, batch, *of_teacher)
            return value, updates["batch_stats"]

        with precision_of(model):
            (value, batch_stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        if axis_name is not None:
            grads = lax.pmean(grads, axis_name)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        after = state.replace(
            step=state.step + 1,
            params=apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        if state.average is not None:
            latest = {"params": after.params, "batch_stats": after.batch_stats}
            average = update_average(state.average, latest, state.step, average_decay)
            after = after.replace(average=average)
        return after, {"loss": value}

    return train_step


def keep_block_outputs_alone(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose backward pass computes again what lies between block outputs."""
    policy = jax.checkpoint_policies.save_only_these_names(BLOCK_OUTPUT)
    return jax.checkpoint(forward, policy=policy)

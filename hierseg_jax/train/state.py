"""What training carries from step to step."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from hierseg_jax.models import EfficientUNet, ESNet, init_variables


class TrainState(flax.struct.PyTreeNode):
    """Immutable, and all of it in a checkpoint.

    Attributes:
      step: int32, steps done.
      params, batch_stats: the network's variables, float32.
      opt_state: of optax.
      key: of `jax.random`; a step's random numbers come from `fold_in(key, step)`.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    key: jax.Array


def create_optimizer(
    learning_rate: float, decay: float, steps_per_epoch: int
) -> optax.GradientTransformation:
    """Adam with PyTorch's defaults, its rate multiplied by `decay` after every epoch."""
    return optax.adam(learning_rate_schedule(learning_rate, decay, steps_per_epoch))


def learning_rate_schedule(
    learning_rate: float, decay: float, steps_per_epoch: int
) -> optax.Schedule:
    """step -> learning rate, constant within an epoch."""
    return optax.exponential_decay(learning_rate, steps_per_epoch, decay, staircase=True)


def create_state(
    model: EfficientUNet | ESNet,
    optimizer: optax.GradientTransformation,
    seed: int,
    variables: Mapping[str, Any] | None = None,
) -> TrainState:
    """The state at step 0.

    Args:
      model: to be trained.
      optimizer: from `create_optimizer`.
      seed: of the fresh weights and of all random numbers of training.
      variables: weights to start from, in place of fresh ones.
    """
    weights_key, key = jax.random.split(jax.random.key(seed))
    if variables is None:
        variables = init_variables(model, weights_key)
    variables = jax.tree.map(jnp.asarray, variables)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.jit(optimizer.init)(variables["params"]),
        key=jax.random.key_data(key),
    )

"""What training carries from step to step."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from hierseg_jax.models import SegmentationModel, init_variables
from hierseg_jax.models.kernels.random_bits import two_keys
from hierseg_jax.models.network import ModulePath
from hierseg_jax.train.initial import InitialWeights


class TrainState(flax.struct.PyTreeNode):
    """Immutable, and all of it in a checkpoint.

    Attributes:
      step: int32, steps done.
      params, batch_stats: the network's variables, float32.
      opt_state: of optax.
      key: of `jax.random`; a step's random numbers come from `fold_in(key, step)`.
      average: `{"params": ..., "batch_stats": ...}`, from `average.update_average`; None
        where the settings want none.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    key: jax.Array
    average: Any = None

    @property
    def evaluated(self) -> dict[str, Any]:
        """The variables that are validated, exported and kept as a run's result."""
        if self.average is not None:
            return self.average
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def training(self) -> dict[str, Any]:
        """What a checkpoint holds beside `evaluated`."""
        rest = {"step": self.step, "opt_state": self.opt_state, "key": self.key}
        if self.average is not None:
            rest |= {"params": self.params, "batch_stats": self.batch_stats}
        return rest

    @classmethod
    def of_checkpoint(cls, evaluated: Any, training: Mapping[str, Any]) -> "TrainState":
        """Inverse of `evaluated` and `training`."""
        averaged = "params" in training
        latest = training if averaged else evaluated
        return cls(
            step=training["step"],
            params=latest["params"],
            batch_stats=latest["batch_stats"],
            opt_state=training["opt_state"],
            key=training["key"],
            average=evaluated if averaged else None,
        )


def create_state(
    model: SegmentationModel,
    optimizer: optax.GradientTransformation,
    seed: int,
    weights: InitialWeights | None = None,
    averaged: bool = False,
    biases: Mapping[ModulePath, np.ndarray] = MappingProxyType({}),
    kept: bool = False,
) -> TrainState:
    """The state at step 0.

    Args:
      optimizer: whose state is zeros in the beginning, as those of `make_optimizer` are.
      seed: of the fresh weights and of all random numbers of training.
      weights: to start from, in place of fresh ones.
      averaged: whether to keep an average of the weights.
      biases: of heads, by path, in place of fresh ones, too.
      kept: as of `variable_shapes`.
    """
    weights_key, key = two_keys(seed)
    variables = init_variables(model, weights_key, kept)
    if biases:
        variables = unflatten_dict(flatten_dict(variables) | dict(biases))
    if weights is not None:
        variables = weights.completed(variables)
    variables = jax.device_put({name: variables[name] for name in ("params", "batch_stats")})
    return TrainState(
        step=jax.device_put(np.zeros((), np.int32)),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=_zeros(jax.eval_shape(optimizer.init, variables["params"])),
        key=jax.device_put(key),
        # Of its own: a step gives up the memory of all parts of a state.
        average=jax.tree.map(jnp.copy, variables) if averaged else None,
    )


def _zeros(shapes: Any) -> Any:
    """Without a program: lowering the first one of a process takes 0.02 s."""
    return jax.device_put(jax.tree.map(lambda like: np.zeros(like.shape, like.dtype), shapes))

"""Programs for devices that are not here: traced as they are traced there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import export

from hierseg_jax.losses import dice
from hierseg_jax.models import create_model
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.train.state import TrainState
from hierseg_jax.train.step import make_train_step


def on_platform(monkeypatch, backend):
    """Until the test's end networks are traced as where JAX computes on `gpu` or `tpu`."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)


def step_of(name, size=64, optimizer=None, **told):
    """A training step of a network, its state, and a batch for it; all of it shapes."""
    optimizer = optimizer or optax.adam(1e-3)
    model = create_model(name, 4, **told)
    variables = variable_shapes(model)
    state = TrainState(
        step=jax.ShapeDtypeStruct((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.eval_shape(optimizer.init, variables["params"]),
        key=jax.ShapeDtypeStruct((2,), jnp.uint32),
    )
    batch = {
        "image": np.zeros((2, size, size, 3), np.uint8),
        "label": np.zeros((2, size, size), np.uint8),
        "valid": np.ones(2, bool),
    }
    return make_train_step(model, dice, optimizer), state, batch


def exported(function, platform, *arguments):
    """StableHLO of a program for a platform, from `jax.export`; refused with calls of our own."""
    return export.export(jax.jit(function), platforms=[platform])(*arguments).mlir_module()

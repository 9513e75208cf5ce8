"""`config.remat`: what the backward pass keeps, and that it changes no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hierseg_jax.losses import dice
from hierseg_jax.models import create_model
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.train.state import create_state
from hierseg_jax.train.step import keep_block_outputs_alone, make_train_step


def kept_bytes(model, wrap):
    """Of what lies between the forward and the backward pass, parameters left out."""
    variables = variable_shapes(model)
    image = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)

    def residuals(params, batch_stats, image):
        def forward(params):
            return model.apply(
                {"params": params, "batch_stats": batch_stats},
                image,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )

        return jax.vjp(wrap(forward), params)[1]

    kept = jax.eval_shape(residuals, variables["params"], variables["batch_stats"], image)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept) if leaf.ndim == 4)


@pytest.mark.parametrize("name", ["esnet", "effunet"])
@pytest.mark.parametrize("conv_impl", ["xla", "tuned"])
def test_the_backward_pass_keeps_less(name, conv_impl):
    model = create_model(name, 4, conv_impl=conv_impl)
    less, everything = kept_bytes(model, keep_block_outputs_alone), kept_bytes(model, lambda f: f)
    print(less, everything, less / everything)
    assert less < everything / 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_a_step_ends_at_the_same_weights(name):
    rng = np.random.RandomState(0)
    batch = {
        "image": rng.randint(0, 256, (2, 64, 64, 3)).astype(np.uint8),
        "label": rng.randint(0, 4, (2, 64, 64)).astype(np.uint8),
        "valid": np.ones(2, bool),
    }
    model, optimizer = create_model(name, 4), optax.sgd(1.0)
    state = create_state(model, optimizer, seed=0)
    plain, with_remat = (
        jax.jit(make_train_step(model, dice, optimizer, remat=remat))(state, batch)[0]
        for remat in (False, True)
    )
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), plain.params, state.params)
    assert max(jax.tree.leaves(moved)) > 1e-3
    differences = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()), plain.params, with_remat.params
    )
    assert max(jax.tree.leaves(differences)) < 1e-6
    statistics = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()), plain.batch_stats, with_remat.batch_stats
    )
    assert max(jax.tree.leaves(statistics)) < 1e-6

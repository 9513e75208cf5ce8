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

BATCH = 2


def kept_bytes(model, wrap):
    """Of activations that lie between the forward and the backward pass."""
    variables = variable_shapes(model)
    image = jax.ShapeDtypeStruct((BATCH, 64, 64, 3), jnp.float32)

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
    # No kernel is two pixels high.
    activations = [x for x in jax.tree.leaves(kept) if x.ndim == 4 and x.shape[0] == BATCH]
    return sum(x.size * x.dtype.itemsize for x in activations)


@pytest.mark.parametrize("name", ["esnet", pytest.param("effunet", marks=pytest.mark.slow)])
def test_the_backward_pass_keeps_less(name):
    model = create_model(name, 4, conv_impl="xla")
    less, everything = kept_bytes(model, keep_block_outputs_alone), kept_bytes(model, lambda f: f)
    assert less < everything / 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_a_step_ends_at_the_same_weights(name):
    rng = np.random.RandomState(0)
    batch = {
        "image": rng.rand(BATCH, 64, 64, 3),
        "label": rng.randint(0, 4, (BATCH, 64, 64)).astype(np.uint8),
        "valid": np.ones(BATCH, bool),
    }
    with jax.enable_x64(True):
        model, optimizer = create_model(name, 4, dtype="float64"), optax.sgd(1.0)
        state = create_state(model, optimizer, seed=0)
        state = jax.tree.map(lambda x: x.astype("float64") if x.dtype == jnp.float32 else x, state)
        plain, with_remat = (
            jax.jit(make_train_step(model, dice, optimizer, remat=remat))(state, batch)[0]
            for remat in (False, True)
        )
    assert largest_difference(plain.params, state.params) > 1e-3
    assert largest_difference(plain.params, with_remat.params) < 1e-12
    assert largest_difference(plain.batch_stats, with_remat.batch_stats) < 1e-12


def largest_difference(ours, theirs):
    """Relative to the largest number of its array, where that is above 1."""
    differences = jax.tree.map(
        lambda a, b: np.abs(a - b).max() / max(1, np.abs(b).max()), ours, theirs
    )
    return max(jax.tree.leaves(differences))

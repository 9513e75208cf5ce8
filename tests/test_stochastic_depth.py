"""Whole residual branches are dropped, for single examples, at a rate that rises with depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from hierseg_jax.models import create_model
from hierseg_jax.models.dropout import ChannelDropout, StochasticDepth
from hierseg_jax.models.efficient_unet.backbone import MBConv, scaled_stages
from hierseg_jax.models.esnet.architecture import FCU, PFCU
from hierseg_jax.models.layers import Compute
from hierseg_jax.models.variant import Variant

COMPUTE = Compute(conv_impl="xla")
RATE = 0.4
BLOCKS = {
    "mbconv": lambda rate: MBConv(8, 3, 1, 1, 0.0, False, Variant(), COMPUTE, rate),
    "fcu": lambda rate: FCU(3, 0.0, COMPUTE, rate),
    "pfcu": lambda rate: PFCU(0.0, COMPUTE, rate),
}


@pytest.mark.parametrize("name", ["mbconv", "pfcu", pytest.param("fcu", marks=pytest.mark.slow)])
def test_a_branch_is_dropped_as_a_whole_or_scaled(name):
    # So far above 0 that the ReLU at the end of ESNet's units changes nothing.
    x = 50 + jax.random.normal(jax.random.key(0), (40, 6, 6, 8))
    key = jax.random.key(1)

    @jax.jit
    def branches(x):
        variables = BLOCKS[name](0.0).init(key, x, train=False)
        options = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": key}}
        return [BLOCKS[name](rate).apply(variables, x, **options)[0] - x for rate in (0.0, RATE)]

    branch, found = branches(x)
    kept = np.abs(found).max((1, 2, 3)) > 1e-3
    assert 0.35 < kept.mean() < 0.85
    np.testing.assert_array_equal(found[~kept], 0)
    np.testing.assert_allclose(found[kept], branch[kept] / (1 - RATE), atol=1e-4)


def test_rates_and_scaling():
    factors = StochasticDepth(RATE).apply(
        {}, jnp.zeros((4000, 2, 2, 3)), train=True, rngs={"dropout": jax.random.key(0)}
    )
    assert factors.shape == (4000, 1, 1, 3)
    np.testing.assert_array_equal(factors, np.repeat(factors[..., :1], 3, axis=-1))
    dropped = factors[:, 0, 0, 0] == 0
    np.testing.assert_allclose(factors[~dropped], 1 / (1 - RATE), rtol=1e-6)
    assert abs(dropped.mean() - RATE) < 4.5 * np.sqrt(RATE * (1 - RATE) / 4000)
    assert StochasticDepth(RATE).apply({}, jnp.zeros((1, 2, 2, 3)), train=False) is None


def drop_layers(model):
    """Kind and rate of every dropout in the order of the network."""
    found = []

    def record(call, args, kwargs, context):
        if isinstance(context.module, StochasticDepth | ChannelDropout):
            found.append((type(context.module), context.module.rate))
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, model.stride, model.stride, 3), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(model.init, jax.random.key(0), image)
    return found


def test_rates_rise_with_the_block_s_number_in_efficientnet():
    repeats = [stage.repeats for stage in scaled_stages("b0")]
    # The first block of a stage changes the shape: it has no shortcut and can't be dropped.
    numbers = [
        sum(repeats[:stage]) + index
        for stage, count in enumerate(repeats)
        for index in range(1, count)
    ]
    found = drop_layers(create_model("effunet", 4, stochastic_depth=0.2, conv_impl="xla"))
    assert found == [(StochasticDepth, 0.2 * number / 16) for number in numbers]
    plain = drop_layers(create_model("effunet", 4, conv_impl="xla"))
    assert {kind for kind, _ in plain} == {ChannelDropout}
    assert max(rate for _, rate in plain) == 0.2 * 3 / 16


def test_rates_rise_with_the_unit_s_number_in_esnet():
    found = drop_layers(create_model("esnet", 4, stochastic_depth=0.4, conv_impl="xla"))
    # A PFCU asks for each of its three branches, in training for all at once.
    rates = sorted({rate for kind, rate in found if kind is StochasticDepth})
    np.testing.assert_allclose(rates, [0.4 * number / 8 for number in range(1, 8)])
    assert {rate for kind, rate in found if kind is ChannelDropout} == {0.0}


def test_a_rate_of_1_is_refused():
    with pytest.raises(ValueError, match="stochastic_depth is 1; it must be 0 or more, below 1"):
        create_model("esnet", 4, stochastic_depth=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["effunet", "esnet"])
def test_a_frozen_backbone_has_no_gradient_and_moves_no_statistics(name):
    model = create_model(name, 4, stochastic_depth=0.5).clone(frozen_backbone=True)
    image = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
    variables = model.init(jax.random.key(1), image)

    @jax.jit
    def step(params, key):
        def loss(params):
            logits, updates = model.apply(
                {"params": params, "batch_stats": variables["batch_stats"]},
                image,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            return jnp.square(logits).sum(), updates["batch_stats"]

        return jax.value_and_grad(loss, has_aux=True)(params)

    root = {"effunet": "efficientnet", "esnet": "encoder"}[name]
    (value, stats), grads = step(variables["params"], jax.random.key(2))
    assert not any(np.any(x) for x in jax.tree.leaves(grads[root]))
    assert any(np.any(x) for key in grads if key != root for x in jax.tree.leaves(grads[key]))
    jax.tree.map(np.testing.assert_array_equal, stats[root], variables["batch_stats"][root])
    # Nothing is drawn in it either.
    assert step(variables["params"], jax.random.key(3))[0][0] == value

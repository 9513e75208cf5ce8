"""Random numbers by the kernel are JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.random_bits import two_keys, uniform, wrap_key

pytestmark = pytest.mark.skipif(bool(library.problem()), reason="the kernels can't be compiled")


def draws(data, wrap):
    """Of all kinds that networks, losses and mixing draw."""
    key = wrap(data)
    return (
        jax.random.key_data(jax.random.fold_in(key, 3)),
        jax.random.uniform(jax.random.fold_in(key, jnp.uint32(2**31 + 5)), (8, 1, 1, 33)),
        jax.random.bernoulli(jax.random.fold_in(jax.random.fold_in(key, 3), 1), 0.3, (5,)),
        jax.random.key_data(jax.random.split(key, 3)),
        jax.random.permutation(key, 7),
        jax.random.beta(key, 0.4, 0.4, (2,)),
        jax.random.gumbel(key, (3, 2)),
        jax.random.randint(key, (4,), 0, 9, jnp.uint8),
    )


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_numbers_are_those_of_jax(seed):
    data = jax.random.key_data(jax.random.key(seed))
    drawn = (
        jax.jit(draws, static_argnums=1)(data, wrap)
        for wrap in (wrap_key, jax.random.wrap_key_data)
    )
    jax.tree.map(np.testing.assert_array_equal, *drawn)


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1, 2**31])
def test_fresh_weights_are_drawn_as_jax_would_draw_them(seed):
    keys = jax.random.split(jax.random.key(seed))
    for data, key in zip(two_keys(seed), keys, strict=True):
        np.testing.assert_array_equal(data, jax.random.key_data(key))
        expected = jax.random.uniform(key, (1001,), jnp.float32, -1.0, 1.0)
        np.testing.assert_array_equal(uniform(data, 1001), expected)
        np.testing.assert_array_equal(uniform(key, 1001), expected)


def test_fresh_weights_are_those_of_the_generator_that_jax_is_set_to():
    jax.config.update("jax_threefry_partitionable", False)
    try:
        key = jax.random.split(jax.random.key(3))[0]
        np.testing.assert_array_equal(two_keys(3)[0], jax.random.key_data(key))
        drawn = jax.random.uniform(key, (9,), jnp.float32, -1.0, 1.0)
        np.testing.assert_array_equal(uniform(two_keys(3)[0], 9), drawn)
    finally:
        jax.config.update("jax_threefry_partitionable", True)

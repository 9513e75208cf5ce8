"""Random numbers by the kernel are JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.random_bits import wrap_key

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

"""Updates of all parameters by one kernel equal optax's, but for rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hierseg_jax.models.kernels import library, many_arrays

pytestmark = pytest.mark.skipif(bool(library.problem()), reason="the kernels can't be compiled")


def tree(seed, dtype=jnp.float32):
    rng = np.random.RandomState(seed)
    shapes = {"a": (3, 5), "b": (), "c": {"d": (2, 1, 4), "e": (17,)}}
    is_shape = lambda node: isinstance(node, tuple)  # noqa: E731
    return jax.tree.map(lambda s: jnp.asarray(rng.randn(*s), dtype), shapes, is_leaf=is_shape)


@pytest.mark.parametrize("names", [None, ["a"], ["b", "a"]])
def test_steps_equal_optax(names):
    params, grads = (
        {name: tree(seed)[name] for name in names} if names else tree(seed) for seed in (0, 1)
    )

    def steps(flatten, apply):
        optimizer = flatten(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)))
        updates, state = optimizer.update(grads, optimizer.init(params), params)
        return apply(params, updates), updates, state

    ours = jax.jit(lambda: steps(many_arrays.flattened, many_arrays.apply_updates))
    theirs = jax.jit(lambda: steps(optax.flatten, optax.apply_updates))
    equal = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6)  # noqa: E731
    jax.tree.map(equal, ours(), theirs())
    assert "hierseg_" in ours.lower().as_text()
    assert "hierseg_" not in theirs.lower().as_text()


def test_averages_equal_optax():
    new, old, weight = tree(0), tree(1), jnp.float32(0.3)
    ours = jax.jit(many_arrays.incremental_update)(new, old, weight)
    theirs = jax.jit(optax.incremental_update)(new, old, weight)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), ours, theirs)


def test_other_dtypes_are_left_to_optax():
    params, updates = tree(0), tree(1, jnp.bfloat16)
    ours = many_arrays.apply_updates(params, updates)
    jax.tree.map(np.testing.assert_array_equal, ours, optax.apply_updates(params, updates))


def test_where_float64_is_allowed_float32_stays():
    with jax.enable_x64(True):
        params, grads = tree(0), tree(1)
        ours, theirs = many_arrays.flattened(optax.adam(0.1)), optax.flatten(optax.adam(0.1))
        updates, state = ours.update(grads, ours.init(params), params)
        wanted, plain = theirs.update(grads, theirs.init(params), params)
        average = many_arrays.incremental_update(grads, params, jnp.asarray(0.3))
        found = (updates, state, many_arrays.apply_updates(params, updates), average)
        plain_average = optax.incremental_update(grads, params, jnp.float32(0.3))
        expected = (wanted, plain, optax.apply_updates(params, wanted), plain_average)
    for of, like in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        assert of.dtype == like.dtype
        np.testing.assert_allclose(of, like, rtol=1e-6, atol=1e-7)


def test_a_kernel_refuses_arrays_of_other_sizes():
    with jax.enable_x64(True), pytest.raises(TypeError, match="was given float64"):
        library.call("hierseg_join", (2,))(jnp.zeros(2, jnp.float64))

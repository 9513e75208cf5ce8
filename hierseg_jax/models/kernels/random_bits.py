"""JAX's random numbers by a kernel: the same bits, without programs of XLA's to compile.

Threefry 2x32 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), with the
counters that JAX gives it. XLA compiles seven programs for each place that draws.
"""

import functools
import math
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

from hierseg_jax.models.kernels import library


def wrap_key(data: jax.Array) -> jax.Array:
    """As `jax.random.wrap_key_data` of uint32 [2]: a key with the same numbers."""
    # Of another size, or with counters in another order, where somebody has set JAX so.
    counted = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    plain = data.shape == (2,) and counted
    if not (plain and library.usable()):
        return jax.random.wrap_key_data(data)
    return jax.random.wrap_key_data(data, impl=_threefry())


@functools.cache
def _threefry() -> Any:
    return jax.extend.random.define_prng_impl(
        key_shape=(2,),
        seed=lambda seed: jax.random.key_data(jax.random.key(seed)),
        split=lambda data, shape: jax.random.key_data(
            jax.random.split(jax.random.wrap_key_data(data), shape)
        ),
        random_bits=_random_bits,
        fold_in=_fold_in,
        name="hierseg_threefry",
        tag="hierseg",
    )


def _fold_in(data: jax.Array, number: Any) -> jax.Array:
    number = jnp.asarray(number).astype(jnp.uint32)
    call = library.call("hierseg_fold_in", (2,), dtype=jnp.uint32)
    return call(data, number)


def _random_bits(data: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    if bit_width != 32 or math.prod(shape) >= 2**32:
        dtype = jnp.dtype(f"uint{bit_width}")
        return jax.random.bits(jax.random.wrap_key_data(data), shape, dtype)
    return library.call("hierseg_random_bits", shape, dtype=jnp.uint32)(data)

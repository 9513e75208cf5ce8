"""JAX's random numbers by a kernel: the same bits, without programs of XLA's to compile.

Threefry 2x32 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), with the
counters that JAX gives it. XLA compiles seven programs for each place that draws.
"""

import ctypes
import functools
import math
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

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
    return library.call("hierseg_fold_in", _words_of((2,)))(data, number)


def _random_bits(data: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    if bit_width != 32 or math.prod(shape) >= 2**32:
        dtype = jnp.dtype(f"uint{bit_width}")
        return jax.random.bits(jax.random.wrap_key_data(data), shape, dtype)
    return library.call("hierseg_random_bits", _words_of(shape))(data)


def _words_of(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.uint32)


def two_keys(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The data, uint32 [2], of the keys in `jax.random.split(jax.random.key(seed))`."""
    if not (_draws_on_host() and 0 <= seed < 2**31):
        first, second = jax.random.split(jax.random.key(seed))
        return np.asarray(jax.random.key_data(first)), np.asarray(jax.random.key_data(second))
    keys = np.empty((2, 2), np.uint32)
    for i, key in enumerate(keys):
        library.function("hierseg_fold")(*_words(0, seed, i), _address(key))
    return keys[0], keys[1]


def uniform(key: jax.Array | np.ndarray, count: int) -> np.ndarray:
    """float32 [count] in [-1, 1), as `jax.random.uniform` draws them.

    Args:
      key: from `jax.random.key`, or the data of one, uint32 [2].
    """
    if not isinstance(key, np.ndarray):
        return np.asarray(jax.random.uniform(key, (count,), jnp.float32, -1.0, 1.0))
    if not _draws_on_host() or key.shape != (2,):
        return uniform(jax.random.wrap_key_data(jnp.asarray(key)), count)
    bits = np.empty(count, np.uint32)
    fill = library.function("hierseg_fill_bits")
    fill(*_words(*map(int, key)), ctypes.c_int64(count), _address(bits))
    # A mantissa for 1 to 2; all in place, for fresh memory takes longer than arithmetic.
    bits >>= 9
    bits |= np.uint32(0x3F800000)
    drawn = bits.view(np.float32)
    drawn -= 1
    drawn *= 2
    drawn -= 1
    return np.maximum(drawn, np.float32(-1), out=drawn)


def _draws_on_host() -> bool:
    """Whether JAX would draw the same numbers, with programs that it had to compile."""
    config = jax.config
    return (
        library.usable()
        and config.jax_threefry_partitionable  # type: ignore[attr-defined]
        and config.jax_default_prng_impl == "threefry2x32"  # type: ignore[attr-defined]
    )


def _words(*numbers: int) -> tuple[ctypes.c_uint32, ...]:
    return tuple(map(ctypes.c_uint32, numbers))


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)

"""Squeeze-excite by the kernels, in two passes over memory each way."""

from typing import Any

import jax

from hierseg_jax.models.kernels.library import call


@jax.custom_vjp
def squeeze_excite(
    x_bhwc: jax.Array, w1: jax.Array, b1: jax.Array, w2: jax.Array, b2: jax.Array
) -> jax.Array:
    """x sigmoid(b2 + silu(b1 + mean(x) w1) w2).

    Args:
      x_bhwc: float32 or bfloat16 [B, h, w, C], as is the result; all else is float32.
      w1: [1, 1, C, S].
      b1: [S].
      w2: [1, 1, S, C].
      b2: [C].
    """
    return _forward(x_bhwc, w1, b1, w2, b2)[0]


def _forward(
    x: jax.Array, w1: jax.Array, b1: jax.Array, w2: jax.Array, b2: jax.Array
) -> tuple[jax.Array, tuple[Any, ...]]:
    of_channels, of_hidden = (x.shape[0], x.shape[-1]), (x.shape[0], b1.size)
    shapes = (x.shape, of_channels, of_hidden, of_channels)
    kernel = call("hierseg_squeeze_excite", *shapes, storage=x.dtype)
    y, mean, hidden, gate = kernel(x, w1, b1, w2, b2)
    return y, (x, w1, w2, mean, hidden, gate)


def _backward(residuals: tuple[Any, ...], dy: jax.Array) -> tuple[jax.Array, ...]:
    x, w1, w2, *_ = residuals
    shapes = (x.shape, w1.shape, w1.shape[-1:], w2.shape, w2.shape[-1:])
    gradient = call("hierseg_squeeze_excite_gradient", *shapes, storage=x.dtype)
    return tuple(gradient(x, dy, *residuals[1:]))


squeeze_excite.defvjp(_forward, _backward)

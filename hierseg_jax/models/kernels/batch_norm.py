"""Batch normalisation by the kernels, with the activation and the shortcut that follow it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hierseg_jax.models.kernels.library import call

ACTIVATIONS = {None: 0, "relu": 1, "silu": 2, "relu6": 3}

Residuals = tuple[Any, ...]
"""x, y, scale, bias, mean, inverse deviation, factor, and whether there was a shortcut."""
Outputs = tuple[jax.Array, jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def normalize(
    x_bhwc: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    factor_b11c: jax.Array | None,
    shortcut_bhwc: jax.Array | None,
    epsilon: float,
    activation: str | None,
    axis_name: str | None,
) -> Outputs:
    """(y, mean, biased variance) of a batch, y = activation(shortcut + factor norm(x)).

    Gradients flow through y alone, and not into the factor (dropout's). Ioffe and Szegedy
    2015, section 3. Kept for the backward pass are x and, for ReLU and ReLU6, y, which whatever
    reads them keeps anyway.

    Args:
      x_bhwc: float32 [B, h, w, C].
      scale: [C].
      bias: [C].
      factor_b11c: [B, 1, 1, C], by default 1.
      shortcut_bhwc: [B, h, w, C], by default 0; not with `silu`.
      epsilon: added to the variance.
      activation: `relu`, `relu6`, `silu` or None.
      axis_name: mapped axis over which the batch is spread, if any.
    """
    return _forward(
        x_bhwc, scale, bias, factor_b11c, shortcut_bhwc, epsilon, activation, axis_name
    )[0]


def _forward(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    factor: jax.Array | None,
    shortcut: jax.Array | None,
    epsilon: float,
    activation: str | None,
    axis_name: str | None,
) -> tuple[Outputs, Residuals]:
    batch, _, _, channels = x.shape
    mean, var = call("hierseg_moments", (channels,), (channels,))(x)
    if axis_name is not None:
        whole = lax.pmean(mean, axis_name)
        var = lax.pmean(var + jnp.square(mean - whole), axis_name)
        mean = whole
    inverse = lax.rsqrt(var + epsilon)
    has_shortcut = shortcut is not None
    if factor is None:
        factor = jnp.ones((batch, 1, 1, channels), x.dtype)
    if shortcut is None:
        shortcut = jnp.zeros(0, x.dtype)
    code = np.int64(ACTIVATIONS[activation])
    inputs = (x, mean, inverse * scale, bias, factor, shortcut)
    y = call("hierseg_normalize", x.shape)(*inputs, activation=code)
    kept_y = y if activation in ("relu", "relu6") else None
    shortcut_mark = jnp.zeros(0) if has_shortcut else None
    return (y, mean, var), (x, kept_y, scale, bias, mean, inverse, factor, shortcut_mark)


def _backward(
    epsilon: float,
    activation: str | None,
    axis_name: str | None,
    residuals: Residuals,
    gradients: Outputs,
) -> tuple[jax.Array | None, ...]:
    del epsilon
    x, y, scale, bias, mean, inverse, factor, has_shortcut = residuals
    y = x if y is None else y
    dy, channels = gradients[0], x.shape[-1]
    inputs = (x, y, dy, mean, inverse * scale, bias, factor)
    code = np.int64(ACTIVATIONS[activation])
    sums = call("hierseg_normalize_sums", (2, channels))(*inputs, activation=code)
    # What a pixel adds to the batch's mean and variance concerns all devices' pixels.
    shares = sums / (x.size // channels)
    if axis_name is not None:
        shares = lax.pmean(shares, axis_name)
    shares *= jnp.stack([jnp.ones_like(inverse), jnp.square(inverse)])
    split = has_shortcut is not None and activation is not None
    dx, d_shortcut = call("hierseg_normalize_gradient", x.shape, x.shape if split else (0,))(
        *inputs, shares, activation=code
    )
    if has_shortcut is None:
        d_shortcut = None
    elif not split:
        d_shortcut = dy
    return dx, sums[1] * inverse, sums[0], jnp.zeros_like(factor), d_shortcut


normalize.defvjp(_forward, _backward)

"""Batch normalisation by the kernels, with the activation and the shortcut that follow it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hierseg_jax.models.kernels.library import call

ACTIVATIONS = {None: 0, "relu": 1, "silu": 2, "relu6": 3}

Residuals = tuple[Any, ...]
"""x, y, mean, variance, scale, bias, factor, and what is None where there was no shortcut."""
Outputs = tuple[jax.Array, jax.Array, jax.Array]


class How(NamedTuple):
    """A batch norm's `epsilon`, added to the variance, the `activation` behind it, y's `dtype`."""

    epsilon: float
    activation: str | None
    dtype: Any


class By(NamedTuple):
    """What is normalised by, and what is added to it.

    Mean, variance, scale and bias are float32 [C]; `factor_b11c`, float32 [B, 1, 1, C], is 1 and
    `shortcut_bhwc`, [B, h, w, C], 0 by default.
    """

    mean: jax.Array
    var: jax.Array
    scale: jax.Array
    bias: jax.Array
    factor_b11c: jax.Array | None = None
    shortcut_bhwc: jax.Array | None = None


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
      x_bhwc: float32 or bfloat16 [B, h, w, C], as are the shortcut and y; all else is float32.
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
    channels = x.shape[-1:]
    mean, var = call("hierseg_moments", channels, channels, storage=x.dtype)(x)
    if axis_name is not None:
        whole = lax.pmean(mean, axis_name)
        var = lax.pmean(var + jnp.square(mean - whole), axis_name)
        mean = whole
    how = How(epsilon, activation, x.dtype)
    y = normalize_by(how, x, By(mean, var, scale, bias, factor, shortcut))
    kept_y = y if activation in ("relu", "relu6") else None
    mark = None if shortcut is None else jnp.zeros(0, x.dtype)
    return (y, mean, var), (x, kept_y, mean, var, scale, bias, factor, mark)


def _backward(
    epsilon: float,
    activation: str | None,
    axis_name: str | None,
    residuals: Residuals,
    gradients: Outputs,
) -> tuple[jax.Array | None, ...]:
    x, y, *of_channels, factor, shortcut_mark = residuals
    y = x if y is None else y
    dy, channels = gradients[0], x.shape[-1]
    given = (x, y, dy, *of_channels, jnp.zeros(0, jnp.float32) if factor is None else factor)
    named = attributes_of(How(epsilon, activation, x.dtype))
    sums = call("hierseg_normalize_sums", (2, channels), storage=x.dtype)(*given, **named)
    # What a pixel adds to the batch's mean and variance concerns all devices' pixels.
    shared = sums if axis_name is None else lax.pmean(sums, axis_name)
    has_shortcut = shortcut_mark is not None
    split = has_shortcut and activation is not None
    shapes = (x.shape, x.shape if split else (0,), (channels,), (channels,))
    gradient = call("hierseg_normalize_gradient", *shapes, storage=x.dtype)
    dx, d_shortcut, d_scale, d_bias = gradient(
        *given, sums, shared, count=np.float32(x.size // channels), **named
    )
    if not has_shortcut:
        d_shortcut = None
    elif not split:
        d_shortcut = dy
    d_factor = None if factor is None else jnp.zeros_like(factor)
    return dx, d_scale, d_bias, d_factor, d_shortcut


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def normalize_by(how: How, x_bhwc: jax.Array, by: By) -> jax.Array:
    """y of `normalize` by a mean and a variance that are given, in one pass over memory.

    Its gradient is that of the formula.
    """
    x = x_bhwc.astype(how.dtype)
    kernel = call("hierseg_normalize", x.shape, storage=how.dtype)
    factor, shortcut = or_nothing(by.factor_b11c), or_nothing(by.shortcut_bhwc, how.dtype)
    return kernel(x, *by[:4], factor, shortcut, **attributes_of(how))


def normalize_by_formula(how: How, x_bhwc: jax.Array, by: By) -> jax.Array:
    """The same as a formula, in float32 (float64 for float64 inputs) up to the norm's result."""
    x = x_bhwc.astype(jnp.promote_types(x_bhwc.dtype, jnp.float32))
    slope = lax.rsqrt(by.var + how.epsilon) * by.scale
    y_bhwc = ((x - by.mean) * slope + by.bias).astype(how.dtype)
    if by.factor_b11c is not None:
        y_bhwc *= by.factor_b11c.astype(how.dtype)
    if by.shortcut_bhwc is not None:
        y_bhwc = by.shortcut_bhwc + y_bhwc
    return activate(y_bhwc, how.activation)


def _normalize_by_forward(how: How, x: jax.Array, by: By) -> tuple[jax.Array, Any]:
    return jax.vjp(functools.partial(normalize_by_formula, how), x, by)


def _normalize_by_backward(how: How, pull: Any, dy: jax.Array) -> Any:
    del how
    return pull(dy)


normalize_by.defvjp(_normalize_by_forward, _normalize_by_backward)


def or_nothing(array: jax.Array | None, dtype: Any = jnp.float32) -> jax.Array:
    """An array as `dtype`, by default an empty one, which kernels take for none."""
    return jnp.zeros(0, dtype) if array is None else array.astype(dtype)


def activate(x: jax.Array, activation: str | None) -> jax.Array:
    """ReLU, ReLU6, SiLU or x itself."""
    functions = {"relu": jax.nn.relu, "relu6": jax.nn.relu6, "silu": jax.nn.silu}
    return x if activation is None else functions[activation](x)


def attributes_of(how: How) -> dict[str, Any]:
    """As the kernels know them."""
    return {
        "activation": np.int64(ACTIVATIONS[how.activation]),
        "epsilon": np.float32(how.epsilon),
    }


def average_moments(
    mean: jax.Array, var: jax.Array, past: tuple[jax.Array, jax.Array], momentum: float, count: int
) -> list[jax.Array]:
    """Running mean and variance, [C] each, after a batch.

    Args:
      mean, var: of the batch, from `normalize`.
      past: running ones before it.
      momentum: weight of the past.
      count: of the values whose variance it is; what is averaged is the unbiased one.
    """
    # No gradient flows into them.
    mean, var = lax.stop_gradient((mean, var))
    present = 1 - momentum
    average = call("hierseg_average_moments", mean.shape, mean.shape, reused={2: 0, 3: 1})
    return average(
        mean,
        var,
        *past,
        past=np.float32(momentum),
        present=np.float32(present),
        present_variance=np.float32(present * (count / (count - 1))),
    )


normalize.defvjp(_forward, _backward)

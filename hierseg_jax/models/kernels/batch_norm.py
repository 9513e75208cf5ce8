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


class NormOptions(NamedTuple):
    """`epsilon` of a batch norm, added to the variance, the `activation` behind it, y's `dtype`."""

    epsilon: float
    activation: str | None
    dtype: Any


class NormArrays(NamedTuple):
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
    options = NormOptions(epsilon, activation, x.dtype)
    y = normalize_by(options, x, NormArrays(mean, var, scale, bias, factor, shortcut))
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
    named = attributes_of(NormOptions(epsilon, activation, x.dtype))
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
def normalize_by(options: NormOptions, x_bhwc: jax.Array, arrays: NormArrays) -> jax.Array:
    """y of `normalize` by a mean and a variance that are given, in one pass over memory.

    Its gradient is that of the formula.
    """
    check_shapes(arrays, x_bhwc.shape)
    x = x_bhwc.astype(options.dtype)
    kernel = call("hierseg_normalize", x.shape, storage=options.dtype)
    factor = or_nothing(arrays.factor_b11c)
    shortcut = or_nothing(arrays.shortcut_bhwc, options.dtype)
    return kernel(x, *arrays[:4], factor, shortcut, **attributes_of(options))


def normalize_by_formula(options: NormOptions, x_bhwc: jax.Array, arrays: NormArrays) -> jax.Array:
    """The same as a formula, in float32 (float64 for float64 inputs) up to the norm's result."""
    x = x_bhwc.astype(jnp.promote_types(x_bhwc.dtype, jnp.float32))
    slope = lax.rsqrt(arrays.var + options.epsilon) * arrays.scale
    y_bhwc = ((x - arrays.mean) * slope + arrays.bias).astype(options.dtype)
    if arrays.factor_b11c is not None:
        y_bhwc *= arrays.factor_b11c.astype(options.dtype)
    if arrays.shortcut_bhwc is not None:
        y_bhwc = arrays.shortcut_bhwc + y_bhwc
    return activate(y_bhwc, options.activation)


def _normalize_by_forward(
    options: NormOptions, x: jax.Array, arrays: NormArrays
) -> tuple[jax.Array, Any]:
    return jax.vjp(functools.partial(normalize_by_formula, options), x, arrays)


def _normalize_by_backward(options: NormOptions, pull: Any, dy: jax.Array) -> Any:
    del options
    return pull(dy)


normalize_by.defvjp(_normalize_by_forward, _normalize_by_backward)


def check_shapes(arrays: NormArrays, shape: tuple[int, ...]) -> None:
    """Raises TypeError for others than a result of that shape has: kernels read what lies there."""
    batch, *_, channels = shape
    wanted = [(channels,)] * 4 + [(batch, 1, 1, channels), shape]
    for name, array, of in zip(arrays._fields, arrays, wanted, strict=True):
        if array is not None and array.shape != of:
            raise TypeError(f"{name} of a batch norm is {of} here; got {array.shape}.")


def or_nothing(array: jax.Array | None, dtype: Any = jnp.float32) -> jax.Array:
    """An array as `dtype`, by default an empty one, which kernels take for none."""
    return jnp.zeros(0, dtype) if array is None else array.astype(dtype)


def activate(x: jax.Array, activation: str | None) -> jax.Array:
    """ReLU, ReLU6, SiLU or x itself."""
    functions = {"relu": jax.nn.relu, "relu6": jax.nn.relu6, "silu": jax.nn.silu}
    return x if activation is None else functions[activation](x)


def attributes_of(options: NormOptions) -> dict[str, Any]:
    """As the kernels know them."""
    return {
        "activation": np.int64(ACTIVATIONS[options.activation]),
        "epsilon": np.float32(options.epsilon),
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

"""Convolutions by the kernels, as JAX functions with their gradients.

All take and give NHWC arrays of float32 or bfloat16, of which `library.problem` has to be None;
kernels, biases and their gradients are float32 either way. With
`x`, `y` and W the input, output and kernel: y = W x, dx = W^T dy, and W^T is the transposed
convolution, so that each of the two is the other's gradient.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models.kernels.batch_norm import (
    NormArrays,
    NormOptions,
    attributes_of,
    check_shapes,
    normalize_by_formula,
    or_nothing,
)
from hierseg_jax.models.kernels.library import call


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Steps and padding of a convolution.

    Attributes:
      stride: in both directions.
      dilation: (along height, along width).
      padding: before the first row and column, and behind the last ones too unless
        `padding_after` says otherwise.
    """

    stride: int = 1
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    padding_after: tuple[int, int] | None = None


NO_NORM = NormOptions(0.0, None, None)
"""Follows a convolution that no norm follows."""
RELU = NO_NORM._replace(activation="relu")


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def convolve(
    x_bhwc: jax.Array,
    kernel_hwio: jax.Array,
    bias: jax.Array | None,
    geometry: Geometry,
    relu: bool = False,
) -> jax.Array:
    """[B, h, w, I] -> [B, H, W, O], as `lax.conv_general_dilated` on NHWC and HWIO.

    Args:
      bias: [O], by default 0.
      relu: whether negative results become 0.
    """
    sides = _output_sides(x_bhwc.shape[1:3], kernel_hwio.shape[:2], geometry)
    shape = (x_bhwc.shape[0], *sides, kernel_hwio.shape[-1])
    options = RELU if relu else NO_NORM
    return _convolve(x_bhwc, kernel_hwio, bias, shape, geometry, options=options)


def _convolve_forward(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, geometry: Geometry, relu: bool
) -> tuple[jax.Array, tuple[Any, ...]]:
    y = convolve(x, kernel, bias, geometry, relu)
    mark = None if bias is None else jnp.zeros(0)
    return y, (x, kernel, y if relu else None, mark)


def _convolve_backward(
    geometry: Geometry,
    relu: bool,
    residuals: tuple[Any, ...],
    dy: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    del relu
    x, kernel, y, bias_mark = residuals
    if y is not None:
        dy = call("hierseg_rectify_gradient", dy.shape, storage=dy.dtype)(y, dy)
    dx = _convolve(dy, kernel, None, x.shape, geometry, transposed=True, turned=True)
    gradient, bias_gradient = _kernel_gradient(x, dy, kernel.shape, geometry)
    return dx, gradient, None if bias_mark is None else bias_gradient


convolve.defvjp(_convolve_forward, _convolve_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def convolve_transposed(
    x_bhwc: jax.Array,
    kernel_hwoi: jax.Array,
    bias: jax.Array,
    geometry: Geometry,
    sides: tuple[int, int],
) -> jax.Array:
    """[B, h, w, I] -> [B, *sides, O]: y[stride u + dilation i - padding] += x[u] W[i], W^T in i."""
    shape = (x_bhwc.shape[0], *sides, kernel_hwoi.shape[2])
    return _convolve(x_bhwc, kernel_hwoi, bias, shape, geometry, transposed=True, turned=True)


def _transposed_forward(
    x: jax.Array, kernel: jax.Array, bias: jax.Array, geometry: Geometry, sides: tuple[int, int]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return convolve_transposed(x, kernel, bias, geometry, sides), (x, kernel)


def _transposed_backward(
    geometry: Geometry,
    sides: tuple[int, int],
    residuals: tuple[jax.Array, jax.Array],
    dy: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    del sides
    x, kernel_hwoi = residuals
    # Seen from dy this is a plain convolution, whose input has `O` channels.
    dx = _convolve(dy, kernel_hwoi, None, x.shape, geometry)
    gradient, _ = _kernel_gradient(dy, x, kernel_hwoi.shape, geometry)
    return dx, gradient, dy.sum((0, 1, 2), dtype=jnp.float32)


convolve_transposed.defvjp(_transposed_forward, _transposed_backward)


def convolve_depthwise(
    x_bhwc: jax.Array,
    kernel_hwc: jax.Array,
    stride: int,
    padding: tuple[int, int],
    padding_after: tuple[int, int] | None = None,
) -> jax.Array:
    """[B, h, w, C] -> [B, H, W, C], every channel by its own kernel; padded as by `Geometry`."""
    geometry = Geometry(stride, padding=padding, padding_after=padding_after)
    return _convolve_depthwise(x_bhwc, kernel_hwc, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve_depthwise(x: jax.Array, kernel_hwc: jax.Array, geometry: Geometry) -> jax.Array:
    sides = _output_sides(x.shape[1:3], kernel_hwc.shape[:2], geometry)
    return _by_depthwise(x, kernel_hwc, None, (x.shape[0], *sides, x.shape[-1]), geometry)


def _depthwise_forward(
    x: jax.Array, kernel: jax.Array, geometry: Geometry
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve_depthwise(x, kernel, geometry), (x, kernel)


def _depthwise_backward(
    geometry: Geometry, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    dx = _by_depthwise(dy, kernel, None, x.shape, geometry, transposed=True)
    to_kernel = call("hierseg_depthwise_gradient", kernel.shape, storage=x.dtype)
    return dx, to_kernel(x, dy, **_attributes(geometry))


_convolve_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def convolve_and_normalize(
    geometry: Geometry,
    options: NormOptions,
    x_bhwc: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    arrays: NormArrays,
) -> jax.Array:
    """`normalize_by` of `convolve`, or of `convolve_depthwise`, in one pass over memory.

    The norm is in the weights, so the results are those of two passes up to rounding. Gradients
    are those of two passes.

    Args:
      kernel: [h, w, I, O], or [h, w, C] of a depthwise convolution.
      bias: [O], by default 0.
      arrays: without a factor.
    """
    sides = _output_sides(x_bhwc.shape[1:3], kernel.shape[:2], geometry)
    shape = (x_bhwc.shape[0], *sides, kernel.shape[-1])
    check_shapes(arrays, shape)
    if arrays.factor_b11c is not None:
        raise TypeError("A convolution's batch norm has no factor.")
    run = _convolve if kernel.ndim == 4 else _by_depthwise
    return run(x_bhwc, kernel, bias, shape, geometry, options=options, arrays=arrays)


def _normalized_forward(
    geometry: Geometry,
    options: NormOptions,
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    arrays: NormArrays,
) -> tuple[jax.Array, Any]:
    def in_two_passes(
        x: jax.Array, kernel: jax.Array, bias: jax.Array | None, arrays: NormArrays
    ) -> jax.Array:
        if kernel.ndim == 4:
            y = convolve(x, kernel, bias, geometry)
        else:
            y = _convolve_depthwise(x, kernel, geometry)
            y = y if bias is None else y + bias.astype(y.dtype)
        return normalize_by_formula(options, y, arrays)

    return jax.vjp(in_two_passes, x, kernel, bias, arrays)


def _normalized_backward(geometry: Geometry, options: NormOptions, pull: Any, dy: jax.Array) -> Any:
    del geometry, options
    return pull(dy)


convolve_and_normalize.defvjp(_normalized_forward, _normalized_backward)


def _output_sides(
    sides: tuple[int, ...], kernel_size: tuple[int, ...], geometry: Geometry
) -> list[int]:
    """Height and width of a convolution's result."""
    after = geometry.padding_after or geometry.padding
    return [
        (side + pad + pad_after - d * (k - 1) - 1) // geometry.stride + 1
        for side, pad, pad_after, d, k in zip(
            sides, geometry.padding, after, geometry.dilation, kernel_size, strict=True
        )
    ]


def _attributes(geometry: Geometry) -> dict[str, np.int64]:
    """Without `padding_after`: the kernels know where an array ends."""
    return {
        "stride": np.int64(geometry.stride),
        "dilation_h": np.int64(geometry.dilation[0]),
        "dilation_w": np.int64(geometry.dilation[1]),
        "pad_h": np.int64(geometry.padding[0]),
        "pad_w": np.int64(geometry.padding[1]),
    }


def _convolve(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    shape: tuple[int, ...],
    geometry: Geometry,
    *,
    transposed: bool = False,
    turned: bool = False,
    options: NormOptions = NO_NORM,
    arrays: NormArrays | None = None,
) -> jax.Array:
    """With `turned` the kernel is [h, w, O, I], not [h, w, I, O]."""
    inputs, outputs = kernel.shape[:1:-1] if turned else kernel.shape[2:]
    _check_channels(x, (inputs, outputs), shape, bias)
    run = call("hierseg_convolve", shape, storage=x.dtype)
    named = _attributes(geometry) | attributes_of(options)
    what_follows = _finish(x.dtype, bias, arrays)
    return run(x, kernel, *what_follows, transposed=transposed, turned=turned, **named)


def _by_depthwise(
    x: jax.Array,
    kernel_hwc: jax.Array,
    bias: jax.Array | None,
    shape: tuple[int, ...],
    geometry: Geometry,
    *,
    transposed: bool = False,
    options: NormOptions = NO_NORM,
    arrays: NormArrays | None = None,
) -> jax.Array:
    _check_channels(x, kernel_hwc.shape[-1:] * 2, shape, bias)
    run = call("hierseg_depthwise", shape, storage=x.dtype)
    named = _attributes(geometry) | attributes_of(options)
    return run(x, kernel_hwc, *_finish(x.dtype, bias, arrays), transposed=transposed, **named)


def _check_channels(
    x: jax.Array, channels: tuple[int, ...], shape: tuple[int, ...], bias: jax.Array | None
) -> None:
    """Raises TypeError where channels don't fit: kernels read what lies there."""
    bias_shape = channels[1:] if bias is None else bias.shape
    if (x.shape[-1], shape[-1]) != channels or bias_shape != channels[1:]:
        raise TypeError(
            f"A convolution of {channels[0]} to {channels[1]} channels is given {x.shape[-1]} for "
            f"{shape[-1]}, and a bias of {bias_shape}."
        )


def _finish(dtype: Any, bias: jax.Array | None, arrays: NormArrays | None) -> tuple[jax.Array, ...]:
    """What the kernels are given for what follows the sums."""
    arrays = arrays or NormArrays(*(jnp.zeros(0, jnp.float32),) * 4)
    return (or_nothing(bias), *arrays[:4], or_nothing(arrays.shortcut_bhwc, dtype))


def _kernel_gradient(
    x: jax.Array, dy: jax.Array, shape: tuple[int, ...], geometry: Geometry
) -> list[jax.Array]:
    kernel = call("hierseg_kernel_gradient", shape, dy.shape[-1:], storage=x.dtype)
    return kernel(x, dy, **_attributes(geometry))

"""Batch norm folded into the convolution before it, and Flax kernels in ONNX's layout.

In inference a batch norm is y * scale + shift per channel; both go into kernel and bias
in float64 and are rounded to float32 once.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Tree = Mapping[str, Any]
Weights = tuple[np.ndarray, np.ndarray]


def affine(params: Tree, stats: Tree, epsilon: float) -> Weights:
    """A batch norm as (scale, shift), float64 [C]."""
    scale_c = _double(params["scale"]) / np.sqrt(_double(stats["var"]) + epsilon)
    return scale_c, _double(params["bias"]) - _double(stats["mean"]) * scale_c


def conv_weights(params: Tree) -> Weights:
    """Kernel and bias (zeros where there is none) of a `Conv` or `ConvTranspose`.

    Returns:
      float64 kernel, OIHW (transposed convolutions: IOHW), and bias [O].
    """
    # HWIO -> OIHW and HWOI -> IOHW are the same permutation.
    kernel = _double(params["kernel"]).transpose(3, 2, 0, 1)
    bias_o = _double(params["bias"]) if "bias" in params else np.zeros(kernel.shape[0])
    return kernel, bias_o


def folded(
    params: Tree, stats: Tree, conv: str, norm: str, epsilon: float, *, transposed: bool = False
) -> Weights:
    """Convolution `conv` and the batch norm `norm` behind it, as one: float32 OIHW, [O].

    The kernel of a transposed convolution is IOHW.
    """
    kernel, bias_o = conv_weights(params[conv])
    scale_o, shift_o = affine(params[norm], stats[norm], epsilon)
    factor = scale_o.reshape((1, -1, 1, 1) if transposed else (-1, 1, 1, 1))
    return single((kernel * factor, bias_o * scale_o + shift_o))


def subpixel(weights: Weights) -> Weights:
    """A transposed convolution that doubles the sides as a convolution and a depth-to-space.

    Output 2i + a of the transposed convolution meets input s by kernel row a + before - 2 (s - i),
    where `before` is its padding: 1 for 3x3 kernels, 0 for 2x2.

    Args:
      weights: IOHW of 2x2 or 3x3, and bias [O].

    Returns:
      Kernel [4 O, I, 3, 3] (2x2: [4 O, I, 1, 1]) and bias [4 O], channel 4 c + 2 a + b for the
      row a and column b of each 2x2 block of channel c.
    """
    kernel_iohw, bias_o = weights
    inputs, outputs, size, _ = kernel_iohw.shape
    before, reach = (1, 1) if size == 3 else (0, 0)
    side = 2 * reach + 1
    wide = np.zeros((outputs, 2, 2, inputs, side, side), kernel_iohw.dtype)
    taps = [
        (a, shift, a + before - 2 * shift)
        for a in (0, 1)
        for shift in range(-reach, reach + 1)
        if 0 <= a + before - 2 * shift < size
    ]
    for a, row_shift, row in taps:
        for b, column_shift, column in taps:
            wide[:, a, b, :, reach + row_shift, reach + column_shift] = kernel_iohw[
                :, :, row, column
            ].T
    return wide.reshape(4 * outputs, inputs, side, side), np.repeat(bias_o, 4)


def single(weights: Weights) -> Weights:
    """Rounds to float32."""
    kernel, bias_o = (np.ascontiguousarray(array, np.float32) for array in weights)
    return kernel, bias_o


def _double(array: Any) -> np.ndarray:
    return np.asarray(array, np.float64)

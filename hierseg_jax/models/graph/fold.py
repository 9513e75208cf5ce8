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

    Output 2i + a of the transposed convolution meets input i + s by kernel row a + before - 2 s,
    where `before` is its padding: 1 for 3x3 kernels, 0 for 2x2.

    Args:
      weights: IOHW of 2x2 or 3x3, and bias [O].

    Returns:
      Kernel [4 O, I, 2, 2] (2x2: [4 O, I, 1, 1]), for an input that is padded after its last row
      and column alone, and bias [4 O], channel 4 c + 2 a + b for the row a and column b of each
      2x2 block of channel c.
    """
    kernel_iohw, bias_o = weights
    inputs, outputs, size, _ = kernel_iohw.shape
    before, side = size - 2, size - 1
    wide = np.zeros((outputs, 2, 2, inputs, side, side), kernel_iohw.dtype)
    taps = [
        (a, shift, a + before - 2 * shift)
        for a in (0, 1)
        for shift in range(side)
        if 0 <= a + before - 2 * shift < size
    ]
    for a, row_shift, row in taps:
        for b, column_shift, column in taps:
            wide[:, a, b, :, row_shift, column_shift] = kernel_iohw[:, :, row, column].T
    return wide.reshape(4 * outputs, inputs, side, side), np.repeat(bias_o, 4)


def of_blocks(kernel_oihw: np.ndarray, before: int) -> np.ndarray:
    """The kernel of a 3x3 convolution of stride 2 for the 2x2 blocks of its input.

    Args:
      kernel_oihw: 3x3.
      before: rows and columns that the input is padded by above and to the left: 0 or 1.

    Returns:
      [O, 4 I, 2, 2], of stride 1, for `ops.space_to_depth` of the input, padded by a block there
      (`before` 1) or at the other ends (0).
    """
    outputs, inputs = kernel_oihw.shape[:2]
    wide = np.zeros((outputs, 2, 2, inputs, 2, 2), kernel_oihw.dtype)
    for row, column in np.ndindex(3, 3):
        # Of two blocks, the second one's start is where an output's own pixel is, or the first's.
        (i, a), (j, b) = divmod(row + before, 2), divmod(column + before, 2)
        wide[:, a, b, :, i, j] = kernel_oihw[:, :, row, column]
    return wide.reshape(outputs, 4 * inputs, 2, 2)


def single(weights: Weights) -> Weights:
    """Rounds to float32."""
    kernel, bias_o = (np.ascontiguousarray(array, np.float32) for array in weights)
    return kernel, bias_o


def _double(array: Any) -> np.ndarray:
    return np.asarray(array, np.float64)

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


def folded(params: Tree, stats: Tree, conv: str, norm: str, epsilon: float) -> Weights:
    """Convolution `conv` and the batch norm `norm` behind it, as one: float32 OIHW, [O]."""
    kernel_oihw, bias_o = conv_weights(params[conv])
    scale_o, shift_o = affine(params[norm], stats[norm], epsilon)
    return single((kernel_oihw * scale_o[:, None, None, None], bias_o * scale_o + shift_o))


def folded_transpose(params: Tree, stats: Tree, conv: str, norm: str, epsilon: float) -> Weights:
    """The same for a transposed convolution: float32 IOHW, [O]."""
    kernel_iohw, bias_o = conv_weights(params[conv])
    scale_o, shift_o = affine(params[norm], stats[norm], epsilon)
    return single((kernel_iohw * scale_o[None, :, None, None], bias_o * scale_o + shift_o))


def single(weights: Weights) -> Weights:
    """Rounds to float32."""
    return np.ascontiguousarray(weights[0], np.float32), np.ascontiguousarray(
        weights[1], np.float32
    )


def _double(array: Any) -> np.ndarray:
    return np.asarray(array, np.float64)

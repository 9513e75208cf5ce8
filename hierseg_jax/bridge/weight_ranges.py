"""Weights of 8 bits whose products no processor cuts off.

x86 processors without VNNI multiply eight unsigned by eight signed bits and add the products of two
neighbours in 16 bits (`vpmaddubsw`). With an activation of 255 that holds two weights of one sign
as long as they are 128 together. Weights of 7 bits (64 at most) always are. But large weights are
rare, and two of them side by side are rarer: a channel's scale may follow from its largest pair
of neighbours in place of its largest weight, and most channels' weights then have half a bit
more.
"""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantType

LARGEST = 127
"""Of a weight, and of two neighbours of one sign before they are rounded, which adds 1 at most."""


def scales(kernel_oihw: np.ndarray) -> np.ndarray:
    """What a weight of 1 stands for, by output channel: float64 [O].

    Which weights are neighbours depends on the order that an engine keeps them in: along the
    kernel's columns, or along the input channels. Both are heeded.

    Args:
      kernel_oihw: float [O, I, h, w].
    """
    kernel = kernel_oihw.astype(np.float64)
    largest_o = np.abs(kernel).max((1, 2, 3))
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        row_ok = kernel.transpose(order).reshape(len(kernel), -1)
        for part_ok in (row_ok.clip(0), (-row_ok).clip(0)):
            pairs = part_ok[:, :-1] + part_ok[:, 1:]
            largest_o = np.maximum(largest_o, pairs.max(1, initial=0))
    return largest_o / LARGEST


def weight_ranges(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Of all convolutions: for onnxruntime's `TensorQuantOverrides`."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in tensors:
            continue
        scales_o = scales(numpy_helper.to_array(tensors[node.input[1]]))
        found[node.input[1]] = [
            {
                "axis": 0,
                "quant_type": QuantType.QInt8,
                "symmetric": True,
                "rmin": np.float32(-LARGEST * scale),
                "rmax": np.float32(LARGEST * scale),
            }
            for scale in scales_o
        ]
    return found

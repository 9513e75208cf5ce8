"""Smaller numbers in an exported graph: float16 weights, or 8-bit integers throughout."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from hierseg_jax.bridge.picture_bytes import of_pictures, ranges, take_bytes
from hierseg_jax.bridge.weight_ranges import weight_ranges
from hierseg_jax.models.graph.ops import LOGITS
from hierseg_jax.system.errors import HiersegError

PRECISIONS = ("float32", "float16", "int8")
# Element-wise functions and reductions of the results stay in float32.
INTEGER_OPS = (
    "Add",
    "Clip",
    "Concat",
    "Conv",
    "DepthToSpace",
    "GlobalAveragePool",
    "MaxPool",
    "Mul",
    "Relu",
    "Resize",
)


def with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores the kernels as float16 and computes in float32: half the file, the same speed.

    onnxruntime widens the kernels once, when it loads the file.

    Raises:
      ValueError: where a weight is beyond float16's range.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    kernels = {node.input[1] for node in halved.graph.node if node.op_type.startswith("Conv")}
    casts = []
    for tensor in halved.graph.initializer:
        if tensor.name not in kernels:
            continue
        with np.errstate(over="ignore"):
            kernel = numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(kernel).all():
            raise HiersegError(
                "The network has weights beyond 65504, float16's largest number; export it "
                "without --half."
            )
        wide, name = tensor.name, f"{tensor.name}_float16"
        tensor.CopyFrom(numpy_helper.from_array(kernel, name))
        casts.append(onnx.helper.make_node("Cast", [name], [wide], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved


def with_integers(
    model: onnx.ModelProto, input_name: str, arrays: Iterable[np.ndarray]
) -> onnx.ModelProto:
    """Static quantisation by onnxruntime: unsigned activations, signed weights per channel.

    That pairing is the fast one on x86. Processors without VNNI add two products in 16 bits there
    and cut off what does not fit: weights are therefore so small that it always does
    (`weight_ranges`). An activation's range is the mean over the calibration arrays of each one's
    extremes: a single outlier doesn't widen it. A picture's bytes are taken as they are.

    Args:
      model: in float32.
      input_name: of its only input.
      arrays: inputs to calibrate with.
    """
    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    for index, node in enumerate(prepared.graph.node):
        node.name = node.name or f"node_{index}"
    # Shapes are inferred and batch norms folded already; this says so to the quantiser.
    onnx.helper.set_model_props(prepared, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            file,
            _Reader(input_name, arrays),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(INTEGER_OPS),
            nodes_to_exclude=of_pictures(prepared) + _after_logits(prepared),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "CalibMovingAverage": True,
                "TensorQuantOverrides": ranges(prepared) | weight_ranges(prepared),
            },
        )
        quantised = onnx.load(file)
    take_bytes(quantised)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _after_logits(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that decode logits, which are to stay exact."""
    reached: set[str] = set()
    names = []
    for node in model.graph.node:  # in topological order
        if any(name.startswith(LOGITS) for name in node.output):
            reached.update(node.output)
        elif reached.intersection(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names


class _Reader(CalibrationDataReader):
    def __init__(self, input_name: str, arrays: Iterable[np.ndarray]) -> None:
        self._name = input_name
        self._arrays = iter(arrays)

    def get_next(self) -> dict[str, np.ndarray] | None:
        array = next(self._arrays, None)
        return None if array is None else {self._name: array}

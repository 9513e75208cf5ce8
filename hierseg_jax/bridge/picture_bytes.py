"""A graph of 8-bit integers takes a picture's bytes as they are.

A graph makes numbers of a picture's bytes: it divides them by 255 and may take a mean away. The
quantiser would round these to bytes again, of some range of its own.
"""

import dataclasses
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

# What moves numbers and leaves them as they are.
_MOVES = ("SpaceToDepth", "Transpose")
# Of a byte.
_ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True)
class Bytes:
    """Numbers that are scale * (byte - zero_point), of the input's bytes that were moved."""

    scale: float
    zero_point: float
    moves: tuple[onnx.NodeProto, ...]

    @property
    def exact(self) -> bool:
        """Whether the zero point is a byte, but for the rounding of a mean to float32."""
        byte = round(self.zero_point)
        return 0 <= byte < 256 and abs(self.zero_point - byte) < _ROUNDING


def of_pictures(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that compute nothing but numbers of bytes."""
    found = _found(model)
    return [node.name for node in model.graph.node if found.keys() & set(node.output)]


def ranges(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Of the tensors that are numbers of bytes: for onnxruntime's `TensorQuantOverrides`."""
    return {
        name: [
            {
                "scale": np.array(found.scale, np.float32),
                "zero_point": np.array(round(found.zero_point), np.uint8),
            }
        ]
        for name, found in _found(model).items()
        if found.exact
    }


def take_bytes(quantised: onnx.ModelProto) -> None:
    """Where such numbers are made bytes by `ranges`, takes the bytes, in place."""
    graph = quantised.graph
    numbers = {name: found for name, found in _found(quantised).items() if found.exact}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in numbers:
            nodes.append(node)
            continue
        nodes += _moved(graph.input[0].name, numbers[node.input[0]].moves, node)
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for values in (graph.value_info, graph.initializer):
        left = [value for value in values if value.name in needed]
        del values[:]
        values.extend(left)


def _moved(
    name: str, moves: tuple[onnx.NodeProto, ...], quantize: onnx.NodeProto
) -> list[onnx.NodeProto]:
    """Moves of the tensor `name`, of bytes, to what `quantize` gave.

    Each works on numbers, as integer graphs are written: onnxruntime leaves them out where it has
    the move for bytes, which before 1.32 it had not for SpaceToDepth.
    """
    numbers, nodes = quantize.input[1:], []
    for index, move in enumerate(moves):
        moved = onnx.NodeProto()
        moved.CopyFrom(move)
        unique = f"{move.output[0]}_of_{quantize.output[0]}"
        wide, moved.input[0], moved.output[0] = f"{unique}_wide", f"{unique}_wide", unique
        moved.name, last = unique, index == len(moves) - 1
        target = quantize.output[0] if last else f"{unique}_bytes"
        nodes += [
            onnx.helper.make_node("DequantizeLinear", [name, *numbers], [wide], wide),
            moved,
            onnx.helper.make_node("QuantizeLinear", [unique, *numbers], [target], target),
        ]
        name = target
    return nodes


def _found(model: onnx.ModelProto) -> dict[str, Bytes]:
    """What is made of an input of bytes one by one, by name."""
    (given,) = model.graph.input
    if given.type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        return {}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, Bytes] = {}
    for node in model.graph.node:  # in topological order
        source = node.input[0] if node.input else ""  # a constant has none
        before = Bytes(1, 0, ()) if source == given.name else found.get(source)
        if before is None:
            continue
        constant = constants.get(node.input[1]) if len(node.input) > 1 else None
        number = None if constant is None else _only_number(constant)
        if node.op_type in _MOVES:
            after = dataclasses.replace(before, moves=(*before.moves, node))
        elif node.op_type == "Cast":
            after = before
        elif node.op_type == "Mul" and number is not None:
            after = dataclasses.replace(before, scale=before.scale * number)
        elif node.op_type == "Sub" and number is not None:
            zero_point = before.zero_point + number / before.scale
            after = dataclasses.replace(before, zero_point=zero_point)
        else:
            continue
        found[node.output[0]] = after
    return found


def _only_number(tensor: onnx.TensorProto) -> float | None:
    """The number that all of a tensor's are."""
    array = numpy_helper.to_array(tensor)
    return float(array.flat[0]) if array.size and (array == array.flat[0]).all() else None

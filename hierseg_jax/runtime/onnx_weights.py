"""How many numbers an .onnx stores, without the package onnx."""

from collections.abc import Iterator
from pathlib import Path

from hierseg_jax.runtime.protobuf import fields, messages, varints

# Field numbers of onnx.proto: of ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
_GRAPH, _NODE, _INITIALIZER, _ATTRIBUTE, _TENSOR, _DIMS, _TYPE = 7, 1, 5, 5, 5, 1, 2
# TensorProto's types of weights: float, uint8, int8, int32, float16, double, bfloat16. Those of
# int64 are shapes and indices.
_WEIGHTS = (1, 2, 3, 6, 10, 11, 16)


def count_weights(file: Path) -> int | None:
    """Numbers in its tensors, batch norms folded in; None where the file can't be read so."""
    try:
        return sum(_elements(tensor) for tensor in _tensors(memoryview(file.read_bytes())))
    except (IndexError, TypeError, ValueError):
        return None


def _tensors(model: memoryview) -> Iterator[memoryview]:
    for graph in messages(model, _GRAPH):
        yield from messages(graph, _INITIALIZER)
        for node in messages(graph, _NODE):
            for attribute in messages(node, _ATTRIBUTE):
                yield from messages(attribute, _TENSOR)


def _elements(tensor: memoryview) -> int:
    count, kind = 1, 0
    for number, value, _ in fields(tensor):
        if number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _DIMS:
            for side in [value] if isinstance(value, int) else varints(value):
                count *= side
    return count if kind in _WEIGHTS else 0

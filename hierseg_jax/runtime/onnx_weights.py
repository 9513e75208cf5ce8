"""How many numbers an .onnx stores, without the package onnx."""

from collections.abc import Iterator
from pathlib import Path

# Field numbers of onnx.proto: of ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
_GRAPH, _NODE, _INITIALIZER, _ATTRIBUTE, _TENSOR, _DIMS, _TYPE = 7, 1, 5, 5, 5, 1, 2
# TensorProto's types of weights: float, uint8, int8, int32, float16, double, bfloat16. Those of
# int64 are shapes and indices.
_WEIGHTS = (1, 2, 3, 6, 10, 11, 16)

Value = int | memoryview


def count_weights(file: Path) -> int | None:
    """Numbers in its tensors, batch norms folded in; None where the file can't be read so."""
    try:
        return sum(_elements(tensor) for tensor in _tensors(memoryview(file.read_bytes())))
    except (IndexError, TypeError, ValueError):
        return None


def _tensors(model: memoryview) -> Iterator[memoryview]:
    for graph in _messages(model, _GRAPH):
        yield from _messages(graph, _INITIALIZER)
        for node in _messages(graph, _NODE):
            for attribute in _messages(node, _ATTRIBUTE):
                yield from _messages(attribute, _TENSOR)


def _elements(tensor: memoryview) -> int:
    count, kind = 1, 0
    for number, value in _fields(tensor):
        if number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _DIMS:
            for side in [value] if isinstance(value, int) else _varints(value):
                count *= side
    return count if kind in _WEIGHTS else 0


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    return (
        value
        for number, value in _fields(data)
        if number == wanted and isinstance(value, memoryview)
    )


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of every field of a message, as protobuf's wire format has them."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(data, at)
        if kind not in (1, 2, 5) or at + size > len(data):
            raise ValueError("no protobuf message")
        yield key >> 3, data[at : at + size]
        at += size


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at

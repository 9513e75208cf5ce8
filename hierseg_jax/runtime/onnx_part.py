"""The part of an .onnx that leads to some of its outputs, without the package onnx.

onnxruntime computes every node of a graph, whichever outputs it is asked for.
"""

from collections.abc import Collection, Iterator

from hierseg_jax.runtime.protobuf import Field, Value, fields, message_head, messages

# Field numbers of onnx.proto: of ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto,
# ValueInfoProto, and of a type's messages.
_GRAPH = 7
_NODE, _INITIALIZER, _OUTPUT, _VALUE = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _ATTRIBUTE = 1, 2, 5
_SUBGRAPHS = (6, 11)
_NAME_IN = {_INITIALIZER: 8, _OUTPUT: 1, _VALUE: 1}
_LOCATION = 14
_TYPE, _TENSOR_TYPE, _ELEMENT, _SHAPE, _DIMENSION = 2, 1, 1, 2, 1
# Kinds of numbers as onnxruntime writes them.
_KINDS = {1: "tensor(float)", 2: "tensor(uint8)", 4: "tensor(uint16)"}


def part_for(model: bytes, outputs: Collection[str]) -> bytes | None:
    """A model with these outputs alone, in its own order, and the nodes that lead to them.

    None where it can't be told: the bytes are no model, one of the outputs is not there, nodes have
    graphs of their own, or weights lie in other files.
    """
    pieces: list[bytes | memoryview] = []  # joined once, for weights are most of it
    try:
        for field in fields(memoryview(model)):
            if field.number == _GRAPH:
                part = list(_part_of_graph(_content(field), outputs))
                pieces += [message_head(_GRAPH, sum(map(len, part))), *part]
            else:
                pieces.append(field.whole)
    except (IndexError, TypeError, ValueError):
        return None
    return b"".join(pieces)


def declared_outputs(model: bytes) -> list[tuple[str, str, list[int | str | None]]] | None:
    """Of a model's outputs, in order, the name, kind of numbers and sides, as it declares them.

    None where it can't be told, or where one has another kind of numbers than exports have.
    """
    try:
        (graph,) = messages(memoryview(model), _GRAPH)
        return [_declared(value) for value in messages(graph, _OUTPUT)]
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _declared(value: memoryview) -> tuple[str, str, list[int | str | None]]:
    (name,) = messages(value, _NAME_IN[_OUTPUT])
    (kind,) = messages(value, _TYPE)
    (tensor,) = messages(kind, _TENSOR_TYPE)
    (element,) = (field.value for field in fields(tensor) if field.number == _ELEMENT)
    (shape,) = messages(tensor, _SHAPE)
    sides = [next(fields(dimension), None) for dimension in messages(shape, _DIMENSION)]
    return str(name, "utf-8"), _KINDS[element], [_side(side) for side in sides]  # type: ignore[index]


def _side(declared: Field | None) -> int | str | None:
    """A whole number, the name of one that is left open, or neither."""
    value = declared.value if declared else None
    return str(value, "utf-8") if isinstance(value, memoryview) else value


def _part_of_graph(graph: memoryview, outputs: Collection[str]) -> Iterator[memoryview]:
    content = list(fields(graph))
    there = {_named(field)[0] for field in content if field.number == _OUTPUT}
    if not there.issuperset(outputs):
        raise ValueError("an output is missing")
    needed, kept = set(outputs), []
    for field in reversed(content):  # nodes are in topological order
        if field.number != _NODE or _leads_to(field, needed):
            kept.append(field)
    for field in reversed(kept):
        if field.number in _NAME_IN:
            name, location = _named(field)
            if name not in (outputs if field.number == _OUTPUT else needed):
                continue
            if location and field.number == _INITIALIZER:
                raise ValueError("weights lie in another file")
        yield field.whole


def _leads_to(node: Field, needed: set[str]) -> bool:
    """Whether it does; then its inputs are needed, too."""
    parts = list(fields(_content(node)))
    if needed.isdisjoint(_text(part) for part in parts if part.number == _NODE_OUTPUT):
        return False
    for part in parts:
        if part.number == _NODE_INPUT:
            needed.add(_text(part))
        elif part.number == _ATTRIBUTE and any(
            inner.number in _SUBGRAPHS for inner in fields(_content(part))
        ):
            raise ValueError("a node has a graph of its own")
    return True


def _named(field: Field) -> tuple[str, Value]:
    """The name of a tensor or value; and of a tensor whether it lies in another file."""
    name = ""
    location: Value = 0
    for part in fields(_content(field)):
        if part.number == _NAME_IN[field.number]:
            name = _text(part)
        elif part.number == _LOCATION:
            location = part.value
    return name, location


def _text(field: Field) -> str:
    return str(_content(field), "utf-8")


def _content(field: Field) -> memoryview:
    if not isinstance(field.value, memoryview):
        raise ValueError("a number where a message or text is expected")
    return field.value

"""The part of an .onnx that leads to some of its outputs, without the package onnx.

onnxruntime computes every node of a graph, whichever outputs it is asked for.
"""

from collections.abc import Collection

from hierseg_jax.runtime.protobuf import Field, fields, message_field, messages

# Field numbers of onnx.proto: of ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and
# ValueInfoProto.
_GRAPH = 7
_NODE, _INITIALIZER, _OUTPUT, _VALUE = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _ATTRIBUTE = 1, 2, 5
_SUBGRAPHS = (6, 11)
_NAME_IN = {_INITIALIZER: 8, _OUTPUT: 1, _VALUE: 1}
_LOCATION = 14


def part_for(model: bytes, outputs: Collection[str]) -> bytes | None:
    """A model with these outputs alone, in its own order, and the nodes that lead to them.

    None where it can't be told: the bytes are no model, one of the outputs is not there, nodes have
    graphs of their own, or weights lie in other files.
    """
    try:
        return b"".join(
            message_field(_GRAPH, _part_of_graph(field.value, outputs))
            if field.number == _GRAPH and isinstance(field.value, memoryview)
            else field.whole
            for field in fields(memoryview(model))
        )
    except (IndexError, TypeError, ValueError):
        return None


def _part_of_graph(graph: memoryview, outputs: Collection[str]) -> bytes:
    content = list(fields(graph))
    there = {_named(field) for field in content if field.number == _OUTPUT}
    if not there.issuperset(outputs):
        raise ValueError("an output is missing")
    if any(
        part.number == _LOCATION and part.value
        for tensor in messages(graph, _INITIALIZER)
        for part in fields(tensor)
    ):
        raise ValueError("weights lie in another file")
    needed, kept = set(outputs), []
    for field in reversed(content):  # nodes are in topological order
        if field.number == _NODE and not _leads_to(field, needed):
            continue
        kept.append(field)
    kept.reverse()
    return b"".join(
        field.whole
        for field in kept
        if field.number not in _NAME_IN
        or _named(field) in (outputs if field.number == _OUTPUT else needed)
    )


def _leads_to(node: Field, needed: set[str]) -> bool:
    """Whether it does; then its inputs are needed, too."""
    content = _content(node)
    parts = list(fields(content))
    if any(
        inner.number in _SUBGRAPHS
        for attribute in messages(content, _ATTRIBUTE)
        for inner in fields(attribute)
    ):
        raise ValueError("a node has a graph of its own")
    if needed.isdisjoint(_text(part) for part in parts if part.number == _NODE_OUTPUT):
        return False
    needed.update(_text(part) for part in parts if part.number == _NODE_INPUT)
    return True


def _named(field: Field) -> str:
    names = messages(_content(field), _NAME_IN[field.number])
    return next((bytes(name).decode() for name in names), "")


def _text(field: Field) -> str:
    return bytes(_content(field)).decode()


def _content(field: Field) -> memoryview:
    if not isinstance(field.value, memoryview):
        raise ValueError("a number where a message or text is expected")
    return field.value

"""One JAX primitive for nodes of ONNX: what it computes, and the node that it is exported as.

jax2onnx is told of it through its plugin registry.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax2onnx.plugins.plugin_system import PrimitiveLeafPlugin, register_primitive

_ONNX_NODE = Primitive("hierseg_onnx_node")
# Attributes that an operator takes as an input from an opset on.
_INPUT_SINCE = {
    "Pad": ("pads", 11),
    "ReduceMax": ("axes", 18),
    "ReduceMean": ("axes", 18),
    "Squeeze": ("axes", 13),
}
LOOKUP = "Lookup"
"""No ONNX node: four of them."""


@_ONNX_NODE.def_impl
def _run(*operands: jax.Array, meaning: Callable[..., jax.Array], **_: Any) -> jax.Array:
    return meaning(*operands)


@_ONNX_NODE.def_abstract_eval
def _shape(*operands: Any, meaning: Callable[..., jax.Array], **_: Any) -> Any:
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in operands]
    result = jax.eval_shape(meaning, *shapes)
    return jax.core.ShapedArray(result.shape, result.dtype)


@register_primitive(jaxpr_primitive=_ONNX_NODE.name, context="hierseg_jax", component="onnx_node")
class _OnnxNode(PrimitiveLeafPlugin):
    """Lowers the primitive to the node it names."""

    def lower(self, ctx: Any, eqn: Any) -> None:
        operands = [ctx.get_value_for_var(var) for var in eqn.invars]
        out = ctx.get_value_for_var(eqn.outvars[0])
        op_type = eqn.params["op_type"]
        node = partial(_lookup_nodes, ctx) if op_type == LOOKUP else getattr(ctx.builder, op_type)
        attributes = {
            k: list(v) if isinstance(v, tuple) else v for k, v in eqn.params["attributes"]
        }
        name, opset = _INPUT_SINCE.get(op_type, ("", 1000))
        if ctx.builder.opset >= opset:
            numbers = attributes.pop(name)
            operands.append(ctx.builder.const_i64(ctx.fresh_name(name), numbers))
        result = node(*operands, _outputs=[ctx.fresh_name(eqn.params["output"])], **attributes)
        result.type, result.shape = out.type, out.shape
        ctx.bind_value_for_var(eqn.outvars[0], result)


def _lookup_nodes(ctx: Any, table: Any, index: Any, *, _outputs: list[str]) -> Any:
    """GatherElements of the flattened index: a ninth of the time of Gather in onnxruntime.

    OpenCV 4 has no arrays of rank 1, hence the first axis, and shifts constants of type uint8.
    """

    def node(op_type: str, *operands: Any, **attributes: Any) -> Any:
        names = [ctx.fresh_name(op_type.lower())]
        return getattr(ctx.builder, op_type)(*operands, _outputs=names, **attributes)

    flat = node("Reshape", index, ctx.builder.const_i64(ctx.fresh_name("flat"), [1, -1]))
    entries = node("GatherElements", table, flat, axis=1)
    return ctx.builder.Reshape(entries, node("Shape", index), _outputs=_outputs)


def onnx_node(
    op_type: str,
    meaning: Callable[..., jax.Array],
    *operands: Any,
    output: str | None = None,
    **attributes: Any,
) -> jax.Array:
    """What `meaning` computes of the operands; exported as the node `op_type`.

    Args:
      op_type: of ONNX, or `LOOKUP`.
      meaning: the same in JAX.
      operands: arrays, the node's inputs in its order.
      output: the name of its output; by default its type's.
      attributes: of the node.
    """
    return _ONNX_NODE.bind(
        *(jnp.asarray(x) for x in operands),
        op_type=op_type,
        meaning=meaning,
        output=output or op_type.lower(),
        attributes=tuple(attributes.items()),
    )

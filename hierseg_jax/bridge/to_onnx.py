"""From a function of JAX to a checked ONNX graph."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax2onnx
import onnx
from jax2onnx.plugins import plugin_system

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.runtime.metadata import SCORES
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import one_line

MIN_OPSET, MAX_OPSET = 13, 23
PLUGINS = ("flax", "jax")
"""Folders of jax2onnx with what networks may need. Reading the others computes their examples."""
# Nodes that would carry the image's size are not among them.
OP_TYPES = frozenset(
    {
        "Add",
        "ArgMax",
        "Cast",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "Div",
        "Exp",
        "GatherElements",
        "GlobalAveragePool",
        "Identity",
        "Log",
        "Max",
        "MaxPool",
        "Mul",
        "Pad",
        "ReduceMax",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Resize",
        "Shape",
        "Sigmoid",
        "Sign",
        "SpaceToDepth",
        "Squeeze",
        "Sub",
        "Transpose",
    }
)


def convert(
    graph: Graph,
    image_size: tuple[int, int],
    *,
    opset: int = 17,
    dynamic_size: bool = False,
    dynamic_batch: bool = False,
) -> onnx.ModelProto:
    """Traces a function and gives its ONNX graph, checked in full.

    Args:
      graph: what to export.
      image_size: (height, width) of the fixed input, or any that the network takes.
      opset: 13 to 23.
      dynamic_size, dynamic_batch: whether height and width, and N, are left open; of a graph
        for any size alone.

    Raises:
      ValueError: for an opset out of range, or what a network without a graph of
        its own can't have.
      RuntimeError: where jax2onnx made a graph that would not hold at other sizes.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise HiersegError(f"--opset is {opset}; it may be {MIN_OPSET} to {MAX_OPSET}.")
    if not graph.any_size and (dynamic_size or dynamic_batch):
        raise HiersegError(
            "The graph of a network without an inference function of its own is for one picture of "
            "one size; leave out --dynamic and --dynamic_batch."
        )
    model = _traced(graph, graph.input_shape(1, *image_size), opset)
    unknown = {node.op_type for node in model.graph.node} - OP_TYPES
    if unknown and graph.any_size:
        raise RuntimeError(f"jax2onnx made nodes that were not foreseen: {sorted(unknown)}.")
    _open_dimensions(model, graph, dynamic_size, dynamic_batch)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    # What jax2onnx noted about shapes is out of date.
    del model.graph.value_info[:]
    del model.functions[:]
    model.ir_version = onnx.helper.find_min_ir_version_for(list(model.opset_import))
    model = onnx.shape_inference.infer_shapes(
        model, check_type=True, strict_mode=True, data_prop=True
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _traced(graph: Graph, shape: tuple[int, ...], opset: int) -> onnx.ModelProto:
    try:
        with _few_plugins():
            return jax2onnx.to_onnx(
                graph.function,
                [jax.ShapeDtypeStruct(shape, graph.input_dtype)],
                opset=opset,
                input_names=[graph.input_name],
                output_names=list(graph.output_names),
                model_name="hierseg_jax",
            )
    except NotImplementedError as error:  # of jax2onnx, for a primitive that it has no plugin for
        if graph.any_size:
            raise
        raise HiersegError(
            f"jax2onnx does not know an operation of the network ({one_line(error)}); "
            "write an inference function for it, as models/esnet/graph.py is one."
        ) from error


@contextlib.contextmanager
def _few_plugins() -> Iterator[None]:
    """jax2onnx reads `PLUGINS` alone meanwhile: one second in place of seven.

    Whoever calls it for other networks, in the same process, has it read the rest then. Where it
    has changed within, it reads all of them.
    """
    read, known = "_import_tree", "_already_imported_plugins"
    folders = {name: Path(plugin_system.__file__).parent / name for name in PLUGINS}
    changed = not hasattr(plugin_system, read) or not all(map(Path.is_dir, folders.values()))
    if changed or getattr(plugin_system, known, True):
        yield
        return
    for name, folder in folders.items():
        getattr(plugin_system, read)(folder, f"{plugin_system.__package__}.{name}")
    setattr(plugin_system, known, True)
    try:
        yield
    finally:
        setattr(plugin_system, known, False)


def _open_dimensions(
    model: onnx.ModelProto, graph: Graph, dynamic_size: bool, dynamic_batch: bool
) -> None:
    """Names the open dimensions. No node depends on them, so that renaming is all it takes."""
    rank_three = ("batch", "height", "width")
    channels_first = ("batch", "", "height", "width")
    channels_last = ("batch", "height", "width", "")
    of_scores = ("batch", "", "score_height", "score_width")
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        names = rank_three if len(dims) == 3 else channels_first
        if value.name == graph.input_name and graph.channels_last:
            names = channels_last
        elif value.name == SCORES and len(dims) == 4:
            names = of_scores
        for dim, name in zip(dims, names, strict=True):
            if (name == "batch" and dynamic_batch) or (name in names[1:] and name and dynamic_size):
                dim.Clear()
                dim.dim_param = name

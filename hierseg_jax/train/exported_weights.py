"""Weights out of an exported file, for a run to start from.

An export folds batch norms into convolutions. `unfold.py` brings the weights back, with norms that
only add (`initial_statistics.py` makes ones of them that normalise).
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from hierseg_jax.models import SegmentationModel, network_of
from hierseg_jax.models.graph.unfold import unfolded
from hierseg_jax.runtime.metadata import NETWORK_KEYS, Metadata
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.settings.building import build_model
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.tree.hierarchy import Hierarchy

SUFFIX = ".onnx"


@dataclasses.dataclass(frozen=True, eq=False)
class ExportedWeights:
    """What an exported file holds.

    Attributes:
      hierarchy: of its classes.
      settings: of the run, with how the file's network computes.
      variables: `{"params": ..., "batch_stats": ...}`, with batch norms that only add.
    """

    hierarchy: Hierarchy
    settings: Settings
    variables: dict[str, Any]


def read_exported(file: Path, settings: Settings) -> ExportedWeights:
    """The weights of an .onnx file of `hierseg export`, of any precision.

    Args:
      file: of the network that settings name.
      settings: of the run that is to start from them.

    Raises:
      ValueError, OSError: one sentence.
    """
    if not file.is_file():
        raise HiersegFileNotFoundError(
            f"The config's model.pretrained is {file}, which is no file."
        )
    try:
        graph = onnx.load(file)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise HiersegError(f"{file} is no ONNX file, or a damaged one.") from error
    props = {each.key: each.value for each in graph.metadata_props}
    metadata = Metadata.from_props(props, str(file))
    if metadata is None:
        raise HiersegError(
            f"{file} was not written by hierseg export; give a file that was, or a run."
        )
    if not metadata.network.keys() >= set(NETWORK_KEYS):
        raise HiersegError(
            f"{file} was exported before files told how their weights are computed with; export "
            "it again, or give its run."
        )
    if metadata.model != settings.model.label:
        raise HiersegError(
            f"{file} holds {metadata.model}, this run is to train {settings.model.label}."
        )
    try:
        keys = {f"model.{name}": metadata.network[name] for name in NETWORK_KEYS}
        settings = read_settings(settings.replace(keys))
        own = build_model(settings.model, metadata.hierarchy)
    except ValueError as error:
        raise HiersegError(f"{file} tells of a network that can't be built: {error}") from error
    variables = _of_graph(own, graph, metadata.precision == "int8")
    if variables is None:
        raise HiersegError(
            f"The weights of {file} can't be taken out of it; give the run that it was exported "
            "from."
        )
    return ExportedWeights(metadata.hierarchy, settings, variables)


def _of_graph(
    model: SegmentationModel, graph: onnx.ModelProto, integers: bool
) -> dict[str, Any] | None:
    if network_of(model).graph is None:
        return None
    # What follows the network's own convolutions decodes.
    return unfolded(model, list(_convolutions(graph.graph)), integers)


def _convolutions(graph: onnx.GraphProto) -> Iterator[np.ndarray]:
    """Kernel and bias of every convolution in turn, whatever they are stored as."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}

    def value(name: str) -> np.ndarray:
        if name in stored:
            return onnx.numpy_helper.to_array(stored[name])
        node = made.get(name)
        if node is None or node.op_type not in ("Cast", "DequantizeLinear"):
            return np.zeros(0, np.float32)  # the weights of no network
        array, *rest = (value(each) for each in node.input)
        if node.op_type == "DequantizeLinear":
            scale, zero_point = rest[0], rest[1] if len(rest) > 1 else np.zeros_like(rest[0])
            axes = [each.i for each in node.attribute if each.name == "axis"] or [1]
            shape = [1] * array.ndim
            if scale.ndim:
                shape[axes[0]] = -1
            return (array.astype(np.float32) - zero_point.reshape(shape)) * scale.reshape(shape)
        return array.astype(np.float32)

    convolutions = [node for node in graph.node if node.op_type.startswith("Conv")]
    # In 8 bits branches may stand in another order; constants are numbered as they were traced.
    for node in sorted(convolutions, key=lambda each: _number(each.input[1])):
        yield from map(value, node.input[1:])


def _number(name: str) -> int:
    found = re.search(r"\d+", name)
    return int(found.group()) if found else 0

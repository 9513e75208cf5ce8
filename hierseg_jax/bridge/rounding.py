"""Files with rounded numbers: which pictures they are made and measured with, and their making."""

import onnx

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.bridge.precision import with_half_weights, with_integers
from hierseg_jax.bridge.quality import spread_inputs
from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.checkpoint.other_data import other_data
from hierseg_jax.data.read.members import spec_text
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import unread_of
from hierseg_jax.data.resize import Resize
from hierseg_jax.settings.building import check_tree_of_data, open_source, spec_of_checkpoint
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note
from hierseg_jax.tree.hierarchy import Hierarchy

CALIBRATION_PICTURES = 100


def open_splits(
    loaded: Checkpoint, data: str | None, precision: str
) -> tuple[Source, Source, Hierarchy]:
    """The training and validation pictures, and the tree with what these label.

    `float16` needs the latter pictures alone.

    Args:
      loaded: the checkpoint.
      data: a data set with its tree, in place of its own.
      precision: `float16` or `int8`.

    Raises:
      ValueError: one sentence that says which flag is missing.
    """
    settings, hierarchy = loaded.settings, loaded.hierarchy
    option = "--int8" if precision == "int8" else "--half"
    needed = f"{option} needs pictures with labels: give their data.yaml with --data."
    try:
        spec = data or spec_of_checkpoint(settings.data, "The checkpoint")
        labelled = check_tree_of_data(hierarchy, settings.data, spec, "The checkpoint")
        val = open_source(settings.data, settings.seed, "val", spec, labelled)
        train = val
        if precision == "int8":
            train = open_source(settings.data, settings.seed, "train", spec, labelled)
    except (HiersegError, OSError) as error:
        raise HiersegError(f"{error} ({needed})") from error
    if not len(train) or not len(val):
        raise HiersegError(f"{spec_text(spec)} has an empty split; {needed}")
    notes = unread_of((train, val))
    if not data:
        splits = {"val": val} if train is val else {"train": train, "val": val}
        notes += [other_data(loaded, name, of, spec_text(spec)) for name, of in splits.items()]
    for each in notes:
        note(each)
    return train, val, labelled


def round_graph(
    model: onnx.ModelProto,
    graph: Graph,
    precision: str,
    train: Source,
    size: tuple[int, int],
    resize: Resize,
) -> onnx.ModelProto:
    """The model with rounded weights or, for `int8`, rounded activations as well.

    Args:
      model: in float32.
      graph: that it was converted from.
      precision: `float16` or `int8`.
      train: pictures from which the ranges of activations are taken.
      size: (height, width) of the input.
      resize: by which pictures come to it.
    """
    if precision == "float16":
        return with_half_weights(model)
    pictures = spread_inputs(graph, train, size, resize, CALIBRATION_PICTURES)
    return with_integers(model, graph.input_name, pictures)

"""mIoU of an exported graph, by onnxruntime alone."""

from collections.abc import Iterator

import numpy as np
import onnxruntime

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.resize import Resize, place
from hierseg_jax.evaluation.metrics import evaluate_levels
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.runtime.metadata import SCORES
from hierseg_jax.system.bars import bar
from hierseg_jax.tree.hierarchy import Hierarchy


def graph_input(
    graph: Graph, image_hwc: np.ndarray, size: tuple[int, int], resize: Resize
) -> np.ndarray:
    """A picture, uint8 RGB of any size, as the graph's argument of (height, width)."""
    small_hwc = resize.place(image_hwc.shape[:2], size).fit_image(image_hwc)
    if graph.channels_last:
        return small_hwc[None]
    image_chw = (small_hwc.astype(np.float32) / 255).transpose(2, 0, 1)
    return np.ascontiguousarray(image_chw[None])


def spread_inputs(
    graph: Graph, source: Source, size: tuple[int, int], resize: Resize, most: int
) -> Iterator[np.ndarray]:
    """Up to `most` pictures, evenly spread over a split, as arguments of the graph."""
    indices = spread_indices(len(source), most)
    for index in bar(indices, "calibrating", len(indices)):
        yield graph_input(graph, source[index]["image"], size, resize)


def graph_miou(
    model_bytes: bytes,
    graph: Graph,
    source: Source,
    hierarchy: Hierarchy,
    size: tuple[int, int],
    resize: Resize,
    decoding: str,
) -> dict[str, float]:
    """mIoU over the data set at every level, as `metrics.evaluate_levels` has it.

    Labels are those that the runtime gives for a picture of the network's size.

    Args:
      model_bytes: the serialised graph.
      graph: its contract.
      source: of pictures and labels.
      hierarchy: of the labels.
      size: (height, width) to which both are brought.
      resize: how; bars count as ignored.
      decoding: that the graph was built with.
    """
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    shape, counts = (hierarchy.num_classes, len(hierarchy.labels.names)), []
    for index in bar(range(len(source)), "measuring", len(source)):
        example = source[index]
        label_hw = resize.place(example["label"].shape, size).fit_labels(example["label"])
        given = graph_input(graph, example["image"], size, resize)
        outputs = session.run(None, {graph.input_name: given})
        if graph.channels_last and graph.output_names[-1:] != (SCORES,):
            leaf_hw = outputs[hierarchy.num_levels - 1][0]
        else:
            apart = slice(None, None, graph.score_stride)
            scored = graph.channels_last
            planes_chw = outputs[-1][0] if scored else log_planes(outputs[0][0][:, apart, apart])
            leaf_hw = picture_labels(planes_chw, place(size, size, "stretch"), hierarchy, decoding)
        counts.append(confusion_matrix(label_hw, leaf_hw, *shape))
    levels = evaluate_levels(np.stack(counts), hierarchy, batch_size=1)
    return {name: level.miou for name, level in levels.items()}

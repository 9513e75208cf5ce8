"""A graph's outputs in onnxruntime against the Flax network's, picture by picture."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import onnxruntime

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.bridge.exact import exact_on_cpu
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.predictions import leaf_scores
from hierseg_jax.models import SegmentationModel, forward_of
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import Hierarchy

TOLERANCE = 1e-4


class MismatchError(HiersegError):
    """The exported graph does not compute what the network computes."""


def largest_difference(
    model_bytes: bytes,
    graph: Graph,
    network: SegmentationModel,
    variables: Mapping[str, Any],
    hierarchy: Hierarchy,
    photos: Sequence[np.ndarray],
    shapes: Sequence[tuple[int, int, int]],
    decoding: str = "leaf",
    resize: Resize = Resize(),  # noqa: B008 (immutable)
) -> float:
    """Compares probabilities (or confidence and label maps) on random and on real pictures.

    The network computes on the CPU, in full float32, whatever this process trains on.
    Label maps must be equal wherever the decoding rule's choices are more than `TOLERANCE`
    apart.

    Args:
      model_bytes: the serialised graph.
      graph: its contract.
      network: the Flax network.
      variables: of the network.
      hierarchy: of the classes.
      photos: uint8 RGB [h, w, 3] of any size.
      shapes: (batch, height, width) of the inputs to try.
      decoding: that the graph was built with.
      resize: how the photos are brought to those sizes.

    Returns:
      The largest absolute difference of a probability.

    Raises:
      MismatchError: where a difference is above TOLERANCE or a label differs.
    """
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    expect = _network_scores(network, variables, hierarchy, decoding)
    rng = np.random.default_rng(0)
    worst = 0.0
    for batch, height, width in shapes:
        resized = [
            resize.place(photo.shape[:2], (height, width)).fit_image(photo) for photo in photos
        ]
        noise = rng.integers(0, 256, (batch, height, width, 3), np.uint8)
        batches = [noise, np.stack([resized[i % len(resized)] for i in range(batch)])]
        for frame_nhwc in batches:
            image_nhwc = frame_nhwc.astype(np.float32) / 255
            expected_nhwc = expect(image_nhwc)
            given = frame_nhwc if graph.channels_last else image_nhwc.transpose(0, 3, 1, 2)
            outputs = session.run(None, {graph.input_name: np.ascontiguousarray(given)})
            difference = _difference(outputs, graph, expected_nhwc, hierarchy, decoding)
            if not difference <= TOLERANCE:
                raise MismatchError(
                    f"The exported graph differs from the network by {difference:.2g} at "
                    f"{batch} x {height} x {width} (batch, height, width); at most {TOLERANCE} "
                    "is allowed, so nothing was written."
                )
            worst = max(worst, difference)
    return worst


def _network_scores(
    network: SegmentationModel,
    variables: Mapping[str, Any],
    hierarchy: Hierarchy,
    decoding: str = "leaf",
) -> Callable[[np.ndarray], np.ndarray]:
    """The network's own scores of the leaf classes, as `exact_on_cpu` computes them.

    Args:
      network, variables, hierarchy, decoding: as `largest_difference` takes them.

    Returns:
      A function from float32 [N, H, W, 3] in [0, 1] to float32 [N, H, W, C] in [0, 1].
    """
    forward = forward_of(network)
    scores_of = jax.jit(lambda v, x: leaf_scores(forward(v, x), hierarchy, decoding))
    with exact_on_cpu() as cpu:
        there = jax.device_put(variables, cpu)

    def scores(image_nhwc: np.ndarray) -> np.ndarray:
        with exact_on_cpu():
            return np.asarray(scores_of(there, image_nhwc))

    return scores


def _difference(
    outputs: list[np.ndarray],
    graph: Graph,
    expected_nhwc: np.ndarray,
    hierarchy: Hierarchy,
    decoding: str,
) -> float:
    if not graph.channels_last:
        return _largest(outputs[0].transpose(0, 2, 3, 1), expected_nhwc)
    *maps, confidence_nhw = outputs
    leaf_nhw, margin_nhw = _choices(expected_nhwc, hierarchy, decoding)
    clear = margin_nhw > TOLERANCE
    for level, labels_nhw in zip(hierarchy.levels, maps, strict=True):
        wrong = int((labels_nhw != level.leaf_to_class[leaf_nhw])[clear].sum())
        if wrong:
            raise MismatchError(
                f"The exported graph labels {wrong} pixels of level {level.name} otherwise than "
                "the network does; nothing was written."
            )
    expected_nhw = np.take_along_axis(expected_nhwc, leaf_nhw[..., None], -1)[..., 0]
    if decoding == "top_down":  # elsewhere a close choice may fall on a leaf of another score
        confidence_nhw = np.where(clear, confidence_nhw, expected_nhw)
    return _largest(confidence_nhw, expected_nhw)


def _choices(
    scores_nhwc: np.ndarray, hierarchy: Hierarchy, decoding: str
) -> tuple[np.ndarray, np.ndarray]:
    """Leaf classes [N, H, W], and by how much the closest of the choices was won."""
    if decoding != "top_down":
        ordered = np.sort(scores_nhwc, axis=-1)
        return scores_nhwc.argmax(-1), ordered[..., -1] - ordered[..., -2]
    leaf_nhw = top_down(list(np.moveaxis(scores_nhwc, -1, 0)), hierarchy)
    margin_nhw = np.full(leaf_nhw.shape, np.inf)
    for k, level in enumerate(hierarchy.levels):
        chosen_nhw = level.leaf_to_class[leaf_nhw]
        summed = scores_nhwc @ np.eye(level.num_classes)[level.leaf_to_class]
        won = np.take_along_axis(summed, chosen_nhw[..., None], -1)
        rivals = np.arange(level.num_classes) != chosen_nhw[..., None]
        if k:
            above = hierarchy.parents(k)
            rivals &= above == above[chosen_nhw][..., None]
        gaps = np.where(rivals, won - summed, np.inf)
        margin_nhw = np.minimum(margin_nhw, gaps.min(-1))
    return leaf_nhw, margin_nhw


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf

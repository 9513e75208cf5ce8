"""A graph's outputs in onnxruntime against the Flax network's, picture by picture."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import onnxruntime

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.data.picture_labels import FLOOR, STEPS, floored_logs, picture_labels, scores_of
from hierseg_jax.data.resize import Placement, Resize
from hierseg_jax.evaluation.predictions import leaf_scores
from hierseg_jax.models import SegmentationModel, forward_of
from hierseg_jax.runtime.metadata import SCORES
from hierseg_jax.system.devices.exact import exact_on_cpu
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import level_called
from hierseg_jax.tree.decoding import OF_HIERARCHICAL, top_down
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import IGNORE_LABEL

TOLERANCE = 1e-4
ROUNDING = float(np.expm1(-FLOOR / STEPS / 2))
"""Of a score, by how much half a step of the planes changes it."""
PICTURE_MARGIN = 1e-3
"""Labels at a picture's size are equal where the best score is above the second by more."""


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
    """Compares what a graph gives with the network's on random and on real pictures.

    The network computes on the CPU, in full float32, whatever this process trains on.
    Probabilities and confidence may differ by `TOLERANCE`, and those that are written as
    `log_planes` by what their rounding explains besides (`ROUNDING` times the probability).
    Label maps must be equal wherever the decoding rule's choices are more than `TOLERANCE`
    apart. Those that `picture_labels` makes of the planes, at the size of a picture, must be
    equal to those of the network's own logits, interpolated as float32 logarithms of scores,
    wherever the choices are more than `PICTURE_MARGIN` apart.

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
      The largest absolute difference of a probability, less what rounding explains.

    Raises:
      MismatchError: where a difference is above TOLERANCE or a label differs.
    """
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    scored = graph.output_names[-1:] == (SCORES,)
    expect = _network_scores(network, variables, hierarchy, decoding, scored)
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
            expected_nhwc, own_nhwc = expect(image_nhwc)
            given = frame_nhwc if graph.channels_last else image_nhwc.transpose(0, 3, 1, 2)
            outputs = session.run(None, {graph.input_name: np.ascontiguousarray(given)})
            difference = _difference(outputs, graph, expected_nhwc, hierarchy, decoding)
            if scored:
                planes_nchw = outputs[-1]
                difference = max(difference, _difference_of_planes(planes_nchw, own_nhwc))
                # A size that is no multiple of the network's.
                placement = resize.place((2 * height + 1, 3 * width // 2 + 1), (height, width))
                _compare_at_picture(planes_nchw, own_nhwc, placement, hierarchy, decoding)
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
    decoding: str,
    scored: bool,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The network's own scores of the leaf classes, as `exact_on_cpu` computes them.

    Args:
      network, variables, hierarchy, decoding: as `largest_difference` takes them.
      scored: whether those before logits come to the image's size are told from the others.

    Returns:
      A function from float32 [N, H, W, 3] in [0, 1] to float32 [N, H, W, C] in [0, 1], and
      those of its logits before they come to the image's size.
    """
    forward = forward_of(network.clone(full_size=False) if scored else network)

    @jax.jit
    def both(variables: Mapping[str, Any], image_nhwc: jax.Array) -> tuple[jax.Array, jax.Array]:
        own_nhwk = forward(variables, image_nhwc)
        logits_nhwk = network.from_grid(own_nhwk) if scored else own_nhwk
        return (
            leaf_scores(logits_nhwk, hierarchy, decoding),
            leaf_scores(own_nhwk, hierarchy, decoding),
        )

    with exact_on_cpu() as cpu:
        there = jax.device_put(variables, cpu)

    def scores(image_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with exact_on_cpu():
            full_nhwc, own_nhwc = both(there, image_nhwc)
        return np.asarray(full_nhwc), np.asarray(own_nhwc)

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
    *maps, confidence_nhw = outputs[: hierarchy.num_levels + 1]
    leaf_nhw, margin_nhw = _choices(expected_nhwc, hierarchy, decoding)
    clear = margin_nhw > TOLERANCE
    for level, labels_nhw in zip(hierarchy.levels, maps, strict=True):
        wrong = int((labels_nhw != level.leaf_to_class[leaf_nhw])[clear].sum())
        if wrong:
            raise MismatchError(
                f"The exported graph labels {wrong} pixels of {level_called(level.name)} otherwise "
                "than the network does; nothing was written."
            )
    expected_nhw = np.take_along_axis(expected_nhwc, leaf_nhw[..., None], -1)[..., 0]
    if decoding == "top_down":  # elsewhere a close choice may fall on a leaf of another score
        confidence_nhw = np.where(clear, confidence_nhw, expected_nhw)
    return _largest(confidence_nhw, expected_nhw)


def _difference_of_planes(planes_nchw: np.ndarray, expected_nhwc: np.ndarray) -> float:
    expected_nchw = np.moveaxis(expected_nhwc, -1, 1)
    if (planes_nchw.shape, planes_nchw.dtype) != (expected_nchw.shape, np.uint16):
        return np.inf
    difference = np.abs(scores_of(planes_nchw) - expected_nchw) - ROUNDING * expected_nchw
    return max(0.0, float(difference.max()))


def _compare_at_picture(
    planes_nchw: np.ndarray,
    expected_nhwc: np.ndarray,
    placement: Placement,
    hierarchy: Hierarchy,
    decoding: str,
) -> None:
    logs_nchw = floored_logs(np.moveaxis(expected_nhwc, -1, 1))
    for planes_chw, logs_chw in zip(planes_nchw, logs_nchw, strict=True):
        found_hw = picture_labels(planes_chw, placement, hierarchy, decoding)
        scores_hwc = np.exp(np.stack([*map(placement.restore_scores, logs_chw)], -1))
        if decoding not in OF_HIERARCHICAL:
            scores_hwc /= scores_hwc.sum(-1, keepdims=True)
        leaf_hw, margin_hw = _choices(scores_hwc, hierarchy, decoding)
        clear_hw = (margin_hw > PICTURE_MARGIN) & (found_hw != IGNORE_LABEL)
        wrong = int((found_hw != leaf_hw)[clear_hw].sum())
        if wrong:
            raise MismatchError(
                f"At {placement.picture[0]} x {placement.picture[1]} pixels the scores of the "
                f"exported graph label {wrong} of them otherwise than the network's do; nothing "
                "was written."
            )


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

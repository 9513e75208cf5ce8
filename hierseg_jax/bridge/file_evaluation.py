"""Evaluation of an exported file on the pictures' own pixels, as the runtime segments them."""

from pathlib import Path
from typing import Any

import numpy as np

from hierseg_jax.data.read.common_tree import meet, read_data_sets
from hierseg_jax.data.read.members import FIGURES, parse_members, spec_text
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.evaluation.extremes import Extremes
from hierseg_jax.evaluation.result import Evaluation, gather_evaluation
from hierseg_jax.evaluation.shown_pictures import ShownPicture
from hierseg_jax.evaluation.tally import Measures, Tally
from hierseg_jax.evaluation.view import View
from hierseg_jax.evaluation.view_name import BATCH_SIZE
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.tiled_segmentation import segment_tiled
from hierseg_jax.settings.metric_choice import DEFAULT_METRICS
from hierseg_jax.system.bars import bar
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy


def evaluate_file(
    onnx_file: str | Path,
    data: str,
    *,
    task: str = "val",
    resolution: str | None = None,
    tiles: bool = False,
    image_size: tuple[int, int] | None = None,
    metrics: tuple[str, ...] = DEFAULT_METRICS,
    num_extremes: int = 0,
) -> tuple[Evaluation, dict[str, Any], Hierarchy]:
    """Evaluates a file of `hierseg export` with onnxruntime.

    Args:
      onnx_file: of either contract.
      data: whose classes have a place in the file's tree.
      task: the split, `val` or `test` (or `train`).
      resolution: `refined`, with borders along the pictures' edges as `hierseg predict` draws
        them, or `original`; None is `original` with `tiles`, else `refined`.
      tiles: whether pictures are seen in windows, see `segment_tiled`.
      image_size: (height, width), where the file leaves them open.
      metrics: of `metric_choice.METRICS`, which are to be shown.
      num_extremes: of the best and of the worst pictures to give back.

    Returns:
      As `evaluate_checkpoint`, and the tree of the file. The loss and what the levels say before
      decoding are NaN.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    if any(member.location == FIGURES for member in parse_members(data)):
        raise HiersegError(
            f"{FIGURES} are drawn as a run's settings say, and {onnx_file} has none; give a "
            "data.yaml."
        )
    resolution = View(resolution=resolution or (None if tiles else "refined"), tiles=tiles).counted
    segmenter = Segmenter(onnx_file, image_size=image_size, confidence=False)
    if tiles:
        segmenter.require_scores("--tiles")
    elif resolution == "refined":
        segmenter.require_scores("--resolution=refined")
    hierarchy = meet(read_data_sets(data), segmenter.hierarchy, "the network", whole=False)
    source = open_split(data, task, max(segmenter.image_size), {}, hierarchy)
    names = getattr(source, "names", ())
    measures = Measures(
        boundary="boundary_iou" in metrics,
        whole=True,
        decoding=segmenter.decoding,
        parts=getattr(source, "parts", ()),
        names=names,
    )
    labels, background = hierarchy.labels, hierarchy.background
    extremes = Extremes(num_extremes, names, labels.leaves_lc, background) if num_extremes else None
    tally, finest = Tally(hierarchy, measures, extremes), hierarchy.level_names[-1]

    def segmented(image_hwc: np.ndarray) -> np.ndarray:
        if tiles:
            result = segment_tiled(segmenter, image_hwc, levels=[finest], confidence=False)
        else:
            result = segmenter(image_hwc, levels=[finest], refine=resolution == "refined")
        return result.levels[finest]

    def show(index: int) -> ShownPicture:
        example = source[index]
        return ShownPicture.bounded(example, segmented(example["image"]))

    for index in bar(range(len(source)), "evaluating", len(source)):
        example = source[index]
        tally.add_picture(example["label"], segmented(example["image"]))
    evaluation = gather_evaluation(tally, hierarchy, BATCH_SIZE, measures)
    evaluation = evaluation.with_pictures(extremes, show)
    told = segmenter.metadata
    description = {
        "checkpoint": str(onnx_file),
        "epoch": told.validation.get("epoch") if told else None,
        "data": spec_text(data),
        "task": task,
        "image_size": list(segmenter.image_size),
        "resize": segmenter.resize.rule,
        "sampling": segmenter.resize.sampling,
        "resolution": resolution,
        "tiles": tiles,
        "scales": [1],
        "flip": False,
        "batch_size": BATCH_SIZE,
        "model": told.model if told else "unknown",
        "contract": segmenter.contract,
        "precision": told.precision if told else "unknown",
        "decode": segmenter.decoding,
        "metrics": list(metrics),
    }
    return evaluation, description, segmenter.hierarchy

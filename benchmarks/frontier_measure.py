"""What frontier.py measures of an .onnx, whoever wrote it: its quality and its latency.

A file takes `frame`, a picture of the network's size as uint8 [1, H, W, 3], and gives labels of
the finest level as uint8 [1, H, W], and `scores` of the leaf classes: of the contract `deploy`, or
of frontier_torch.py. All are evaluated by this code.
"""

import datetime
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization.shape_inference import quant_pre_process

from hierseg_jax.bridge.precision import with_integers
from hierseg_jax.bridge.rounding import CALIBRATION_PICTURES
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.boundary import boundary_counts
from hierseg_jax.evaluation.metrics import evaluate_levels, level_number
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.system.machine import processor_name

METRICS = ("miou", "boundary_iou")
LABELS, SCORES = "labels", "scores"
THREADS = (1, 2)
UNCOUNTED = 3
"""Runs of a session before those that count."""

Scores = dict[str, dict[str, dict[str, float]]]
"""By resolution (`network` or `original`), level and metric."""


def open_file(file: Path, threads: int) -> tuple[onnxruntime.InferenceSession, Metadata | None]:
    """A session on the CPU, and what a file of this project says of itself."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    props = session.get_modelmeta().custom_metadata_map
    return session, Metadata.from_props(props, str(file))


def labels_output(
    session: onnxruntime.InferenceSession, metadata: Metadata | None
) -> tuple[str, bool]:
    """The output with the finest labels, and whether the file has one; else its first output."""
    names = [output.name for output in session.get_outputs()]
    wanted = metadata.hierarchy.level_names[-1] if metadata else LABELS
    return (wanted, True) if wanted in names else (names[0], False)


def evaluate_file(file: Path, data: str, most: int | None = None) -> Scores:
    """The validation pictures, on the network's pixels and on their own.

    As launch/evaluate.py counts them: labels of the network's size are the graph's own; scores
    are enlarged to a picture's size and decoded there.

    Args:
      file: the .onnx.
      data: the data.yaml.
      most: so many of the pictures, the first.
    """
    session, metadata = open_file(file, len(os.sched_getaffinity(0)))
    hierarchy = load_hierarchy(data)
    source = open_split(data, "val", 0, {}, hierarchy)
    resize = (
        Resize()
        if metadata is None
        else Resize(metadata.resize, metadata.sampling, bright=metadata.bright)
    )
    decoding = metadata.decoding if metadata else "leaf"
    output, _ = labels_output(session, metadata)
    _, height, width, _ = session.get_inputs()[0].shape
    shape = hierarchy.num_classes, len(hierarchy.labels.names)
    counts: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {
        "network": ([], []),
        "original": ([], []),
    }
    for index in range(min(len(source), most or len(source))):
        example = source[index]
        placement = resize.place(example["label"].shape, (height, width))
        frame_bhwc = placement.fit_image(example["image"])[None]
        predicted_bhw, scores_bchw = session.run([output, SCORES], {"frame": frame_bhwc})
        scores_chw = scores_bchw[0]
        planes_chw = scores_chw if scores_chw.dtype == np.uint16 else log_planes(scores_chw)
        whole_hw = picture_labels(planes_chw, placement, hierarchy, decoding)
        pairs = {
            "network": (placement.fit_labels(example["label"]), predicted_bhw[0]),
            "original": (example["label"], whole_hw),
        }
        for resolution, (label_hw, prediction_hw) in pairs.items():
            confusions, boundaries = counts[resolution]
            confusions.append(confusion_matrix(label_hw, prediction_hw, *shape))
            boundaries.append(boundary_counts(label_hw, prediction_hw, hierarchy))
    scores: Scores = {}
    for resolution, (confusions, boundaries) in counts.items():
        levels = evaluate_levels(np.stack(confusions), hierarchy, 1, np.sum(boundaries, axis=0))
        scores[resolution] = {
            name: {metric: level_number(level, metric) for metric in METRICS}
            for name, level in levels.items()
        }
    return scores


def round_theirs(file: Path, rounded: Path, data: str) -> None:
    """Their float32 file in integers, by the code and the calibration pictures of our own."""
    prepared = rounded.with_suffix(".prepared.onnx")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    prepared.unlink()
    _, height, width, _ = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    source = open_split(data, "train", 0, {})
    frames = _frames(source, (height, width))
    onnx.save(with_integers(model, "frame", frames), rounded)


def _frames(source: Source, size: tuple[int, int]) -> Any:
    for index in spread_indices(len(source), CALIBRATION_PICTURES):
        image_hwc = source[index]["image"]
        yield Resize().place(image_hwc.shape[:2], size).fit_image(image_hwc)[None]


def time_file(file: Path, threads: int, runs: int) -> float:
    """Median milliseconds of one image to its labels, in a session that ends with this call.

    From a tensor of the network's size, as the file takes it, to a label map of that size. Nothing
    else is computed: outputs that are not asked for aren't. Of a file without a label map, such as
    the reference's, it is the first output, its probabilities.
    """
    session, metadata = open_file(file, threads)
    wanted, _ = labels_output(session, metadata)
    given = session.get_inputs()[0]
    image = np.random.default_rng(0).integers(0, 256, given.shape, np.uint8)
    if given.type == "tensor(float)":
        image = image.astype(np.float32) / 255
    only = onnxruntime.RunOptions()
    only.only_execute_path_to_fetches = True
    seconds = []
    for _ in range(UNCOUNTED + runs):
        began = time.perf_counter()
        session.run([wanted], {given.name: image}, only)
        seconds.append(time.perf_counter() - began)
    return 1e3 * float(np.median(seconds[UNCOUNTED:]))


def time_files(
    files: Sequence[Path], rounds: int, runs: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, Any]]:
    """All files in turn, and again in the opposite order, one session at a time.

    Returns:
      By file and number of threads, the median milliseconds of every round; and the machine.
    """
    found: dict[str, dict[str, list[float]]] = {
        str(file): {str(threads): [] for threads in THREADS} for file in files
    }
    began, load = datetime.datetime.now(datetime.UTC), os.getloadavg()[0]
    for turn in range(rounds):
        for file in files[:: -1 if turn % 2 else 1]:
            for threads in THREADS:
                found[str(file)][str(threads)].append(time_file(file, threads, runs))
    machine = {
        "date": f"{began:%Y-%m-%d}",
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "rounds": rounds,
        "runs": runs,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }
    return found, machine

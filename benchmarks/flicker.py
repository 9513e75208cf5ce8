"""How much less a video flickers with scores averaged over its frames, and what that costs.

python benchmarks/flicker.py --onnx_file=net.onnx --data=data.yaml
python benchmarks/flicker.py --onnx_file=net.onnx --videos=street.mp4,talk.mp4

Every validation picture makes videos: one still, in the others a window moves down it, shakes, or
comes nearer. To each frame comes Gaussian noise, and shot noise, which is as strong as that where
a pixel is white. Printed for each weight of `--smooth`: the share of pixels whose class of the
finest level is another than that of the same point one frame before, and the mIoU of that level
against the masks. Frames before `--settle` do not count.

Of real videos the share of pixels that change, where a point's place one frame before is told by
Farneback's flow, for pixels whose flow leads there and back to within a pixel; and the share of
those with a class that are late: they have one label for three frames, and averaged another in
the first of these.
"""

import collections
import itertools
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from absl import flags

from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.evaluation.metrics import evaluate_levels
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.smoothing import Smoother
from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.parsing import IGNORE_LABEL

_ONNX_FILE = flags.DEFINE_string("onnx_file", None, "Of hierseg export.")
_DATA = flags.DEFINE_string("data", None, "A data.yaml.")
_VIDEOS = flags.DEFINE_list("videos", [], "Real videos.")
_PICTURES = flags.DEFINE_integer("pictures", 30, "How many of the data.")
_FRAMES = flags.DEFINE_integer("frames", 20, "Of a video; of a real one at most ten times.")
_SETTLE = flags.DEFINE_integer("settle", 10, "The first frame that counts.")
_SIGMA = flags.DEFINE_float("sigma", 5.0, "Of the Gaussian noise, of 255.")
_WEIGHTS = flags.DEFINE_list("weights", ["0", "0.5", "0.8", "0.9"], "Of --smooth.")
flags.mark_flag_as_required("onnx_file")

WIDTH, HEIGHT = 0.9, 0.6
"""Sides of the frames, of the picture's."""
Views = Iterator[tuple[float, float, float]]
"""Of every frame: left and top of the window, in the picture's sides, and its enlargement."""


def panned(by: float) -> Views:
    """Down, by so much of the frames' height a frame; a camera on a stand with 0."""
    for index in itertools.count():
        yield 0.05, index * by * HEIGHT, 1.0


def shaken(by: float) -> Views:
    """In a hand: pushed by that much, a standard deviation, and slowing down."""
    rng, place, speed = np.random.default_rng(0), np.array([0.05, 0.2]), np.zeros(2)
    while True:
        yield place[0], place[1], 1.0
        speed = 0.8 * speed + by * HEIGHT * rng.standard_normal(2)
        place = np.clip(place + speed, 0, (1 - WIDTH, 1 - HEIGHT))


def nearer(by: float) -> Views:
    """By that share a frame."""
    for index in itertools.count():
        share = (1 + by) ** -index
        yield (1 - WIDTH * share) / 2, 0.4 - HEIGHT * share / 2, 1 / share


MOTIONS: dict[str, Callable[[], Views]] = {
    "still": lambda: panned(0.0),
    "pan by 1 %": lambda: panned(0.01),
    "pan by 3 %": lambda: panned(0.03),
    "in a hand": lambda: shaken(0.01),
    "nearer by 1 %": lambda: nearer(0.01),
}


def frames_of(image_hwc: np.ndarray, label_hw: np.ndarray, views: Views) -> Iterator[tuple]:
    """Matrix from the picture to a frame, float32 [2, 3], the frame, and its labels."""
    height, width = label_hw.shape
    size = round(WIDTH * width), round(HEIGHT * height)
    for left, top, scale in itertools.islice(views, _FRAMES.value):
        shift = -scale * left * width, -scale * top * height
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        label_hw_now = cv2.warpAffine(label_hw, matrix, size, flags=cv2.INTER_NEAREST)
        yield matrix, cv2.warpAffine(image_hwc, matrix, size), label_hw_now


def with_noise(image_hwc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a sensor makes of it."""
    sigma = _SIGMA.value * np.sqrt(1 + image_hwc / 255)
    noisy_hwc = image_hwc + sigma * rng.standard_normal(image_hwc.shape)
    return noisy_hwc.round().clip(0, 255).astype(np.uint8)


def followed(label_hw: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Labels of the frame before where this one has them; IGNORE_LABEL where it had none."""
    square = [np.vstack([matrix, [0, 0, 1]]) for matrix in (before, now)]
    matrix = (square[1] @ np.linalg.inv(square[0]))[:2]
    size = label_hw.shape[::-1]
    return cv2.warpAffine(label_hw, matrix, size, flags=cv2.INTER_NEAREST, borderValue=IGNORE_LABEL)


def measure(
    segmenter: Segmenter, picture: dict[str, np.ndarray], views: Views, weights: list[float]
) -> dict[float, tuple[float, np.ndarray]]:
    """By weight: the share of pixels that change, and the confusion matrix."""
    rng, level = np.random.default_rng(0), segmenter.hierarchy.levels[-1]
    smoothers = {weight: Smoother(weight) for weight in weights}
    counts = {weight: np.zeros((level.num_classes, level.num_classes), int) for weight in weights}
    changed: dict[float, list[float]] = {weight: [] for weight in weights}
    before: tuple[np.ndarray, dict[float, np.ndarray]] | None = None
    frames = frames_of(picture["image"], picture["label"], views)
    for index, (matrix, frame_hwc, label_hw) in enumerate(frames):
        found = labels_of(segmenter, with_noise(frame_hwc, rng), smoothers)
        if before is not None and index >= _SETTLE.value:
            for weight, found_hw in found.items():
                counts[weight] += confusion_matrix(label_hw, found_hw, level.num_classes)
                moved_hw = followed(before[1][weight], before[0], matrix)
                seen_hw = moved_hw != IGNORE_LABEL
                changed[weight].append(float((moved_hw != found_hw)[seen_hw].mean()))
        before = matrix, found
    return {weight: (float(np.mean(changed[weight])), counts[weight]) for weight in weights}


def labels_of(
    segmenter: Segmenter, frame_hwc: np.ndarray, smoothers: dict[float, Smoother]
) -> dict[float, np.ndarray]:
    """Those of the finest level, by weight."""
    scored, level = segmenter.score(frame_hwc), segmenter.hierarchy.levels[-1].name
    return {
        weight: segmenter.label(smoother(scored), frame_hwc).levels[level]
        for weight, smoother in smoothers.items()
    }


def changes(segmenter: Segmenter, file: str, weights: list[float]) -> dict[float, list[float]]:
    """Of a real video: the shares of pixels that change, and that are late, by weight."""
    smoothers = {weight: Smoother(weight) for weight in weights}
    changed: dict[float, list[float]] = {weight: [] for weight in weights}
    seen: collections.deque[dict[float, np.ndarray]] = collections.deque(maxlen=3)
    late: dict[float, list[float]] = {weight: [] for weight in weights}
    background = segmenter.hierarchy.background
    capture, before = cv2.VideoCapture(file), None
    for _ in range(10 * _FRAMES.value):
        there, frame_bgr = capture.read()
        if not there:
            break
        found = labels_of(segmenter, cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB), smoothers)
        grey_hw = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
        if before is not None:
            x_hw, y_hw, sure_hw = sources(before[0], grey_hw)
            for weight, found_hw in found.items():
                moved_hw = cv2.remap(before[1][weight], x_hw, y_hw, cv2.INTER_NEAREST)
                changed[weight].append(float((moved_hw != found_hw)[sure_hw].mean()))
        before = grey_hw, found
        seen.append(found)
        if len(seen) == seen.maxlen:
            first_hw, *others = (each[0.0] for each in seen)
            stays_hw = np.all([each == first_hw for each in others], 0) & (first_hw != background)
            for weight in weights if stays_hw.any() else ():
                late[weight].append(float((seen[0][weight] != first_hw)[stays_hw].mean()))
    if before is None:
        raise HiersegError(f"{file} gives no frames.")
    return {
        weight: [
            float(np.nanmean(shares or [np.nan])) for shares in (changed[weight], late[weight])
        ]
        for weight in weights
    }


def sources(before_hw: np.ndarray, now_hw: np.ndarray) -> tuple[np.ndarray, ...]:
    """x and y of every pixel one frame before, and whether that is sure."""
    back, there = (
        cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 5, 21, 5, 7, 1.5, 0)
        for pair in ((now_hw, before_hw), (before_hw, now_hw))
    )
    y_hw, x_hw = np.indices(now_hw.shape, np.float32) + back.transpose(2, 0, 1)[::-1]
    returned = back + cv2.remap(there, x_hw, y_hw, cv2.INTER_LINEAR)
    height, width = now_hw.shape
    inside = (x_hw >= 0) & (x_hw < width) & (y_hw >= 0) & (y_hw < height)
    return x_hw, y_hw, inside & (np.linalg.norm(returned, axis=-1) < 1)


def main() -> None:
    """Prints a line for each video, or motion, and weight."""
    cv2.setNumThreads(1)
    if not (_DATA.value or _VIDEOS.value):
        raise HiersegError("Give --data=data.yaml, or --videos=FILE,...")
    if _FRAMES.value <= _SETTLE.value:
        raise HiersegError(
            f"--frames is {_FRAMES.value}, and the first that counts {_SETTLE.value}."
        )
    segmenter, weights = Segmenter(_ONNX_FILE.value, threads=1), [*map(float, _WEIGHTS.value)]
    if _VIDEOS.value and 0.0 not in weights:
        raise HiersegError("Late is what differs from no average; give --weights=0,... too.")
    for file in _VIDEOS.value:
        for weight, (share, late) in changes(segmenter, file, weights).items():
            print(
                f"{file}, smooth {weight:4.2f}: {100 * share:5.2f} % of pixels change, "
                f"{100 * late:5.2f} % are late",
                flush=True,
            )
    if not _DATA.value:
        return
    source = open_split(_DATA.value, "val", None, {})
    pictures = [source[index] for index in spread_indices(len(source), _PICTURES.value)]
    for name, views in MOTIONS.items():
        found = [measure(segmenter, picture, views(), weights) for picture in pictures]
        for weight in weights:
            share = np.mean([each[weight][0] for each in found])
            counts = np.stack([each[weight][1] for each in found])
            level = [*evaluate_levels(counts, segmenter.hierarchy, batch_size=1).values()][-1]
            print(
                f"{name:14} smooth {weight:4.2f}: {100 * share:5.2f} % of pixels change, mIoU "
                f"{level.miou:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    run(main)

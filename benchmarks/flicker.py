"""How much less a video flickers with scores averaged over its frames, and what lag it costs.

python benchmarks/flicker.py --onnx_file=net.onnx --images=data/val/images

Every photograph makes videos: one still, the others a window that moves down it. To each frame
comes Gaussian noise, and shot noise, which is as strong as that where a pixel is white. Printed
for each weight of `--smooth`: of the still videos the share of pixels that change their class of
the finest level between two frames; of all of them the mIoU of that level against the labels of
the same frame without noise and without smoothing. Frames before `--settle` do not count.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.smoothing import Smoother
from hierseg_jax.system.command_line import run
from hierseg_jax.tree.parsing import IGNORE_LABEL

_ONNX_FILE = flags.DEFINE_string("onnx_file", None, "Of launch/export.py.")
_IMAGES = flags.DEFINE_string("images", None, "A folder of photographs.")
_PHOTOGRAPHS = flags.DEFINE_integer("photographs", 30, "How many of them.")
_FRAMES = flags.DEFINE_integer("frames", 20, "Of a video.")
_SETTLE = flags.DEFINE_integer("settle", 10, "The first frame that counts.")
_SIGMA = flags.DEFINE_float("sigma", 5.0, "Of the Gaussian noise, of 255.")
_WEIGHTS = flags.DEFINE_list("weights", ["0", "0.5", "0.8", "0.9"], "Of --smooth.")
_SPEEDS = flags.DEFINE_list("speeds", ["0", "0.01", "0.03"], "Frame heights a frame.")
flags.mark_flags_as_required(["onnx_file", "images"])

WINDOW = 0.6
"""Height of the frames, of the photograph's: at most (1 / WINDOW - 1) frame heights to move."""


def frames_of(image_hwc: np.ndarray, speed: float) -> Iterator[np.ndarray]:
    """A window of a photograph that moves down it by `speed` of its height a frame."""
    height = round(WINDOW * len(image_hwc))
    for index in range(_FRAMES.value):
        top = round(index * speed * height)
        yield image_hwc[top : top + height]


def with_noise(image_hwc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a sensor makes of it."""
    sigma = _SIGMA.value * np.sqrt(1 + image_hwc / 255)
    return (image_hwc + sigma * rng.standard_normal(image_hwc.shape)).round().clip(0, 255)


def measure(segmenter: Segmenter, image_hwc: np.ndarray, speed: float, weight: float) -> tuple:
    """Share of changed pixels, and pixels by class without noise (rows) and class found."""
    rng, smoother = np.random.default_rng(0), Smoother(weight) if weight else None
    level = segmenter.hierarchy.levels[-1]
    counts = np.zeros((256, 256), np.int64)
    changed, before = [], None
    for index, frame_hwc in enumerate(frames_of(image_hwc, speed)):
        noisy_hwc = with_noise(frame_hwc, rng).astype(np.uint8)
        found_hw = segmenter(noisy_hwc, smooth=smoother).levels[level.name]
        if index >= _SETTLE.value:
            clean_hw = segmenter(frame_hwc).levels[level.name]
            np.add.at(counts, (clean_hw, found_hw), 1)
            changed.append((found_hw != before).mean())
        before = found_hw
    classes = slice(level.num_classes)
    assert not counts[IGNORE_LABEL].any(), "a network with the resize rule crop leaves pixels out"
    return float(np.mean(changed)), counts[classes, classes]


def mean_iou(counts: np.ndarray) -> float:
    """Over the classes that are there."""
    both, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    return float((both / np.maximum(union, 1))[union > 0].mean())


def main() -> None:
    """Prints a line for each weight and speed."""
    cv2.setNumThreads(1)
    segmenter = Segmenter(_ONNX_FILE.value, threads=1)
    files = sorted(file for file in Path(_IMAGES.value).iterdir() if file.is_file())
    images = [read_image(files[i]) for i in spread_indices(len(files), _PHOTOGRAPHS.value)]
    for weight in map(float, _WEIGHTS.value):
        for speed in map(float, _SPEEDS.value):
            found = [measure(segmenter, image, speed, weight) for image in images]
            changed = np.mean([share for share, _ in found])
            print(
                f"smooth {weight:4.2f}, {100 * speed:3.1f} % a frame: {100 * changed:6.3f} % of "
                f"pixels change, mIoU {mean_iou(sum(counts for _, counts in found)):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    run(main)

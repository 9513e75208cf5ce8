"""How well cuts of a video are told from pans, zooms, exposure and noise.

python benchmarks/cuts.py --images=data/val/images

Pairs of frames are made of photographs, 640x360 pixels each: two views of one photograph, or views
of two, which are cuts. Both frames get Gaussian noise, and with --bars black sides; with --dark
they are darker, and brightened for the network. Printed for each kind: the agreement of
`runtime/motion.py`, and the share below the threshold of `runtime/smoothing.py`.
"""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.resize import Resize
from hierseg_jax.runtime.motion import agreement, grey_frame, motion
from hierseg_jax.runtime.smoothing import CUT
from hierseg_jax.system.command_line import run

_IMAGES = flags.DEFINE_string("images", None, "A folder of photographs.")
_SIGMA = flags.DEFINE_float("sigma", 5.0, "Of the noise, of 255.")
_BARS = flags.DEFINE_float("bars", 0.0, "Share of the width that a black bar takes, each side.")
_DARK = flags.DEFINE_float("dark", 1.0, "Share of the light that is left.")
flags.mark_flags_as_required(["images"])

WIDTH, HEIGHT = 640, 360
INPUT, SCORES = (216, 384), (108, 192)
"""(height, width) of the network's input, and of its scores."""


def view(image_hwc: np.ndarray, at: np.ndarray, share: float, exposure: float = 1.0) -> np.ndarray:
    """Part of a photograph, float32: `share` of its width about `at`, (x, y) within 0 to 1."""
    scale = WIDTH / (share * image_hwc.shape[1])
    shift = np.array([WIDTH, HEIGHT]) / 2 - scale * at * image_hwc.shape[1::-1]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    seen = cv2.warpAffine(image_hwc, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    return seen.astype(np.float32) * exposure


@dataclasses.dataclass(frozen=True)
class Change:
    """What happens between two frames of a scene.

    Attributes:
      pan: how far the view moves, in any direction, in its own widths.
      zoom: by which share it becomes narrower.
      exposure: by which share it becomes brighter or darker.
    """

    pan: float = 0.0
    zoom: float = 0.0
    exposure: float = 0.0

    def later(
        self, image_hwc: np.ndarray, at: np.ndarray, share: float, rng: np.random.Generator
    ) -> np.ndarray:
        """`view` of the second frame, whose first one had these arguments."""
        angle = rng.uniform(0, 2 * np.pi)
        pixels = self.pan * share * image_hwc.shape[1] * np.array([np.cos(angle), np.sin(angle)])
        exposure = (1 + self.exposure) ** rng.choice([-1, 1])
        at = at + pixels / image_hwc.shape[1::-1]
        return view(image_hwc, at, share * (1 - self.zoom), exposure)


KINDS = {
    "noise alone": Change(),
    **{f"pan by {by:.0%} of the width": Change(pan=by) for by in (0.01, 0.03, 0.1)},
    **{f"zoom by {by:.0%}": Change(zoom=by) for by in (0.02, 0.05)},
    **{f"exposure by {by:.0%}": Change(exposure=by) for by in (0.03, 0.1, 0.25, 0.5)},
    "pan, zoom and exposure": Change(0.03, 0.02, 0.05),
}


def main() -> None:
    """Prints a line for each kind."""
    files = sorted(file for file in Path(_IMAGES.value).iterdir() if file.is_file())
    images = [read_image(file) for file in files]
    rng = np.random.default_rng(0)

    def seen(image: np.ndarray) -> np.ndarray:
        noisy = _DARK.value * image + rng.normal(0, _SIGMA.value, image.shape)
        bar = round(_BARS.value * WIDTH)
        noisy[:, :bar] = noisy[:, WIDTH - bar :] = 0
        placement = Resize(bright=200).place((HEIGHT, WIDTH), INPUT)
        given = placement.fit_image(noisy.round().clip(0, 255).astype(np.uint8))
        return grey_frame(given[None], SCORES)

    def agreeing(before: np.ndarray, now: np.ndarray) -> float:
        return agreement(now, motion(before, now).trust_hw)

    def place() -> tuple[np.ndarray, float]:
        return rng.uniform([0.4, 0.3], [0.6, 0.7]), rng.uniform(0.6, 0.9)

    agreements: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "cut")}
    for index, image in enumerate(images):
        at, share = place()
        first = seen(view(image, at, share))
        for kind, change in KINDS.items():
            agreements[kind].append(agreeing(first, seen(change.later(image, at, share, rng))))
        other = images[(index + rng.integers(1, len(images))) % len(images)]
        agreements["cut"].append(agreeing(first, seen(view(other, *place()))))
    print(f"{len(images)} pairs of each kind; a cut is below {CUT}")
    for kind, found in agreements.items():
        print(
            f"{kind:24} {min(found):.3f} to {max(found):.3f}, median {np.median(found):.3f}; "
            f"{np.mean(np.array(found) < CUT):6.1%} taken for cuts"
        )


if __name__ == "__main__":
    run(main)

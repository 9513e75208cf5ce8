"""The usual variation of today's segmentation recipes: scale and crop, mirror, colours.

As in DeepLab (Chen et al., arXiv 1706.05587, section 4.1) pictures are scaled by a factor, by
default of 0.5 to 2, and cropped, and mirrored left-right half of the time; brightness, contrast,
saturation and hue are jittered as in SSD (Liu et al., arXiv 1512.02325), in the ranges
that mmsegmentation has made usual.

Signature, shapes and dtypes are those of `hierseg_jax.data.augment.classic`, but for `size`: a
part of a picture comes to the network's size in one step from its own pixels, for a picture that
were shrunk first and then enlarged would be blurred, and its labels blocks. (Large ones come as
`bounded_example` makes them, still larger than they are shown.) `beside` arises where a shrunken
picture leaves the frame free.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.data.resize import Box, Placement
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.number_kinds import is_real
from hierseg_jax.tree.parsing import IGNORE_LABEL

SCALES = (0.5, 2.0)
"""Least and largest factor on the sides, by default; uniform in its logarithm, so that halving
and doubling are equally likely."""

LARGEST_SCALE = 4.0
"""What a scale may be at most. Large pictures in memory have as many times the network's sides."""

MIRRORED_SHARE = 0.5
"""Probability that an example is mirrored left-right."""

JITTER_SHARE = 0.5
"""Probability of each of the four changes of colour."""

MAX_BRIGHTNESS = 32
"""Largest shift of all channels, either way, in steps of 0..255."""

GAINS = (0.5, 1.5)
"""Least and largest factor on contrast and on saturation."""

MAX_HUE = 18
"""Largest turn of the hue, either way, in degrees."""


def check_scales(given: Sequence[float]) -> tuple[float, float]:
    """The least and the largest scale.

    Raises:
      ValueError: for what is no such pair.
    """
    real = all(is_real(of) for of in given)
    if len(given) != 2 or not real or not 0.1 <= given[0] <= given[1] <= LARGEST_SCALE:
        raise HiersegError(
            f"The config's augment_scales is {tuple(given)}; it must be two numbers, the least "
            f"scale and the largest, from 0.1 to {LARGEST_SCALE:g}."
        )
    return float(given[0]), float(given[1])


def augment_modern(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    mirrored: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
    scales: tuple[float, float] = SCALES,
    beside: int = IGNORE_LABEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Varies one training example by all three in turn. Shapes and dtypes: see the module.

    Args:
      rng: the only source of randomness.
      image_hwc: uint8 RGB [H, W, 3].
      label_hw: uint8 [H, W].
      mirrored: label in the mirror of every label, uint8 [256], of `Hierarchy.mirrored`.
      size, scales, beside: as `scale_and_crop` has them; by default the size is (H, W).
    """
    size = size or label_hw.shape
    image_hwc, label_hw = scale_and_crop(rng, image_hwc, label_hw, size, scales, beside)
    if draw_mirrored(rng):
        image_hwc, label_hw = mirror(image_hwc, label_hw, mirrored)
    return jitter_colours(rng, image_hwc, label_hw)


def scale_and_crop(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    size: tuple[int, int],
    scales: tuple[float, float] = SCALES,
    beside: int = IGNORE_LABEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Scales; shows a part of that, or all of it somewhere in a larger frame.

    What is left of the frame is black, and ignored unless `beside` says more. Sampled as `exact`
    of data/resize.py.

    Args:
      rng: the only source of randomness.
      image_hwc, label_hw: of any size [H, W].
      size: (h, w) of what comes out. Scale 1 is all of the picture stretched to it.
      scales: the least and the largest.
      beside: label of what is left of the frame.
    """
    placement = draw_placement(rng, label_hw.shape, size, scales)
    placement = dataclasses.replace(placement, beside=beside)
    return placement.fit_image(image_hwc, bars=0), placement.fit_labels(label_hw)


def draw_placement(
    rng: np.random.Generator,
    picture: tuple[int, int],
    size: tuple[int, int],
    scales: tuple[float, float] = SCALES,
) -> Placement:
    """Where `scale_and_crop` lays a picture, both sizes being (height, width)."""
    scale = float(np.exp(rng.uniform(*np.log(scales))))
    seen, filled = Box(0, 0, *picture), Box(0, 0, *size)
    if scale >= 1:
        seen = _any_box(rng, picture, 1 / scale)
    else:
        filled = _any_box(rng, size, scale)
    return Placement(picture, size, seen, filled)


def draw_mirrored(rng: np.random.Generator) -> bool:
    """Whether an example is mirrored."""
    return rng.random() < MIRRORED_SHARE


def _any_box(rng: np.random.Generator, within: tuple[int, int], share: float) -> Box:
    """A box whose sides have that share of those that it lies within, anywhere there."""
    height, width = (max(1, round(side * share)) for side in within)
    top = int(rng.integers(within[0] - height + 1))
    left = int(rng.integers(within[1] - width + 1))
    return Box(top, left, height, width)


def mirror(
    image_hwc: np.ndarray, label_hw: np.ndarray, mirrored: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors left-right; a left arm becomes a right one where `mirrored` says so."""
    label_hw = cv2.flip(label_hw, 1)
    if mirrored is not None:
        label_hw = cv2.LUT(label_hw, mirrored)
    return cv2.flip(image_hwc, 1), label_hw


def jitter_colours(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness, contrast, saturation and hue, each of them half of the time.

    v -> gain (v + shift) in every channel, then factors on saturation and turns of the hue in
    HSV; rounded to 0..255. The label stays.
    """
    return draw_jitter(rng).of(image_hwc), label_hw


@dataclasses.dataclass(frozen=True)
class Jitter:
    """A change of colours.

    Attributes:
      shift, gain: of the value of every channel, which is shifted first.
      saturation: a factor on it; None where neither it nor the hue changes.
      hue: what is added to it, in steps of two degrees.
    """

    shift: float = 0.0
    gain: float = 1.0
    saturation: float | None = None
    hue: int = 0

    @property
    def values(self) -> np.ndarray:
        """What a channel's values become: uint8 [256]."""
        table = (np.arange(256, dtype=np.float64) + self.shift) * self.gain
        return np.clip(np.rint(table), 0, 255).astype(np.uint8)

    @property
    def saturations(self) -> np.ndarray:
        """What saturations become: uint8 [256]."""
        factor = 1.0 if self.saturation is None else self.saturation
        return np.clip(np.rint(np.arange(256) * factor), 0, 255).astype(np.uint8)

    def of(self, image_hwc: np.ndarray) -> np.ndarray:
        """The picture with other colours, uint8 RGB [H, W, 3]."""
        image_hwc = cv2.LUT(image_hwc, self.values)
        if self.saturation is None:
            return image_hwc
        # Hues of OpenCV run from 0 to 179.
        hues = ((np.arange(256) + self.hue) % 180).astype(np.uint8)
        tables = np.stack([hues, self.saturations, np.arange(256, dtype=np.uint8)], axis=-1)
        hsv_hwc = cv2.cvtColor(image_hwc, cv2.COLOR_RGB2HSV)
        return cv2.cvtColor(cv2.LUT(hsv_hwc, tables[None]), cv2.COLOR_HSV2RGB)


def draw_jitter(rng: np.random.Generator) -> Jitter:
    """The change that `jitter_colours` makes."""
    shift, gain, hue = 0.0, 1.0, 0
    saturation = None
    if rng.random() < JITTER_SHARE:
        shift = rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS)
    if rng.random() < JITTER_SHARE:
        gain = rng.uniform(*GAINS)
    if rng.random() < JITTER_SHARE:
        saturation = rng.uniform(*GAINS)
    if rng.random() < JITTER_SHARE:
        hue = round(rng.uniform(-MAX_HUE, MAX_HUE) / 2)
        # A turn by nothing rounds in HSV as every other does.
        saturation = 1.0 if saturation is None else saturation
    return Jitter(shift, gain, saturation, hue)

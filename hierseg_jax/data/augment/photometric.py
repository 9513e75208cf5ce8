"""Transforms of the camera: blur, noise, exposure. The label is returned as it is.

Signature, shapes and dtypes are those of `hierseg_jax.data.augment.classic`. Parameters are the
defaults of the albumentations transform that a docstring names (1.3 and 1.4).
Results are rounded to the nearest of 0..255 where albumentations cuts the fraction off,
which darkens by half a step.
"""

import math

import cv2
import numpy as np

BLUR_SIDES = (3, 5, 7)
"""Sides of the motion blur's kernel, in pixels."""

HUE_SHIFT = (0.01, 0.05)
"""Spread of hues in ISO noise at intensity 1, as a fraction of the full circle."""

ISO_INTENSITY = (0.1, 0.5)
"""Strength of ISO noise; no unit."""

GAUSSIAN_VARIANCE = (10.0, 50.0)
"""Variance of Gaussian noise, in squared steps of 0..255."""

MAX_BRIGHTNESS = 0.2
"""Largest shift, either way, as a fraction of white (255)."""

MAX_CONTRAST = 0.2
"""Largest departure of the gain from 1, either way."""


def motion_blur(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Averages along a short line: side 3, 5 or 7, end points anywhere in that square.

    The line need not pass through the centre, hence the picture may also move, by 3
    pixels at most, under its label. albumentations `MotionBlur(allow_shifted=True)`.
    """
    side = BLUR_SIDES[rng.integers(len(BLUR_SIDES))]
    x1, x2 = (int(x) for x in rng.integers(side, size=2))
    # One point is no line: in one column the ends lie in different rows.
    y1, y2 = (int(y) for y in rng.choice(side, 2, replace=x1 != x2))
    kernel = cv2.line(np.zeros((side, side), np.float32), (x1, y1), (x2, y2), 1.0)
    return cv2.filter2D(image_hwc, -1, kernel / kernel.sum()), label_hw


def iso_noise(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A sensor at high sensitivity: Poisson noise in lightness, normal noise in hue.

    With an intensity in 0.1..0.5 and a hue shift in 0.01..0.05, every pixel's hue moves
    by a normal draw of deviation 360° · shift · intensity, and its lightness l (in 0..1)
    rises by n / 255 · (1 - l), n Poisson with mean 255 · intensity · (deviation of the
    image's lightness). albumentations `ISONoise`.
    """
    shift = rng.uniform(*HUE_SHIFT)
    intensity = rng.uniform(*ISO_INTENSITY)
    hls_hwc = cv2.cvtColor(
        np.multiply(image_hwc, np.float32(1 / 255), dtype=np.float32), cv2.COLOR_RGB2HLS
    )
    lightness_deviation = float(cv2.meanStdDev(hls_hwc)[1][1, 0])
    hue_hw, lightness_hw = hls_hwc[..., 0], hls_hwc[..., 1]

    # Steps of 1/16 deviation, where a pixel is rounded to 8 bits, are as good as none.
    steps, cumulative = _normal_cumulative(16.0)
    degrees = (steps * (360 * shift * intensity / 16)).astype(np.float32)
    hue_hw += _draw(rng, degrees, cumulative, label_hw.shape)
    # OpenCV wants an angle in 0..360; one turn is enough, no shift being that large.
    np.add(hue_hw, 360, out=hue_hw, where=hue_hw < 0)
    np.subtract(hue_hw, 360, out=hue_hw, where=hue_hw >= 360)

    cumulative = _poisson_cumulative(255 * intensity * lightness_deviation)
    rises = np.arange(cumulative.size, dtype=np.float32) / np.float32(255)
    lightness_hw += _draw(rng, rises, cumulative, label_hw.shape) * (1 - lightness_hw)
    rgb_hwc = cv2.cvtColor(hls_hwc, cv2.COLOR_HLS2RGB)
    return cv2.convertScaleAbs(rgb_hwc, alpha=255), label_hw


def gaussian_noise(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Adds normal noise of mean 0 to every pixel and channel, its variance in 10..50.

    albumentations `GaussNoise(var_limit=(10, 50), per_channel=True)`.
    """
    deviation = math.sqrt(rng.uniform(*GAUSSIAN_VARIANCE))
    # Images are whole numbers, so that rounding the noise is rounding the sum, and the
    # noise has few values: a table of them is four times as quick as normal draws.
    values, cumulative = _normal_cumulative(deviation)
    offset = 128  # noise of either sign, as the uint8 that OpenCV adds at once
    noise_hwc = _draw(rng, (values + offset).astype(np.uint8), cumulative, image_hwc.shape)
    return cv2.addWeighted(image_hwc, 1, noise_hwc, 1, -offset), label_hw


def brightness_contrast(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """v -> gain · v + 255 · shift, the gain uniform in 1 ± 0.2, the shift in ±0.2.

    albumentations `RandomBrightnessContrast(brightness_by_max=True)`.
    """
    gain = 1 + rng.uniform(-MAX_CONTRAST, MAX_CONTRAST)
    shift = rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS)
    table = np.clip(np.rint(gain * np.arange(256) + 255 * shift), 0, 255).astype(np.uint8)
    return cv2.LUT(image_hwc, table), label_hw


def _normal_cumulative(deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Normal draws of mean 0 rounded to whole numbers: the values [n], their cumulative [n]."""
    reach = math.ceil(6 * deviation)
    values = np.arange(-reach, reach + 1)
    scale = deviation * math.sqrt(2)
    return values, np.array([(1 + math.erf((v + 0.5) / scale)) / 2 for v in values])


def _poisson_cumulative(mean: float) -> np.ndarray:
    """P(N <= n) for n = 0, 1, ... and N Poisson with that mean (0 or more), to 1e-8."""
    last = math.ceil(mean + 6 * math.sqrt(mean) + 12)
    ratios = mean / np.arange(1, last + 1)
    return math.exp(-mean) * np.cumsum(np.cumprod(np.concatenate([[1.0], ratios])))


def _draw(
    rng: np.random.Generator, values: np.ndarray, cumulative: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Independent draws of `values` [n] in `shape`, probabilities exact to 2⁻¹⁶.

    Args:
      cumulative: [n], not falling; P(draw is among values[: i + 1]). The last value gets
        what is missing to 1.
    """
    levels = 1 << 16
    bounds = np.rint(np.clip(cumulative, 0, 1) * levels).astype(np.int64)
    bounds[-1] = levels
    table = np.repeat(values, np.diff(bounds, prepend=0))
    # No index is out of range, and "wrap" is how to say so: it is several times quicker.
    return np.take(table, rng.integers(levels, size=shape, dtype=np.uint16), mode="wrap")

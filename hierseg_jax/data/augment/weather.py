"""Transforms of the scene: fog, rain, shadow. The label is returned as it is.

Signature, shapes and dtypes are those of `hierseg_jax.data.augment.classic`. All three stem
from the Automold library (github.com/UjjwalSaxena/Automold--Road-Augmentation-Library),
by way of the albumentations transform that a docstring names (1.3 and 1.4).
"""

import cv2
import numpy as np

FOG_DENSITY = (0.2, 0.6)
"""Range of the fog coefficient: patches get larger, fewer and denser with it."""

FOG_OPACITY = 0.08
"""Opacity of one patch of fog at density 1."""

MAX_SLANT = 10
"""Pixels by which rain drifts aside over the length of a drop, either way."""

DROP_LENGTH = 20
"""Height of a streak of rain, in pixels."""

DROP_COLOUR = (200, 200, 200)
"""RGB of a streak before the scene is darkened."""

PIXELS_PER_DROP = 600
"""One streak for so many pixels of the image."""

RAIN_BLUR = 2
"""Side of the box that blurs a rainy view, in pixels."""

RAIN_BRIGHTNESS = 0.7
"""What a rainy sky leaves of the light."""

MAX_SHADOWS = 2
"""A scene gets 1 shadow or 2, equally likely."""

SHADOW_VERTICES = 5
"""Corners of a shadow's polygon."""

SHADOW_BRIGHTNESS = 0.5
"""What a shadow leaves of the light."""


def fog(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """White translucent discs, scattered wider and wider about the centre, then a blur.

    With a density d uniform in 0.2..0.6 a disc is d W / 3 pixels wide and covers
    0.08 d of what lies under it: at these densities the haze is faint, and the blur what
    one sees. albumentations 1.3 and 1.4.14 `RandomFog(0.2, 0.6, alpha_coef=0.08)`. Discs
    are counted first and blended once, unrounded, which is what blending one after the
    other comes to.
    """
    density = rng.uniform(*FOG_DENSITY)
    width = label_hw.shape[1]
    disc_size = max(int(width // 3 * density), 10)
    corners = _fog_corners(rng, label_hw.shape, density)
    covers_hw = _count_discs(corners, disc_size // 2, label_hw.shape)
    clear_by_covers = (1 - FOG_OPACITY * density) ** np.arange(len(corners) + 1)
    clear_hw = clear_by_covers.astype(np.float32)[covers_hw]
    # Towards white by keeping a share of the distance from it.
    distance_hwc = cv2.multiply(
        cv2.bitwise_not(image_hwc), cv2.merge([clear_hw] * 3), dtype=cv2.CV_8U
    )
    blur = disc_size // 10
    return cv2.blur(cv2.bitwise_not(distance_hwc), (blur, blur)), label_hw


def rain(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parallel light streaks, one for 600 pixels, in a slightly blurred, darker scene.

    albumentations `RandomRain(blur_value=2)`; its factor on the V of HSV is a factor on
    R, G and B.
    """
    height, width = label_hw.shape
    slant = int(rng.uniform(-MAX_SLANT, MAX_SLANT))
    count = height * width // PIXELS_PER_DROP
    left, right = (slant, width) if slant < 0 else (0, max(width - slant, 0))
    start_n2 = np.stack(
        [
            rng.integers(left, right, count, dtype=np.int32, endpoint=True),
            rng.integers(0, max(height - DROP_LENGTH, 0), count, dtype=np.int32, endpoint=True),
        ],
        axis=1,
    )
    streaks_n22 = np.stack([start_n2, start_n2 + np.array([slant, DROP_LENGTH], np.int32)], axis=1)
    wet_hwc = cv2.polylines(image_hwc.copy(), list(streaks_n22), False, DROP_COLOUR)
    wet_hwc = cv2.blur(wet_hwc, (RAIN_BLUR, RAIN_BLUR))
    return cv2.convertScaleAbs(wet_hwc, alpha=RAIN_BRIGHTNESS), label_hw


def shadow(
    rng: np.random.Generator, image_hwc: np.ndarray, label_hw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One or two polygons of 5 random corners in the lower half, at half the light.

    albumentations `RandomShadow`: the union of the polygons, as in 1.3, darkened in
    RGB, as in 1.4.24. (1.3 halves the L of HLS, which turns near-whites into garish
    colours.)
    """
    height, width = label_hw.shape
    shaded_hw = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, MAX_SHADOWS, endpoint=True)):
        corners_n2 = np.stack(
            [
                rng.integers(0, width, SHADOW_VERTICES, dtype=np.int32, endpoint=True),
                rng.integers(height // 2, height, SHADOW_VERTICES, dtype=np.int32, endpoint=True),
            ],
            axis=1,
        )
        cv2.fillPoly(shaded_hw, [corners_n2], 255)
    dark_hwc = cv2.convertScaleAbs(image_hwc, alpha=SHADOW_BRIGHTNESS)
    return cv2.copyTo(dark_hwc, shaded_hw, image_hwc.copy()), label_hw


def _fog_corners(
    rng: np.random.Generator, shape: tuple[int, ...], density: float
) -> list[tuple[int, int]]:
    """Upper left corners (x, y) of the fog's discs, in rings that grow past the frame.

    Ring i holds i times a tenth of a disc's width, in discs.
    """
    height, width = shape
    size = max(int(width // 3 * density), 1)
    left, top = width // 2 - 2 * size, height // 2 - size
    # albumentations may step by 0 in a narrow image, and never ends.
    step_x = max(3 * size * width // (width + height), 1)
    step_y = max(3 * size * height // (width + height), 1)
    corners: list[tuple[int, int]] = []
    ring = 1
    while left > -size or top > -size:
        count = size // 10 * ring
        xs = rng.integers(left, width - left - size, count, endpoint=True)
        ys = rng.integers(top, height - top - size, count, endpoint=True)
        corners += zip(xs.tolist(), ys.tolist(), strict=True)
        left, top, ring = left - step_x, top - step_y, ring + 1
    return corners


def _count_discs(corners: list[tuple[int, int]], radius: int, shape: tuple[int, ...]) -> np.ndarray:
    """How many discs cover each pixel: uint16 [H, W]. Discs may lie outside."""
    height, width = shape
    side = 2 * radius + 1
    disc: np.ndarray = cv2.circle(
        np.zeros((side, side), np.uint8), (radius, radius), radius, 1, cv2.FILLED
    )
    covers_hw = np.zeros(shape, np.uint16)
    for x, y in corners:
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + side, width), min(y + side, height)
        if left < right and top < bottom:
            covers_hw[top:bottom, left:right] += disc[top - y : bottom - y, left - x : right - x]
    return covers_hw

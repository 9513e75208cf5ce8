"""Transforms that move or remove pixels, in image and label alike.

Signature, shapes and dtypes are those of `hierseg_jax.data.augment.classic`. Images are
sampled linearly, labels by nearest neighbour.

Those that mirror, the edges included, take `mirrored` as well: uint8 [256], the label in the
mirror of every label (`Hierarchy.mirrored`), so that a left arm that looks like a right one is
called so. What is mirrored left-right *and* upside down is only turned, and keeps its labels.
By default labels stay as they are.

Those that leave parts of a picture free take `background`: the class that such pixels are of, 0.
With None, for a tree without one, they are ignored.
"""

import cv2
import numpy as np

from hierseg_jax.tree.parsing import IGNORE_LABEL

MAX_ROTATION = 60.0
"""Degrees, either way."""

SCALE = 0.5
"""Side of the shrunken picture, as a fraction of the frame's."""

MAX_DROPPED_COMPONENTS = 5
"""Most connected components that one mask dropout removes."""

MAX_DISTORTION = 0.05
"""Largest radial coefficient of the lens, of either sign; no unit."""


def rotate(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    mirrored: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Turns about the centre by an angle uniform in ±60°, edges mirrored (reflect-101).

    albumentations `Rotate(limit=60)`.
    """
    matrix = _about_centre(label_hw.shape, degrees=rng.uniform(-MAX_ROTATION, MAX_ROTATION))
    image_hwc, label_hw = _warp_affine(image_hwc, label_hw, matrix, cv2.BORDER_REFLECT_101)
    if mirrored is not None:
        y_hw, x_hw = np.indices(label_hw.shape, np.float32)
        (a, b, c), (d, e, f) = cv2.invertAffineTransform(matrix)
        source = a * x_hw + b * y_hw + c, d * x_hw + e * y_hw + f
        label_hw = _exchange_beyond_edges(label_hw, source, mirrored)
    return image_hwc, label_hw


def flip(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    mirrored: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors left-right, upside down or both, equally likely. albumentations `Flip`."""
    code = int(rng.integers(-1, 2))  # OpenCV: 1 left-right, 0 upside down, -1 both
    image_hwc, label_hw = cv2.flip(image_hwc, code), cv2.flip(label_hw, code)
    if mirrored is not None and code >= 0:
        label_hw = cv2.LUT(label_hw, mirrored)
    return image_hwc, label_hw


def scale_down(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    background: int | None = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Halves the picture about its centre; what it leaves free is black background.

    albumentations `Affine(scale=0.5)`, which fills with 0. Draws nothing.
    """
    del rng
    matrix = _about_centre(label_hw.shape, scale=SCALE)
    return _warp_affine(image_hwc, label_hw, matrix, cv2.BORDER_CONSTANT, _free(background))


def mask_dropout(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    background: int | None = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Blots out 1 to 5 parts, black in the image and background in the label.

    A part is a connected component (8 neighbours) of *one* class; two classes that
    touch are two parts. Background and ignored pixels are none. The number is drawn
    equally from 1..5 and then cut to the parts there are; where there are none, the
    example stays as it is.

    albumentations `MaskDropout(max_objects=5)`, with `skimage.measure.label` in 1.3,
    and OpenCV once per value in 1.4.24, which agree.
    """
    # A histogram is several times quicker than np.unique.
    pixels_of_class = cv2.calcHist([label_hw], [0], None, [256], [0, 256]).ravel()
    pixels_of_class[[_free(background), IGNORE_LABEL]] = 0
    parts: list[tuple[np.ndarray, int]] = []
    for label in np.flatnonzero(pixels_of_class):
        member_hw = (label_hw == label).view(np.uint8)
        count, component_hw = cv2.connectedComponents(member_hw, connectivity=8)
        parts += [(component_hw, component) for component in range(1, count)]
    wanted = int(rng.integers(1, MAX_DROPPED_COMPONENTS + 1))
    if not parts:
        return image_hwc, label_hw
    kept_hw = np.full(label_hw.shape, 255, np.uint8)
    for i in rng.choice(len(parts), min(wanted, len(parts)), replace=False):
        component_hw, component = parts[i]
        kept_hw[component_hw == component] = 0
    return (
        cv2.copyTo(image_hwc, kept_hw, np.zeros_like(image_hwc)),
        cv2.copyTo(label_hw, kept_hw, np.full_like(label_hw, _free(background))),
    )


def optical_distortion(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    mirrored: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Barrel or pincushion of a lens, edges mirrored (reflect-101).

    A pixel at distance r from the centre, x in widths and y in heights, shows what lay
    at r (1 + k r² + k r⁴), k uniform in ±0.05: the corners (r² = 1/2) move by up to
    3.75 % of their distance.

    albumentations `OpticalDistortion` in 1.3 and 1.4. Its shift of the centre, ±0.05
    rounded to whole pixels, is always 0 and left out. Its centre lies half a pixel
    beside the one that OpenCV maps onto, which blurs; here they are one.
    """
    k = rng.uniform(-MAX_DISTORTION, MAX_DISTORTION)
    height, width = label_hw.shape
    camera_33 = np.array(
        [[width, 0, (width - 1) / 2], [0, height, (height - 1) / 2], [0, 0, 1]], np.float32
    )
    # Fixed-point maps would be quicker, but OpenCV 5.0 rounds them up where it should
    # take the nearest.
    maps = cv2.initUndistortRectifyMap(
        camera_33,
        np.array([k, k, 0, 0], np.float32),
        None,
        camera_33,
        (width, height),
        cv2.CV_32FC1,
    )
    border = cv2.BORDER_REFLECT_101
    image_hwc = cv2.remap(image_hwc, *maps, cv2.INTER_LINEAR, borderMode=border)
    label_hw = cv2.remap(label_hw, *maps, cv2.INTER_NEAREST, borderMode=border)
    if mirrored is not None:
        label_hw = _exchange_beyond_edges(label_hw, maps, mirrored)
    return image_hwc, label_hw


def _free(background: int | None) -> int:
    """The label of pixels that show nothing."""
    return IGNORE_LABEL if background is None else background


def _about_centre(shape: tuple[int, ...], degrees: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Matrix [2, 3] that turns (anticlockwise) and scales about the centre of the frame.

    Pixels are points at whole coordinates, so that the centre of W of them is (W - 1) / 2.
    """
    height, width = shape
    return cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)


def _warp_affine(
    image_hwc: np.ndarray, label_hw: np.ndarray, matrix: np.ndarray, border: int, free: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Moves both by `matrix`; `border` is an OpenCV border mode, a constant one 0 and `free`."""
    size, nearest = label_hw.shape[::-1], cv2.INTER_NEAREST
    return (
        cv2.warpAffine(image_hwc, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border),
        cv2.warpAffine(
            label_hw, matrix, size, flags=nearest, borderMode=border, borderValue=(free,)
        ),
    )


def _exchange_beyond_edges(
    label_hw: np.ndarray, source: tuple[np.ndarray, np.ndarray], mirrored: np.ndarray
) -> np.ndarray:
    """Exchanges labels where reflect-101 has shown the mirror image of what lies inside.

    Args:
      label_hw: after sampling.
      source: x and y [H, W] in pixels, from where; outside of the frame they are reflected.
      mirrored: label in the mirror of every label.
    """
    reflections_hw = np.zeros(label_hw.shape, np.int32)
    for position_hw, side in zip(source, label_hw.shape[::-1], strict=True):
        distance_hw = np.rint(position_hw).astype(np.int32)
        reflections_hw += distance_hw < 0
        reflections_hw += np.maximum(np.abs(distance_hw) - 1, 0) // max(side - 1, 1)
    return np.where(reflections_hw % 2 == 1, mirrored[label_hw], label_hw)

"""How a picture of any size comes to the network's, and its label map back; without JAX.

- `stretch`: to the size, whatever the aspect ratio becomes (the reference's).
- `letterbox`: as large as it goes in whole, centred, with bars of grey where nothing is.
- `crop`: the largest part of the size's aspect ratio, centred; the rest is never seen.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.parsing import IGNORE_LABEL

RESIZES = ("stretch", "letterbox", "crop")
MAX_SIDE = 2**14
"""Pixels of a side of the network's input."""
GREY = 128
"""Of the bars of a letterbox, in every channel."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows_columns(self) -> tuple[slice, slice]:
        """An index for arrays [H, W, ...]."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


@dataclasses.dataclass(frozen=True)
class Placement:
    """Which part of a picture the network sees, and where in its input.

    Attributes:
      picture: (height, width) of the picture.
      size: (height, width) of the input.
      seen: of the picture; all of it but where it is cropped.
      filled: of the input, to which that is scaled; all of it but in a letterbox.
    """

    picture: tuple[int, int]
    size: tuple[int, int]
    seen: Box
    filled: Box

    def to_input(self, points_nyx: np.ndarray) -> np.ndarray:
        """Points of the picture, float [N, 2] of (y, x) in pixels, as points of the input.

        (0, 0) is the outer corner of the first pixel, whose centre is (0.5, 0.5).
        """
        points_nyx = np.asarray(points_nyx, np.float64)
        return (points_nyx - _corner(self.seen)) * self._scale() + _corner(self.filled)

    def to_picture(self, points_nyx: np.ndarray) -> np.ndarray:
        """The inverse of `to_input`; points in the bars come to lie beside the picture."""
        points_nyx = np.asarray(points_nyx, np.float64)
        return (points_nyx - _corner(self.filled)) / self._scale() + _corner(self.seen)

    def fit_image(self, image_hwc: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> the input [h, w, 3], bilinear, with bars of GREY."""
        return self._fit(image_hwc, cv2.INTER_LINEAR, GREY)

    def fit_labels(self, labels_hw: np.ndarray) -> np.ndarray:
        """uint8 [H, W] -> [h, w], the nearest label; bars are IGNORE_LABEL."""
        # OpenCV's INTER_NEAREST, up to half a pixel off, is what the reference stretches by.
        stretched = self.seen == _whole(self.picture) and self.filled == _whole(self.size)
        nearest = cv2.INTER_NEAREST if stretched else cv2.INTER_NEAREST_EXACT
        return self._fit(labels_hw, nearest, IGNORE_LABEL)

    def restore_labels(self, labels_hw: np.ndarray) -> np.ndarray:
        """uint8 [h, w] of the input -> [H, W] of the picture; unseen pixels are IGNORE_LABEL."""
        # Centres of pixels on centres, as the picture was brought to the network's size.
        return self._restore(labels_hw, cv2.INTER_NEAREST_EXACT, IGNORE_LABEL)

    def restore_scores(self, scores_hw: np.ndarray) -> np.ndarray:
        """float32 [h, w] of the input -> [H, W] of the picture, bilinear; unseen pixels are 0."""
        return self._restore(scores_hw, cv2.INTER_LINEAR, 0)

    def _fit(self, pixels: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
        return _moved(pixels, self.seen, self.filled, self.size, interpolation, fill)

    def _restore(self, pixels: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
        return _moved(pixels, self.filled, self.seen, self.picture, interpolation, fill)

    def _scale(self) -> np.ndarray:
        return np.array(
            [self.filled.height / self.seen.height, self.filled.width / self.seen.width]
        )


def place(picture: tuple[int, int], size: tuple[int, int], resize: str) -> Placement:
    """Where a picture comes to lie.

    Args:
      picture, size: (height, width) in pixels, of the picture and of the network's input.
      resize: one of RESIZES.

    Raises:
      ValueError: for another rule.
    """
    picture, size = as_size(picture), as_size(size)
    seen, filled = _whole(picture), _whole(size)
    if resize == "letterbox":
        filled = _centred(picture, size)
    elif resize == "crop":
        seen = _centred(size, picture)
    elif resize != "stretch":
        raise HiersegError(f"There is no resize rule {resize!r}; choose {', '.join(RESIZES)}.")
    return Placement(picture, size, seen, filled)


def as_size(side_or_sides: int | Sequence[int]) -> tuple[int, int]:
    """(height, width), of one side or of both."""
    if isinstance(side_or_sides, int):
        return side_or_sides, side_or_sides
    height, width = side_or_sides
    return height, width


def format_size(side_or_sides: int | Sequence[int]) -> str:
    """`320` of a square, else `192x256 (height x width)`."""
    height, width = as_size(side_or_sides)
    return str(height) if height == width else f"{height}x{width} (height x width)"


def nearest_multiple(side: int, stride: int) -> int:
    """The side nearest to this one that a network takes: a multiple of its stride, and not 0."""
    return max(stride, round(side / stride) * stride)


def _centred(shape: tuple[int, int], within: tuple[int, int]) -> Box:
    """The largest centred part of a size that has (nearly) the aspect ratio of `shape`."""
    scale = min(within[0] / shape[0], within[1] / shape[1])
    height, width = (
        min(most, max(1, round(side * scale))) for side, most in zip(shape, within, strict=True)
    )
    return Box((within[0] - height) // 2, (within[1] - width) // 2, height, width)


def _whole(size: tuple[int, int]) -> Box:
    return Box(0, 0, *size)


def _corner(box: Box) -> tuple[int, int]:
    return box.top, box.left


def _moved(
    pixels: np.ndarray, source: Box, target: Box, size: tuple[int, int], method: int, fill: int
) -> np.ndarray:
    """One box scaled to another one of a new array of a size, which is `fill` elsewhere."""
    part = cv2.resize(
        pixels[source.rows_columns], (target.width, target.height), interpolation=method
    )
    if target == _whole(size):
        return part
    canvas = np.full((*size, *part.shape[2:]), fill, part.dtype)
    canvas[target.rows_columns] = part
    return canvas

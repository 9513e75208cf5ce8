"""Small pictures for the page: photographs, label maps over them, all as data URIs."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.colors import class_colors
from hierseg_jax.data.decode import read_image, read_mask
from hierseg_jax.hierarchy import Level
from hierseg_jax.inspection.examine import Examined

# Longer side on the page, in pixels.
SIDE = 320
_PHOTO_SHARE = 0.45


def choose_examples(present_nc: np.ndarray, most: int) -> list[int]:
    """Examples that together show as many classes as possible, then some from all over.

    Args:
      present_nc: bool [N, C], whether an example has a class.
      most: how many, where there are so many.
    """
    chosen: list[int] = []
    left_c = present_nc.any(0)
    while left_c.any() and len(chosen) < most:
        chosen.append(int((present_nc & left_c).sum(1).argmax()))
        left_c &= ~present_nc[chosen[-1]]
    left = [index for index in range(len(present_nc)) if index not in chosen]
    fill = min(most - len(chosen), len(left))
    return chosen + [left[i] for i in np.linspace(0, len(left) - 1, fill).astype(int)]


def photograph(example: Examined) -> np.ndarray:
    """The image, small: uint8 RGB [h, w, 3], its longer side at most `SIDE`.

    Raises:
      ValueError, OSError: it has changed since and can't be read.
    """
    image_hwc = read_image(example.pair.image)
    return cv2.resize(image_hwc, _small(image_hwc), interpolation=cv2.INTER_AREA)


def label_map(example: Examined) -> np.ndarray:
    """The leaf classes of an example, small: uint8 [h, w].

    Raises:
      ValueError, OSError: the mask has changed since and can't be read.
    """
    label_hw = np.ascontiguousarray(read_mask(example.pair.mask), np.uint8)
    return cv2.resize(label_hw, _small(label_hw), interpolation=cv2.INTER_NEAREST)


def paint(label_hw: np.ndarray, level: Level) -> np.ndarray:
    """A map of leaf classes in the colours of a level: uint8 RGB [h, w, 3]."""
    colors = class_colors(256)  # of which that of 255 is PASCAL VOC's for ignored pixels
    colors[: len(level.leaf_to_class)] = colors[level.leaf_to_class]
    return colors[label_hw]


def overlay(image_hwc: np.ndarray, label_hw: np.ndarray, level: Level) -> np.ndarray:
    """A level's colours over the photograph; the background stays as it is."""
    share = _PHOTO_SHARE
    mixed = cv2.addWeighted(image_hwc, share, paint(label_hw, level), 1 - share, 0)
    return np.where((label_hw > 0)[..., None], mixed, image_hwc)


def data_uri(image_hwc: np.ndarray, suffix: str = ".jpg") -> str:
    """A picture, uint8 RGB [h, w, 3], as the address of an <img>."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else []
    _, data = cv2.imencode(suffix, cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR), options)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def presence(examples: Sequence[Examined]) -> np.ndarray:
    """Which leaf classes, background included, an example has: bool [N, C]."""
    return np.stack([example.counts_c[:-1] > 0 for example in examples])


def _small(array: np.ndarray) -> tuple[int, int]:
    """(width, height), for OpenCV; images smaller than `SIDE` keep their size."""
    height, width = array.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))

"""Small pictures for a page, as data URIs: photographs, and label maps over them."""

import base64
import dataclasses

import cv2
import numpy as np

from hierseg_jax.reports.overlay import hatch, label_colors, leaf_colors, overlay
from hierseg_jax.tree.hierarchy import Level

_PHOTO_SHARE = 0.45


@dataclasses.dataclass(frozen=True)
class Picture:
    """An <img> with a line under it.

    Attributes:
      uri: its address.
      alt: what is told of it where it isn't seen.
      caption: the line.
    """

    uri: str
    alt: str
    caption: str


def overlaid(
    image_hwc: np.ndarray, label_hw: np.ndarray, level: Level, classes_l: np.ndarray | None = None
) -> np.ndarray:
    """A level's colours over the photograph; a background stays as it is.

    Args:
      image_hwc: uint8 RGB [H, W, 3].
      label_hw: uint8 [H, W].
      level: of the tree.
      classes_l: at the level, of every label, where groups are labelled as well; they are
        hatched where they are unknown.
    """
    painted_hw = None if level.background is None else label_hw
    if classes_l is None:
        return overlay(image_hwc, label_hw, leaf_colors(level), _PHOTO_SHARE, painted_hw)
    colors = label_colors(classes_l, level.background)
    drawn = overlay(image_hwc, label_hw, colors, _PHOTO_SHARE, painted_hw)
    hatch(drawn, image_hwc, label_hw, classes_l)
    return drawn


def data_uri(image_hwc: np.ndarray, suffix: str = ".jpg") -> str:
    """A picture, uint8 RGB [h, w, 3], as the address of an <img>."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else []
    _, data = cv2.imencode(suffix, cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR), options)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"

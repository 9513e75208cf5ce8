"""Small pictures for a page, as data URIs: photographs, and label maps over them."""

import base64
import dataclasses

import cv2
import numpy as np

from hierseg_jax.reports.overlay import overlay

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


def overlaid(image_hwc: np.ndarray, label_hw: np.ndarray, colors_k3: np.ndarray) -> np.ndarray:
    """The colours of labels over the photograph; the background stays as it is."""
    return overlay(image_hwc, label_hw, colors_k3, _PHOTO_SHARE, painted_hw=label_hw)


def data_uri(image_hwc: np.ndarray, suffix: str = ".jpg") -> str:
    """A picture, uint8 RGB [h, w, 3], as the address of an <img>."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else []
    _, data = cv2.imencode(suffix, cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR), options)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"

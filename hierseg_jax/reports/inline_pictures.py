"""Small pictures for a page, as data URIs."""

import base64
import dataclasses

import cv2
import numpy as np


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


def data_uri(image_hwc: np.ndarray, suffix: str = ".jpg") -> str:
    """A picture, uint8 RGB [h, w, 3], as the address of an <img>."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else []
    _, data = cv2.imencode(suffix, cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR), options)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"

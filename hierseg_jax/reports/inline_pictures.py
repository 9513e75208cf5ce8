"""Small pictures for a page: label maps over photographs, as data URIs, and what colours mean."""

import base64

import cv2
import numpy as np

from hierseg_jax.reports.document import breakable, escaped
from hierseg_jax.tree.colors import class_colors
from hierseg_jax.tree.hierarchy import Level

# Longer side on the page, in pixels.
SIDE = 320
_PHOTO_SHARE = 0.45


def small_size(array: np.ndarray) -> tuple[int, int]:
    """(width, height), for OpenCV, of [H, W, ...]; what is smaller than `SIDE` keeps its size."""
    height, width = array.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrink_image(image_hwc: np.ndarray) -> np.ndarray:
    """A photograph, uint8 [H, W, 3], small."""
    return cv2.resize(image_hwc, small_size(image_hwc), interpolation=cv2.INTER_AREA)


def shrink_labels(label_hw: np.ndarray) -> np.ndarray:
    """A label map, uint8 [H, W], small."""
    return cv2.resize(label_hw, small_size(label_hw), interpolation=cv2.INTER_NEAREST)


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


def picture(uri: str, alt: str, caption: str) -> str:
    """An <img> with a line under it; both texts are plain."""
    return (
        f'<div><img src="{uri}" alt="{escaped(alt)}" loading="lazy">'
        f"<span>{escaped(caption)}</span></div>"
    )


def css_colors(num_classes: int) -> list[str]:
    """The classes' colours as a style writes them."""
    return ["#{:02x}{:02x}{:02x}".format(*color) for color in class_colors(num_classes).tolist()]


def class_name(color: str, name: str) -> str:
    """A class in a table: its colour, its name."""
    return (
        f'<span class="class"><span class="swatch" style="background:{color}"></span>'
        f"<span>{breakable(name)}</span></span>"
    )


def legend(level: Level) -> str:
    """What a level's colours mean, without the background, which is not painted."""
    named = list(zip(css_colors(level.num_classes), level.class_names, strict=True))[1:]
    items = "".join(
        f'<li><span class="swatch" style="background:{color}"></span>{escaped(name)}</li>'
        for color, name in named
    )
    return f'<p class="soft">{escaped(level.name)}</p><ul class="legend">{items}</ul>'

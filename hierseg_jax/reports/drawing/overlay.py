"""Label maps in colours over photographs: more paint than picture, and a thin outline."""

import dataclasses

import cv2
import numpy as np

from hierseg_jax.tree.colors import IGNORED
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.level import Level

PHOTO_SHARE = 0.4
STRIP = 2**16
"""Pixels that are mixed at a time: what they pass through stays in a processor's cache."""
# Below paint black and white come nearer to each other, to these greys where it is full: on black
# or white as they are, many classes would look more like another's swatch than like their own.
_DARKEST, _LIGHTEST = 107, 203
# Of an outline, along a picture's shorter side.
_OUTLINES = 400
# Of a group's hatching, along a picture's longer side.
_STRIPES = 48


@dataclasses.dataclass(frozen=True, eq=False)
class Paint:
    """How the values of a map are painted.

    Attributes:
      colors_k3: uint8 RGB [256, 3].
      painted_k: uint8 [256], 0 of those where the photograph stays as it is.
    """

    colors_k3: np.ndarray
    painted_k: np.ndarray


def paint_of(level: Level) -> Paint:
    """Of a map of a level's classes: all but a background, and nothing that has no class."""
    colors_k3, painted_k = np.zeros((256, 3), np.uint8), np.zeros(256, np.uint8)
    colors_k3[: level.num_classes] = level.colors
    painted_k[level.foreground.start : level.num_classes] = 1
    return Paint(colors_k3, painted_k)


def overlaid(
    image_hwc: np.ndarray, label_hw: np.ndarray, hierarchy: Hierarchy, k: int
) -> np.ndarray:
    """Labels at a level over the photograph, as reports and samples show them.

    A background stays as it is, ignored pixels are pale, and groups are hatched at the levels
    where their class is unknown.

    Args:
      image_hwc: uint8 RGB [H, W, 3].
      label_hw: uint8 [H, W], leaf classes and, with `inner_labels`, groups.
      hierarchy: of the labels.
      k: the level's number.

    Returns:
      uint8 RGB [H, W, 3].
    """
    labels, paint = hierarchy.labels, paint_of(hierarchy.levels[k])
    unknown_l = np.flatnonzero(labels.classes_kl[k] == IGNORE_LABEL)
    # What has no class at the level keeps its label, which is that of no class there.
    to_region = labels.table(k)
    to_region[unknown_l] = unknown_l
    paint.colors_k3[unknown_l] = labels.colors[unknown_l]
    paint.colors_k3[IGNORE_LABEL] = IGNORED
    paint.painted_k[[*unknown_l, IGNORE_LABEL]] = 1
    region_hw = cv2.LUT(label_hw, to_region)
    drawn_hwc = overlay(image_hwc, region_hw, paint)
    if len(unknown_l):
        stripes_hw = _stripes(np.isin(region_hw, unknown_l))
        drawn_hwc[stripes_hw] = image_hwc[stripes_hw] // 2 + 128
    return drawn_hwc


def _stripes(unknown_hw: np.ndarray) -> np.ndarray:
    period = max(4, max(unknown_hw.shape) // _STRIPES)
    row_h1, column_1w = np.ogrid[: unknown_hw.shape[0], : unknown_hw.shape[1]]
    return unknown_hw & (2 * ((row_h1 + column_1w) % period) >= period)


def overlay(
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    paint: Paint,
    *,
    bgr: bool = False,
    photo_share: float = PHOTO_SHARE,
    out_hwc: np.ndarray | None = None,
) -> np.ndarray:
    """Mixes colours into a photograph, and draws the borders between labels in full colour.

    What is painted loses its own hue, so that a class looks the same on red cloth as on blue, and
    some of its light and shade, so that it looks much the same on black as on white.

    Args:
      image_hwc: uint8 [H, W, 3].
      label_hw: uint8 [H, W].
      paint: of the labels.
      bgr: whether the image's channels are blue, green, red.
      photo_share: of the photograph in what is painted, beside the paint: 0 are colours alone, 1
        leaves the photograph as it is, without borders.
      out_hwc: where the result goes to, and that is returned; by default a new array.
    """
    out_hwc = np.empty_like(image_hwc) if out_hwc is None else out_hwc
    if photo_share == 1:
        out_hwc[:] = image_hwc
        return out_hwc
    paint_share = 1 - photo_share
    darkest, lightest = _DARKEST * paint_share, 255 + (_LIGHTEST - 255) * paint_share
    photo_factor = photo_share * (lightest - darkest) / 255
    colors_k3 = paint.colors_k3[:, ::-1] if bgr else paint.colors_k3
    colors_k1c = np.ascontiguousarray(colors_k3)[:, None]
    to_grey = cv2.COLOR_BGR2GRAY if bgr else cv2.COLOR_RGB2GRAY
    unpainted_k = 1 - paint.painted_k
    reach = outline_width(label_hw.shape)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    rows = max(1, STRIP // label_hw.shape[1])
    for top in range(0, len(label_hw), rows):
        strip_hw = label_hw[top : top + rows]
        out_hwc[top : top + rows] = image_hwc[top : top + rows]
        left, first, width, height = cv2.boundingRect(cv2.LUT(strip_hw, paint.painted_k))
        if not width:
            continue
        # Whatever lies outside of it is photograph; borders are told by labels a reach around it.
        box = slice(top + first, top + first + height), slice(left, left + width)
        above, before = min(box[0].start, reach), min(left, reach)
        near_hw = label_hw[
            box[0].start - above : box[0].stop + reach, left - before : box[1].stop + reach
        ]
        border_hw = cv2.morphologyEx(near_hw, cv2.MORPH_GRADIENT, around)
        border_hw = border_hw[above : above + height, before : before + width]
        photo_hwc, box_hw = image_hwc[box], label_hw[box]
        colors_hwc = cv2.applyColorMap(box_hw, colors_k1c)
        grey_hwc = cv2.cvtColor(cv2.cvtColor(photo_hwc, to_grey), cv2.COLOR_GRAY2RGB)
        mixed_hwc = cv2.addWeighted(
            grey_hwc, photo_factor, colors_hwc, paint_share, photo_share * darkest
        )
        mixed_hwc = cv2.copyTo(colors_hwc, border_hw, mixed_hwc)
        out_hwc[box] = cv2.copyTo(photo_hwc, cv2.LUT(box_hw, unpainted_k), mixed_hwc)
    return out_hwc


def outline_width(size: tuple[int, ...]) -> int:
    """Pixels of an outline, on either side of a border, in a picture of (height, width)."""
    return max(1, round(min(size) / _OUTLINES))

"""Label maps in colours over photographs."""

import cv2
import numpy as np

from hierseg_jax.tree.colors import class_colors
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Level

STRIP = 2**20
"""Pixels that are mixed at a time: three copies of a large picture would not fit beside it."""
# Of a group's hatching, along a picture's longer side.
_STRIPES = 48


def leaf_colors(level: Level) -> np.ndarray:
    """As `label_colors` of leaf classes alone."""
    return label_colors(level.leaf_to_class, level.background)


def label_colors(classes_l: np.ndarray, background: int | None = 0) -> np.ndarray:
    """By label its colour at a level: uint8 RGB [256, 3].

    That of its class there; a group whose class is unknown has one of its own. That of ignored
    pixels, 255, is PASCAL VOC's for them, a pale yellow.

    Args:
      classes_l: integer [labels], of a level, as in `Labels.classes_kl`.
      background: of the tree.
    """
    known_l = np.flatnonzero(classes_l != IGNORE_LABEL)
    colors = class_colors(256, background)
    colors[known_l] = colors[classes_l[known_l]]
    return colors


def hatch(
    drawn_hwc: np.ndarray, image_hwc: np.ndarray, label_hw: np.ndarray, classes_l: np.ndarray
) -> None:
    """Draws pale stripes over groups whose class is unknown.

    Args:
      drawn_hwc: uint8 [H, W, 3], a label map in colours; changed.
      image_hwc: uint8 [H, W, 3], the photograph, half of which is seen in the stripes.
      label_hw: uint8 [H, W].
      classes_l: as in `label_colors`.
    """
    stripes_hw = _stripes(label_hw, classes_l)
    drawn_hwc[stripes_hw] = image_hwc[stripes_hw] // 2 + 128


def _stripes(label_hw: np.ndarray, classes_l: np.ndarray) -> np.ndarray:
    unknown = np.zeros(256, bool)
    unknown[: len(classes_l)] = classes_l == IGNORE_LABEL
    period = max(4, max(label_hw.shape) // _STRIPES)
    row_h1, column_1w = np.ogrid[: label_hw.shape[0], : label_hw.shape[1]]
    return unknown[label_hw] & (2 * ((row_h1 + column_1w) % period) >= period)


def overlay(
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    colors_k3: np.ndarray,
    photo_share: float,
    painted_hw: np.ndarray | None = None,
) -> np.ndarray:
    """Mixes labels' colours into a photograph.

    Args:
      image_hwc: uint8 [H, W, 3].
      label_hw: uint8 [H, W].
      colors_k3: uint8 [256, 3], by label, in the image's order of channels.
      photo_share: of the photograph, 0 to 1.
      painted_hw: uint8 [H, W], 0 where the photograph stays as it is; everywhere mixed if None.
    """
    colors_k1c = np.ascontiguousarray(colors_k3)[:, None]
    drawn_hwc = np.empty_like(image_hwc)
    rows = max(1, STRIP // label_hw.shape[1])
    for top in range(0, len(label_hw), rows):
        strip = slice(top, top + rows)
        photo_hwc, colors_hwc = image_hwc[strip], cv2.applyColorMap(label_hw[strip], colors_k1c)
        mixed_hwc = cv2.addWeighted(photo_hwc, photo_share, colors_hwc, 1 - photo_share, 0)
        if painted_hw is not None:
            mixed_hwc = cv2.copyTo(mixed_hwc, painted_hw[strip], photo_hwc.copy())
        drawn_hwc[strip] = mixed_hwc
    return drawn_hwc

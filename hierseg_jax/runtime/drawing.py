"""Label maps over pictures, with a legend."""

import cv2
import numpy as np

from hierseg_jax.colors import class_colors
from hierseg_jax.hierarchy import Level

PHOTO_SHARE = 0.7
# Of the picture's height, at most.
LEGEND_SHARE = 0.6
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_level(image_bgr: np.ndarray, labels_hw: np.ndarray, level: Level) -> np.ndarray:
    """A level's classes in their colours, 0.3 of them over 0.7 of the picture, and a legend.

    Args:
      image_bgr: uint8 [H, W, 3].
      labels_hw: uint8 [H, W], classes of `level`; the background stays as it is, and so do
        pixels that the network never saw (255).
      level: for names and colours.

    Returns:
      uint8 BGR [H, W, 3].
    """
    table = np.zeros((256, 1, 3), np.uint8)
    table[: level.num_classes, 0] = class_colors(level.num_classes)[:, ::-1]
    colors_bgr = cv2.applyColorMap(labels_hw, table)
    mixed = cv2.addWeighted(image_bgr, PHOTO_SHARE, colors_bgr, 1 - PHOTO_SHARE, 0)
    painted_hw = cv2.inRange(labels_hw, 1, level.num_classes - 1)
    drawn = cv2.copyTo(mixed, painted_hw, image_bgr.copy())
    _draw_legend(drawn, level, table[:, 0])
    return drawn


def side_by_side(panels_bgr: list[np.ndarray]) -> np.ndarray:
    """Panels of one size in a row."""
    return panels_bgr[0] if len(panels_bgr) == 1 else np.hstack(panels_bgr)


def _draw_legend(image_bgr: np.ndarray, level: Level, colors_bgr: np.ndarray) -> None:
    """Top left, in letters of the picture's size; what finds no room is counted."""
    height, width = image_bgr.shape[:2]
    scale = min(max(min(height, width) / 700, 0.4), 2.0)
    line = round(30 * scale)
    thickness = max(1, round(scale * 1.5))
    names = level.class_names[1:]
    room = max(0, round(LEGEND_SHARE * height) // line - 1)
    if len(names) > room:
        names = names[: max(0, room - 1)]
    left_out = level.num_classes - 1 - len(names)
    texts = [level.name, *names, *([f"+ {left_out}"] if left_out else [])]
    sizes = [cv2.getTextSize(text, _FONT, scale * 0.75, thickness)[0][0] for text in texts]
    box = (min(width, line + max(sizes) + line // 2), min(height, line * len(texts) + line // 3))
    corner = image_bgr[: box[1], : box[0]]
    corner[:] = corner // 3  # darker, so that the letters can be read on anything
    for row, text in enumerate(texts):
        baseline = line * (row + 1) - line // 5
        if 0 < row <= len(names):
            top_left = (line // 4, baseline - line // 2)
            bottom_right = (line // 4 + line // 2, baseline)
            color = tuple(map(int, colors_bgr[row]))
            cv2.rectangle(image_bgr, top_left, bottom_right, color, cv2.FILLED)
        x = line if row else line // 4
        white = (255, 255, 255)
        cv2.putText(
            image_bgr, text, (x, baseline), _FONT, scale * 0.75, white, thickness, cv2.LINE_AA
        )

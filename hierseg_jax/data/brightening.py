"""Dark pictures made as bright as those that a network has learned from, before it sees them.

A table takes every channel's values to others, so that programs in other languages find the same
bytes (docs/export.md). Files tell how bright: bridge/training_light.py.
"""

import cv2
import numpy as np

PERCENT = 97
"""Of the pixels, which are no brighter than a picture's light; the others may be a lamp."""
BRIGHT = 200
"""Of 255, the most that a picture is brought to."""
LEAST = 25
"""What is taken for less: 8 times as bright, at most, or there would be noise."""
_VALUES = np.arange(256)


def rule(to: int) -> dict[str, int]:
    """As files tell it."""
    return {"percent": PERCENT, "to": to, "least": LEAST}


def light(picture_hwc: np.ndarray) -> int:
    """The least value, 0..255, that the brightest channel of PERCENT of the pixels does not exceed.

    Args:
      picture_hwc: uint8 [h, w, 3], at the network's size and without bars.
    """
    red_hw, green_hw, blue_hw = cv2.split(picture_hwc)
    brightest_hw = cv2.max(cv2.max(red_hw, green_hw), blue_hw)
    counts = cv2.calcHist([brightest_hw], [0], None, [256], [0, 256]).ravel()
    no_brighter = counts.astype(np.int64).cumsum()
    return int(np.argmax(100 * no_brighter >= PERCENT * brightest_hw.size))


def brightening(picture_hwc: np.ndarray, to: int) -> np.ndarray:
    """What each value of a picture becomes: uint8 [256], itself where the picture is bright.

    Args:
      picture_hwc: as `light` takes it.
      to: the light that it is brought to, more than LEAST and up to 255.
    """
    found = light(picture_hwc)
    if found >= to:
        return _VALUES.astype(np.uint8)
    found = max(LEAST, found)
    return np.minimum((to * _VALUES + found // 2) // found, 255).astype(np.uint8)


def brightened(picture_hwc: np.ndarray, table: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3] by a table of `brightening`; the picture itself where none changes."""
    return picture_hwc if (table == _VALUES).all() else cv2.LUT(picture_hwc, table)

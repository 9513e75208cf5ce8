"""Dark pictures made as bright as photographs are, before a network sees them.

A table takes every channel's values to others, so that programs in other languages find the same
bytes (docs/export.md). Files tell whether they want it: `hierseg export --brighten`.
"""

import cv2
import numpy as np

from hierseg_jax.data.resize import Box

PERCENT = 97
"""Of the pixels, which are no brighter than what comes to BRIGHT; the others may be a lamp."""
BRIGHT = 200
"""Of 255, what the brightest channel of these pixels comes to, at least."""
LEAST = 25
"""What is taken for it where it is less: 8 times as bright, at most, or there would be noise."""
RULE = {"percent": PERCENT, "to": BRIGHT, "least": LEAST}
"""As files tell it."""
_VALUES = np.arange(256)


def brightening(picture_hwc: np.ndarray) -> np.ndarray:
    """What each value of a picture becomes: uint8 [256], itself where the picture is bright.

    Args:
      picture_hwc: uint8 [h, w, 3], at the network's size and without bars.
    """
    red_hw, green_hw, blue_hw = cv2.split(picture_hwc)
    brightest_hw = cv2.max(cv2.max(red_hw, green_hw), blue_hw)
    counts = cv2.calcHist([brightest_hw], [0], None, [256], [0, 256]).ravel()
    no_brighter = counts.astype(np.int64).cumsum()
    level = max(LEAST, int(np.argmax(100 * no_brighter >= PERCENT * brightest_hw.size)))
    if level >= BRIGHT:
        return _VALUES.astype(np.uint8)
    return np.minimum((BRIGHT * _VALUES + level // 2) // level, 255).astype(np.uint8)


def brightened(input_hwc: np.ndarray, filled: Box, table: np.ndarray | None) -> np.ndarray:
    """A network's input with its picture brightened, and its bars as they are.

    Args:
      input_hwc: uint8 [h, w, 3]; it is not changed.
      filled: where in it the picture is.
      table: of `brightening`; by default of this picture.
    """
    picture_hwc = input_hwc[filled.rows_columns]
    if table is None:
        table = brightening(picture_hwc)
    if (table == _VALUES).all():
        return input_hwc
    lit_hwc = input_hwc.copy()
    lit_hwc[filled.rows_columns] = cv2.LUT(picture_hwc, table)
    return lit_hwc

"""Masks that fall into many tiny pieces."""

from collections.abc import Iterable

import cv2
import numpy as np

# A piece is a speck up to this share of the mask, or this many pixels.
SPECK_SHARE, SPECK_PIXELS = 1 / 20_000, 4
# Specks in a mask from which on it is named.
MANY_SPECKS = 50


def speck_area(pixels: int) -> int:
    """Pixels up to which a connected piece is a speck, in a mask of so many."""
    return max(SPECK_PIXELS, int(pixels * SPECK_SHARE))


def count_specks(label_hw: np.ndarray, classes: Iterable[int]) -> int:
    """Connected pieces (8 neighbours) of one class each that are no larger than a speck.

    Args:
      label_hw: uint8 [H, W].
      classes: that occur; others are not looked at.
    """
    area = speck_area(label_hw.size)
    specks = 0
    for index in classes:
        of_class_hw = cv2.inRange(label_hw, index, index)
        *_, stats, _ = cv2.connectedComponentsWithStats(of_class_hw, connectivity=8)
        # The first component is all that is not of the class.
        specks += int((stats[1:, cv2.CC_STAT_AREA] <= area).sum())
    return specks

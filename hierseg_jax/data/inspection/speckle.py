"""Masks that fall into many tiny pieces."""

from collections.abc import Iterable

import cv2
import numpy as np

# A piece is a speck up to this share of the mask, or this many pixels.
SPECK_SHARE, SPECK_PIXELS = 1 / 20_000, 4
# Specks in a mask from which on it is named. Masks drawn by hand have a few; 850 of
# photographs, made by merging superpixels, had 9 at most.
MANY_SPECKS = 50


def speck_area(pixels: int) -> int:
    """Pixels up to which a connected piece is a speck, in a mask of so many."""
    return max(SPECK_PIXELS, int(pixels * SPECK_SHARE))


def count_specks(label_hw: np.ndarray, classes: Iterable[int]) -> int:
    """Connected pieces (8 neighbours) of one class each that are no larger than a speck.

    Args:
      label_hw: uint8 [H, W].
      classes: those that occur and are to be looked at; OpenCV crashes on empty pictures.
    """
    area = speck_area(label_hw.size)
    specks = 0
    for index in classes:
        of_class_hw = cv2.inRange(label_hw, index, index)
        x, y, width, height = cv2.boundingRect(of_class_hw)
        # Counting pixels here takes a third of the time of OpenCV's statistics.
        _, pieces_hw = cv2.connectedComponents(
            of_class_hw[y : y + height, x : x + width], connectivity=8
        )
        # Piece 0 is all that is not of the class.
        specks += int((np.bincount(pieces_hw.ravel())[1:] <= area).sum())
    return specks

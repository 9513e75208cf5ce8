"""What pixels become where a picture comes to another size. Their centres lie at half-integers.

- `exact`: bilinear about the centres of pixels. A side that shrinks by more than 2 comes bilinearly
  to the least multiple of its new length that is at least half of the old one, and then down to
  its length by means of that many pixels. Every class of the labels is sampled like a picture;
  a pixel gets the one that has most of it.
- `reference`: as the PyTorch reference has it. Bilinear however much a picture shrinks. The nearest
  label; under `stretch`, or where a picture has the network's aspect ratio, by the corners of
  pixels, which moves labels by up to half a pixel of the network.
"""

import cv2
import numpy as np

SAMPLINGS = ("exact", "reference")


def sampled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pictures by the sampling `exact`: uint8 [H, W] or [H, W, 3] at (width, height)."""
    # Bilinear sampling steps over pixels where it shrinks by more than 2.
    counts = [
        max(1, -(-side // (2 * new))) for side, new in zip(pixels.shape[1::-1], size, strict=True)
    ]
    between = cv2.resize(pixels, (size[0] * counts[0], size[1] * counts[1]))
    if counts == [1, 1]:
        return between
    return cv2.resize(between, size, interpolation=cv2.INTER_AREA)


def voted(labels_hw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels by the sampling `exact`: uint8 [H, W] at (width, height).

    Each is the class that has most of its pixel. Where two have the same, the lower one gets every
    other pixel: shapes neither move nor grow.
    """
    if labels_hw.shape == size[::-1]:
        return labels_hw.copy()
    present = np.flatnonzero(cv2.calcHist([labels_hw], [0], None, [256], [0, 256])).tolist()
    rows, columns = np.ogrid[: size[1], : size[0]]
    odd_hw = ((rows + columns) % 2).astype(np.uint8)
    label_hw = np.full(size[::-1], present[0], np.uint8)
    best_hw = sampled(cv2.inRange(labels_hw, present[0], present[0]), size)
    for index in present[1:]:
        share_hw = sampled(cv2.inRange(labels_hw, index, index), size)
        # In whole numbers x > best - 1 is x >= best; nothing is below 0.
        won_hw = share_hw > cv2.subtract(best_hw, odd_hw)
        np.copyto(label_hw, np.uint8(index), where=won_hw)
        best_hw = np.maximum(best_hw, share_hw)
    return label_hw


def nearest(labels_hw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The label in which a pixel's centre lies: [H, W] of the same type, at (width, height).

    Of two that meet at the centre the one below or to the right. OpenCV's INTER_NEAREST_EXACT
    takes either there, and other ones in version 5 than in version 4.
    """
    columns, rows = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(labels_hw.shape[::-1], size, strict=True)
    )
    if labels_hw.shape[0] > len(rows):  # the fewer rows, the less to do along them
        return labels_hw.take(rows, 0).take(columns, 1)
    return labels_hw.take(columns, 1).take(rows, 0)

"""Masks whose edges run through values in between, as those of photographs do."""

import cv2
import numpy as np

# The least step from one value to another, for a third to fit between them.
STEP = 2
# Of the pixels at edges, the share between from which on a mask is named, and their least number.
# 43 masks of photographs had 2 % at most, and 9 % of every fourth pixel; scaled with interpolation
# or stored as JPEG, whether of 2, 7 or 59 classes or of colours, 16 % and more.
SHARE, LEAST = 1 / 8, 50


def find_blur(values_hw: np.ndarray) -> tuple[int, float] | None:
    """Pixels at edges with a value between those around them, and their share; None for few.

    Where two regions meet, a pixel of a mask has the value of one of them. Interpolation and lossy
    compression put values between, which mean other classes. In a mask that is in order only
    pixels where three regions meet, and regions as thin as a line, look like that.

    Args:
      values_hw: uint8 [H, W], or uint8 [H, W, 4] of colours, each channel of which counts.
    """
    kernel = np.ones((3, 3), np.uint8)
    least, most = cv2.erode(values_hw, kernel), cv2.dilate(values_hw, kernel)
    between = (values_hw > least) & (values_hw < most)
    count = int(np.count_nonzero(between))
    if count < LEAST:
        return None
    share = count / int(np.count_nonzero(cv2.subtract(most, least) >= STEP))
    return (count, share) if share >= SHARE else None


def as_bytes(mask_hw: np.ndarray, *, colours: bool) -> np.ndarray:
    """A mask as it is stored, integers [H, W], as `find_blur` takes it.

    Args:
      mask_hw: numbers; those that are not from 0 to 255 become 255.
      colours: whether they are int32, 0xRRGGBB.
    """
    if colours:
        return np.ascontiguousarray(mask_hw, np.int32).view(np.uint8).reshape(*mask_hw.shape, 4)
    if mask_hw.dtype == np.uint8:
        return np.ascontiguousarray(mask_hw)
    return np.where((mask_hw < 0) | (mask_hw > 255), 255, mask_hw).astype(np.uint8)

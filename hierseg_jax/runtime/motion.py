"""Where the pixels of a video's frame were in the frame before, and how well the two agree.

The flow is OpenCV's DIS (Kroeger, Timofte, Dai and Van Gool, "Fast Optical Flow using Dense
Inverse Search", ECCV 2016).
"""

from typing import NamedTuple

import cv2
import numpy as np

# Steps of 255: where what is there differs by as much from what was there, trust is 1/e.
_APART = 12.0
# Pixels along each side that are compared together, and within which there is something to see.
_SIDE = 3
# Steps of 255 within which there is nothing to see.
_FLAT = 8
# DIS refuses smaller pictures.
_LEAST_SIDE = 12


class Motion(NamedTuple):
    """From a frame back to the one before, by pixels of h x w.

    Attributes:
      back_hw2: float32 [h, w, 2], from a pixel to where it was, (x, y) in pixels.
      trust_hw: float32 [h, w] in [0, 1]: 1 where both frames show the same, 0 where what is
        there now lay beyond the frame before.
    """

    back_hw2: np.ndarray
    trust_hw: np.ndarray

    def of_size(self, size: tuple[int, int]) -> "Motion":
        """The same by pixels of another (height, width)."""
        before = self.trust_hw.shape
        if size == before:
            return self
        scale = np.array([size[1] / before[1], size[0] / before[0]], np.float32)
        back_hw2, trust_hw = self.back_hw2 * scale, self.trust_hw
        return Motion(*(cv2.resize(each, size[::-1]) for each in (back_hw2, trust_hw)))

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y in the frame before, float32 [h, w], whole numbers at pixel centres."""
        y_hw, x_hw = np.indices(self.trust_hw.shape, np.float32)
        return x_hw + self.back_hw2[..., 0], y_hw + self.back_hw2[..., 1]


def grey_frame(given: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame as the network saw it, in grey, as motion is sought in.

    Args:
      given: the network's input, uint8 RGB [1, H, W, 3], or float32 [1, 3, H, W] in [0, 1].
      size: (height, width) of its scores.

    Returns:
      uint8 of that size, at most of half the input's: what is finer takes time and gains nothing.
    """
    rgb_hwc = given[0] if given.dtype == np.uint8 else given[0].transpose(1, 2, 0).copy()
    grey_hw = cv2.cvtColor(rgb_hwc, cv2.COLOR_RGB2GRAY)
    height, width = (
        min(side, -(-most // 2)) for side, most in zip(size, grey_hw.shape, strict=True)
    )
    grey_hw = cv2.resize(grey_hw, (width, height), interpolation=cv2.INTER_AREA)
    return grey_hw if grey_hw.dtype == np.uint8 else (255 * grey_hw + 0.5).astype(np.uint8)


def motion(before_hw: np.ndarray, now_hw: np.ndarray) -> Motion:
    """Of two grey frames, uint8 [h, w]. Those of less than 12 pixels a side stand still."""
    height, width = now_hw.shape
    found = Motion(_flow(before_hw, now_hw), np.ones(now_hw.shape, np.float32))
    x_hw, y_hw = found.places()
    steps_hw = cv2.absdiff(now_hw, moved(before_hw, x_hw, y_hw))
    apart_hw = cv2.blur(steps_hw.astype(np.float32), (_SIDE, _SIDE)) / _APART
    trust_hw = np.exp(-apart_hw * apart_hw)
    trust_hw[(x_hw < -0.5) | (x_hw > width - 0.5) | (y_hw < -0.5) | (y_hw > height - 0.5)] = 0
    return found._replace(trust_hw=trust_hw)


def moved(before_hw: np.ndarray, x_hw: np.ndarray, y_hw: np.ndarray) -> np.ndarray:
    """A plane of the frame before, uint8 or float32 [h, w], at the places of `Motion.places`.

    Bilinear, its ends repeated; of the places' shape, and the plane's dtype.
    """
    return cv2.remap(before_hw, x_hw, y_hw, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _flow(before_hw: np.ndarray, now_hw: np.ndarray) -> np.ndarray:
    """`Motion.back_hw2`."""
    if min(now_hw.shape) < _LEAST_SIDE:
        return np.zeros((*now_hw.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    # Halved where that leaves two of its patches of 8 pixels along the shorter side, and where it
    # has such a scale: log2(longer side / 32), rounded, is its coarsest. Else it chooses others by
    # the width, and reads beyond the memory of a strip.
    search.setFinestScale(int(min(now_hw.shape) >= 16 and max(now_hw.shape) >= 46))
    whole = np.ascontiguousarray(now_hw), np.ascontiguousarray(before_hw)  # it takes no views
    return search.calc(*whole, np.empty(0, np.float32))


def agreement(now_hw: np.ndarray, trust_hw: np.ndarray) -> float:
    """Mean trust of the pixels where there is something to see, 0 to 1; 1 where there is nothing.

    Of a grey frame, uint8 [h, w], and `Motion.trust_hw`. What is even in both frames, as black
    bars are, agrees after a cut, too.
    """
    steps_hw = cv2.morphologyEx(now_hw, cv2.MORPH_GRADIENT, np.ones((_SIDE, _SIDE), np.uint8))
    seen_hw = steps_hw > _FLAT
    return float(trust_hw[seen_hw].mean()) if seen_hw.any() else 1.0

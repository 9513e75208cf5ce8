"""Label maps in colours over photographs."""

import cv2
import numpy as np

STRIP = 2**20
"""Pixels that are mixed at a time: three copies of a large picture would not fit beside it."""


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

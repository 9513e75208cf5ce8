"""One colour a class, the same in every picture the project makes."""

import numpy as np


def class_colors(num_classes: int) -> np.ndarray:
    """PASCAL VOC's colours: the bits of the class index, spread over the channels.

    Returns:
      uint8 RGB [num_classes, 3]; class 0, the background, is black.
    """
    index = np.arange(num_classes)
    colors = np.zeros((num_classes, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((index >> channel) & 1) << (7 - bit)).astype(np.uint8)
        index >>= 3
    return colors


def css_colors(num_classes: int) -> list[str]:
    """The same as a style writes them: `#800000`."""
    return ["#{:02x}{:02x}{:02x}".format(*color) for color in class_colors(num_classes).tolist()]

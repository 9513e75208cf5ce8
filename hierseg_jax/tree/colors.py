"""One colour a class, the same in every picture the project makes."""

import numpy as np

from hierseg_jax.tree.parsing import IGNORE_LABEL


def class_colors(num_classes: int, background: int | None = 0) -> np.ndarray:
    """PASCAL VOC's colours: the bits of the class index, spread over the channels.

    Args:
      num_classes: at most 256.
      background: of the tree. Class 0 is black where it is that; without, every class has the
        colour of the next index, and no class is black but the 255th.

    Returns:
      uint8 RGB [num_classes, 3]; that of 255 is of ignored pixels.
    """
    index = np.arange(num_classes)
    if background is None:
        index = np.where(index < IGNORE_LABEL, (index + 1) % IGNORE_LABEL, index)
    colors = np.zeros((num_classes, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((index >> channel) & 1) << (7 - bit)).astype(np.uint8)
        index >>= 3
    return colors


def css_colors(num_classes: int, background: int | None = 0) -> list[str]:
    """The same as a style writes them: `#800000`."""
    colors = class_colors(num_classes, background).tolist()
    return ["#{:02x}{:02x}{:02x}".format(*color) for color in colors]

"""One colour a class, the same in every picture the project makes."""

import numpy as np

from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy


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


def label_colors(hierarchy: Hierarchy, level: int) -> np.ndarray:
    """Colours of labels as a level shows them: uint8 RGB [256, 3].

    A label has the colour of its class at the level. A group whose class is unknown there has the
    colour of its number among labels, which no class has. That of ignored pixels, 255, is PASCAL
    VOC's for them, a pale yellow.

    Args:
      hierarchy: of the labels.
      level: from 0, the coarsest.
    """
    colors = class_colors(256)
    class_l = hierarchy.labels.classes_kl[level]
    labels = np.flatnonzero(class_l != IGNORE_LABEL)
    colors[labels] = colors[class_l[labels]]
    return colors


def untold_labels(hierarchy: Hierarchy, level: int) -> list[int]:
    """Labels of groups whose class is unknown at a level, for its legend."""
    return np.flatnonzero(hierarchy.labels.classes_kl[level] == IGNORE_LABEL).tolist()

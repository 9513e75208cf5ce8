"""Predictions measured on the pictures' own pixels, where users look at them."""

import numpy as np

from hierseg_jax.tree.hierarchy import IGNORE_LABEL


def confusion_matrix(
    label_hw: np.ndarray, prediction_hw: np.ndarray, num_classes: int, num_labels: int | None = None
) -> np.ndarray:
    """Rows true, columns predicted: int64 [L, C]; IGNORE_LABEL in either is not counted.

    L labels are C classes by default, else as many as `hierarchy.labels` has.
    """
    num_labels = num_labels or num_classes
    counted_hw = (label_hw != IGNORE_LABEL) & (prediction_hw != IGNORE_LABEL)
    cells = label_hw[counted_hw].astype(np.int64) * num_classes + prediction_hw[counted_hw]
    counts = np.bincount(cells, minlength=num_labels * num_classes)
    return counts.reshape(num_labels, num_classes)


def unseen_pixels(label_hw: np.ndarray, prediction_hw: np.ndarray) -> int:
    """Labelled pixels that have no prediction, since a crop left them out."""
    return int(((label_hw != IGNORE_LABEL) & (prediction_hw == IGNORE_LABEL)).sum())

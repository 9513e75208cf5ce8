"""Predictions measured on the pictures' own pixels, where users look at them."""

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

_AT_ONCE = 1 << 20
"""Pixels, which take ten times as many bytes while they are counted."""


def confusion_matrix(
    label_hw: np.ndarray, prediction_hw: np.ndarray, num_classes: int, num_labels: int | None = None
) -> np.ndarray:
    """Rows true, columns predicted; as `confusion_matrices` of one picture, in NumPy.

    Args:
      label_hw: integer [H, W]; pixels labelled 255, or anything else outside of 0..L-1, are not
        counted.
      prediction_hw: integer [H, W], the same for 0..C-1.
      num_classes: C, a background included.
      num_labels: L, of `hierarchy.labels`; by default C.

    Returns:
      int64 [L, C].

    Raises:
      ValueError: a sentence, for arrays of other shapes or dtypes.
    """
    label_hw, prediction_hw = both = np.asarray(label_hw), np.asarray(prediction_hw)
    integers = all(np.issubdtype(array.dtype, np.integer) for array in both)
    if not integers or label_hw.ndim != 2 or prediction_hw.shape != label_hw.shape:
        given = " and ".join(f"{array.dtype} {array.shape}" for array in both)
        raise HiersegError(f"Labels and predictions are integers [height, width]; got {given}.")
    num_labels = num_labels or num_classes
    counts = np.zeros(num_labels * num_classes, np.int64)
    rows = max(1, _AT_ONCE // max(1, label_hw.shape[1]))
    for top in range(0, len(label_hw), rows):
        label_rw, prediction_rw = (array_hw[top : top + rows] for array_hw in both)
        counted_rw = (label_rw != IGNORE_LABEL) & (prediction_rw != IGNORE_LABEL)
        for array_rw, most in ((label_rw, num_labels), (prediction_rw, num_classes)):
            counted_rw &= (array_rw >= 0) & (array_rw < most)
        cells = label_rw[counted_rw].astype(np.int64) * num_classes + prediction_rw[counted_rw]
        counts += np.bincount(cells, minlength=len(counts))
    return counts.reshape(num_labels, num_classes)


def unseen_pixels(label_hw: np.ndarray, prediction_hw: np.ndarray) -> int:
    """Labelled pixels that have no prediction, since a crop left them out."""
    return int(((label_hw != IGNORE_LABEL) & (prediction_hw == IGNORE_LABEL)).sum())

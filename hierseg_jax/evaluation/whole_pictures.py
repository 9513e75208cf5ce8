"""Predictions measured on the pictures' own pixels, where users look at them."""

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL


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
    counted_hw = (label_hw != IGNORE_LABEL) & (prediction_hw != IGNORE_LABEL)
    for array_hw, most in ((label_hw, num_labels), (prediction_hw, num_classes)):
        counted_hw &= (array_hw >= 0) & (array_hw < most)
    cells = label_hw[counted_hw].astype(np.int64) * num_classes + prediction_hw[counted_hw]
    counts = np.bincount(cells, minlength=num_labels * num_classes)
    return counts.reshape(num_labels, num_classes)


def unseen_pixels(label_hw: np.ndarray, prediction_hw: np.ndarray) -> int:
    """Labelled pixels that have no prediction, since a crop left them out."""
    return int(((label_hw != IGNORE_LABEL) & (prediction_hw == IGNORE_LABEL)).sum())

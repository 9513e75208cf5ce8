"""Boundary IoU: how well the edges of classes are hit, where IoU sees mostly their insides.

Cheng et al., Boundary IoU, CVPR 2021 (arXiv 2103.16562): the IoU of those pixels of a truth and
of a prediction that lie within a distance of the class's own contour. As in the authors' code
the distance is 2 % of the picture's diagonal, counted in pixels along and across (a square, not
a disk), and the picture's edge is a contour too. Here pixels are counted over the whole split.
"""

import cv2
import numpy as np

from hierseg_jax.evaluation.picture_counts import ratio
from hierseg_jax.tree.hierarchy import Hierarchy

DISTANCE = 0.02
"""Of the diagonal."""


def boundary_counts(
    label_hw: np.ndarray, prediction_hw: np.ndarray, hierarchy: Hierarchy
) -> np.ndarray:
    """Pixels near contours, of every class at every level.

    Pixels of IGNORE_LABEL in either map do not count, and are no other class to their
    neighbours: no contour runs along them. The same holds for a pixel at the levels where its
    class is unknown.

    Args:
      label_hw, prediction_hw: uint8 [H, W], labels and leaf classes.
      hierarchy: of the labels.

    Returns:
      int64 [3, nodes]: pixels near a contour in both maps, in the truth, in the prediction;
      levels one after another, coarse to fine.
    """
    distance = max(1, round(DISTANCE * float(np.hypot(*label_hw.shape))))
    counts = []
    for k, level in enumerate(hierarchy.levels):
        # From 1, so that 0, which 255 becomes, is what is no class.
        table = hierarchy.labels.table(k) + np.uint8(1)
        true_hw, predicted_hw = (cv2.LUT(map_hw, table) for map_hw in (label_hw, prediction_hw))
        ignored_hw = (true_hw == 0) | (predicted_hw == 0)
        true_hw[ignored_hw] = predicted_hw[ignored_hw] = 0
        near_true_hw, near_predicted_hw = (
            _near_contour(classes_hw, distance) for classes_hw in (true_hw, predicted_hw)
        )
        both_hw = near_true_hw & near_predicted_hw & (true_hw == predicted_hw)
        counts.append(
            [
                np.bincount(classes, minlength=level.num_classes + 1)[1:]
                for classes in (
                    true_hw[both_hw],
                    true_hw[near_true_hw],
                    predicted_hw[near_predicted_hw],
                )
            ]
        )
    return np.concatenate(counts, axis=1).astype(np.int64)


def boundary_ious(counts_3k: np.ndarray, hierarchy: Hierarchy) -> dict[str, np.ndarray]:
    """Boundary IoU of every class, by level.

    Args:
      counts_3k: sums of `boundary_counts`.

    Returns:
      float64 [classes] in [0, 1] by level, coarse to fine; NaN for a class without contour.
    """
    both_k, true_k, predicted_k = np.asarray(counts_3k, np.float64)
    union_k = true_k + predicted_k - both_k
    iou_k = ratio(both_k, union_k)
    ends = np.cumsum([level.num_classes for level in hierarchy.levels])
    return dict(zip(hierarchy.level_names, np.split(iou_k, ends[:-1]), strict=True))


def _near_contour(classes_hw: np.ndarray, distance: int) -> np.ndarray:
    """Whether another class, or the outside, is within a distance; False where there is 0."""
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    # Ignored pixels must change neither the least nor the greatest class around.
    least_hw = cv2.erode(
        np.where(classes_hw == 0, np.uint8(255), classes_hw),
        square,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    greatest_hw = cv2.dilate(classes_hw, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return (classes_hw != 0) & ((least_hw != classes_hw) | (greatest_hw != classes_hw))

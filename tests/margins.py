"""What two computations of one network must agree on, whatever their rounding.

Where two classes score nearly alike, either may be chosen. Those pixels are left out, and numbers
that count them get the range that they leave open.
"""

import numpy as np

from hierseg_jax.tree.decoding import top_down

CLOSE = 2.5e-4
"""Scores, in [0, 1], that agree within 1e-4 may come in another order where they are nearer."""


def clear_choices(scores_hwc):
    """Where one class is clearly ahead of the others: bool [H, W]."""
    ordered = np.sort(scores_hwc, axis=-1)
    return ordered[..., -1] - ordered[..., -2] > CLOSE


def clear_descents(scores_hwc, hierarchy):
    """Where every choice from the coarsest level down is clear: bool [H, W]."""
    leaf_hw = top_down(list(np.moveaxis(scores_hwc, -1, 0)), hierarchy)
    clear_hw = np.ones(leaf_hw.shape, bool)
    for k, level in enumerate(hierarchy.levels):
        sums_hwl = scores_hwc @ np.eye(level.num_classes)[level.leaf_to_class]
        if k:
            above_hw = hierarchy.levels[k - 1].leaf_to_class[leaf_hw]
            sums_hwl = np.where(hierarchy.parents(k) == above_hw[..., None], sums_hwl, -1)
        clear_hw &= clear_choices(sums_hwl)
    return clear_hw


def miou_range(confusion_cc, level, unclear):
    """The least and the greatest mIoU of a level if `unclear` pixels may have any prediction.

    Args:
      confusion_cc: of leaf classes, rows true.
      level: of the tree; its background is not in the mean.
      unclear: number of pixels.
    """
    of_level = np.zeros((level.num_classes,) * 2, int)
    np.add.at(of_level, (level.leaf_to_class[:, None], level.leaf_to_class[None]), confusion_cc)
    right = np.diag(of_level)
    either = of_level.sum(0) + of_level.sum(1) - right
    if (either[1:] <= unclear).any():  # then even which classes have pixels is open
        return 0.0, 1.0
    least = np.maximum(right - unclear, 0) / (either + unclear)
    most = np.minimum((right + unclear) / np.maximum(either - unclear, 1), 1)
    return least[1:].mean(), most[1:].mean()

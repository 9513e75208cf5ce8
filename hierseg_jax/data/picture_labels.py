"""Labels at a picture's own size: scores are brought there, and only then decoded; without JAX.

What is brought there is the logarithm of a score. Of a flat head that is the same as its logits:
they differ by one number a pixel, which no choice between classes depends on.
"""

import cv2
import numpy as np

from hierseg_jax.data.resize import Placement
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import IGNORE_LABEL

FLOOR = -32.0
"""The least logarithm of a score; lower ones count as this."""
STEPS = 65535
"""`log_planes` has 0 for FLOOR and this for a score of 1: steps of 0.0005 in the logarithm."""


def log_planes(scores_chw: np.ndarray) -> np.ndarray:
    """float32 scores in [0, 1] -> uint16, linear in their logarithm."""
    logs_chw = np.log(np.maximum(scores_chw, np.float32(np.exp(FLOOR))))
    logs_chw *= np.float32(-STEPS / FLOOR)
    logs_chw += np.float32(STEPS + 0.5)
    return logs_chw.clip(0, STEPS).astype(np.uint16)


def scores_of(planes: np.ndarray) -> np.ndarray:
    """The inverse of `log_planes`: uint16 -> float32, to within a part in 4000."""
    return np.exp((planes.astype(np.float32) / STEPS - 1) * np.float32(-FLOOR))


def picture_labels(
    planes_chw: np.ndarray, placement: Placement, hierarchy: Hierarchy, decoding: str = "leaf"
) -> np.ndarray:
    """Leaf classes at the picture's size.

    Args:
      planes_chw: uint16 [C, h, w] of `log_planes`, of the network's input or a stride apart.
      placement: of the picture in that input.
      hierarchy: of the classes.
      decoding: of `decoding.DECODINGS`.

    Returns:
      uint8 [H, W]; IGNORE_LABEL where the network saw nothing.
    """
    if decoding == "top_down":
        scores = [scores_of(placement.seen_scores(plane_hw)) for plane_hw in planes_chw]
        label_hw = top_down(scores, hierarchy).astype(np.uint8)
    else:
        label_hw = _first_largest(planes_chw, placement)
    return placement.within_picture(label_hw, IGNORE_LABEL)


def _first_largest(planes_chw: np.ndarray, placement: Placement) -> np.ndarray:
    """The first class with the greatest score, plane by plane, in place where it can be."""
    best_hw = placement.seen_scores(planes_chw[0])
    label_hw = np.zeros(best_hw.shape, np.uint8)
    won_hw = np.empty_like(label_hw)
    for index in range(1, len(planes_chw)):
        score_hw = placement.seen_scores(planes_chw[index])
        cv2.compare(score_hw, best_hw, cv2.CMP_GT, won_hw)  # 255 where it is greater
        # A later class has the greater number: the maximum of both puts it in place.
        np.minimum(won_hw, np.uint8(index), out=won_hw)
        cv2.max(label_hw, won_hw, label_hw)
        cv2.max(best_hw, score_hw, best_hw)
    return label_hw

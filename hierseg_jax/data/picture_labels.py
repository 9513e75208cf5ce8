"""Labels at a picture's own size: scores are brought there, and only then decoded; without JAX.

What is brought there is the logarithm of a score. Of a flat head that is the same as its logits:
they differ by one number a pixel, which no choice between classes depends on.
"""

import math
import threading
from typing import NamedTuple

import cv2
import numpy as np

from hierseg_jax.data.resize import Placement
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import IGNORE_LABEL

FLOOR = -32.0
"""The least logarithm of a score; lower ones count as this."""
STEPS = 65535
"""`log_planes` has 0 for FLOOR and this for a score of 1: steps of 0.0005 in the logarithm."""


def floored_logs(scores: np.ndarray) -> np.ndarray:
    """float32 scores in [0, 1] -> their logarithms, FLOOR at least; NaN counts as 0."""
    return np.log(np.fmax(scores, np.float32(np.exp(FLOOR))))


def log_planes(scores_chw: np.ndarray) -> np.ndarray:
    """float32 scores in [0, 1] -> uint16, linear in their logarithm."""
    logs_chw = floored_logs(scores_chw)
    logs_chw *= np.float32(-STEPS / FLOOR)
    logs_chw += np.float32(STEPS + 0.5)
    return logs_chw.clip(0, STEPS).astype(np.uint16)


def scores_of(planes: np.ndarray) -> np.ndarray:
    """The inverse of `log_planes`: uint16 -> float32, to within a part in 4000."""
    return np.exp((planes.astype(np.float32) / STEPS - 1) * np.float32(-FLOOR))


class Workspace(threading.local):
    """Memory that `picture_labels` works in, kept for the next picture of the same size.

    Fresh memory costs more than all that is computed in it. Every thread has its own.
    """

    def __init__(self) -> None:
        self._arrays = _work_arrays((0, 0))

    def arrays(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a shape, with anything in them: uint16, uint16 and uint8."""
        if self._arrays[0].shape != shape:
            self._arrays = _work_arrays(shape)
        return self._arrays


def _work_arrays(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.empty(shape, np.uint16), np.empty(shape, np.uint16), np.empty(shape, np.uint8)


def picture_labels(
    planes_chw: np.ndarray,
    placement: Placement,
    hierarchy: Hierarchy,
    decoding: str = "leaf",
    workspace: Workspace | None = None,
) -> np.ndarray:
    """Leaf classes at the picture's size.

    Args:
      planes_chw: uint16 [C, h, w] of `log_planes`, of the network's input or a stride apart.
      placement: of the picture in that input.
      hierarchy: of the classes.
      decoding: of `decoding.DECODINGS`.
      workspace: used again from picture to picture; by default a fresh one.

    Returns:
      uint8 [H, W]; IGNORE_LABEL where the network saw nothing.

    Raises:
      ValueError: for planes of another dtype or number of classes.
    """
    check_planes(planes_chw, hierarchy)
    if decoding == "top_down":
        scores = [scores_of(placement.seen_scores(plane_hw)) for plane_hw in planes_chw]
        label_hw = top_down(scores, hierarchy).astype(np.uint8)
    else:
        label_hw = _first_largest(planes_chw, placement, workspace or Workspace())
    return placement.within_picture(label_hw, IGNORE_LABEL)


def check_planes(planes_chw: np.ndarray, hierarchy: Hierarchy) -> None:
    """Raises ValueError for planes of another dtype or number of classes."""
    fits = planes_chw.ndim == 3 and len(planes_chw) == hierarchy.num_classes and planes_chw.size
    if not fits or planes_chw.dtype != np.uint16:
        raise HiersegError(
            f"Planes of scores are uint16 [{hierarchy.num_classes}, height, width], made by "
            f"log_planes; got {planes_chw.dtype} {planes_chw.shape}."
        )


def _first_largest(
    planes_chw: np.ndarray, placement: Placement, workspace: Workspace
) -> np.ndarray:
    """The first class with the greatest score, plane by plane, in place.

    A class is sought only in the rectangle around where its score is above the first class's:
    where it is not above at the four points around a pixel, it is not above at the pixel.
    """
    height, width = placement.seen.height, placement.seen.width
    first_hw = placement.filled_scores(planes_chw[0])
    best_hw, score_hw, won_hw = workspace.arrays((height, width))
    cv2.resize(first_hw, (width, height), best_hw)
    label_hw = np.zeros(best_hw.shape, np.uint8)
    for index in range(1, len(planes_chw)):
        part_hw = placement.filled_scores(planes_chw[index])
        left, top, columns, rows = cv2.boundingRect(cv2.compare(part_hw, first_hw, cv2.CMP_GT))
        if not columns:
            continue
        y = _reached(top, rows, part_hw.shape[0], height)
        x = _reached(left, columns, part_hw.shape[1], width)
        enlarged = score_hw[y.enlarged, x.enlarged]
        cv2.resize(part_hw[y.points, x.points], enlarged.shape[::-1], enlarged)
        inside = y.reached, x.reached
        score, best, label, won = (of[inside] for of in (score_hw, best_hw, label_hw, won_hw))
        cv2.compare(score, best, cv2.CMP_GT, won)  # 255 where it is greater
        # A later class has the greater number: the maximum of both puts it in place.
        np.bitwise_and(won, np.uint8(index), out=won)
        cv2.max(label, won, label)
        cv2.max(best, score, best)
    return label_hw


class _Reach(NamedTuple):
    """A part of a side of points, and pixels that it is enlarged to as it is in the whole.

    Attributes:
      points: of the part.
      enlarged: pixels of the part.
      reached: of these, those that lie between points of the part; what is beyond its ends has no
        say in them.
    """

    points: slice
    enlarged: slice
    reached: slice


def _reached(start: int, count: int, points: int, pixels: int) -> _Reach:
    """The part whose `reached` pixels are all that the points from `start` on have a say in.

    It begins and ends where an edge between points is one between pixels, so that pixels have the
    same weights.
    """
    cells = math.gcd(points, pixels)
    cell, pixels_of_cell = points // cells, pixels // cells
    first, last = max(0, start - 1) // cell, min(cells, -(-(start + count + 1) // cell))
    before, behind = max(0, first - 1), min(cells, last + 1)
    return _Reach(
        slice(before * cell, behind * cell),
        slice(before * pixels_of_cell, behind * pixels_of_cell),
        slice(first * pixels_of_cell, last * pixels_of_cell),
    )

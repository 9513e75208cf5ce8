"""Less flicker in a video: scores averaged over its frames along what moves.

Noise of a sensor tips pixels whose two best classes are close, another one in every frame.
An average over frames changes less. It follows the motion, leaves out what the frame before did
not show, and gives way to a frame that is sure.
"""

import dataclasses
import math
from collections.abc import Mapping

import cv2
import numpy as np

from hierseg_jax.data.picture_labels import FLOOR, STEPS
from hierseg_jax.runtime.motion import Motion, agreement, grey_frame, motion, moved
from hierseg_jax.runtime.segmentation import Scored
from hierseg_jax.system.errors import HiersegError

MOST = 0.95
"""The greatest weight: a frame then still counts a twentieth, and is half gone after 14."""
USUAL = 0.8
"""The weight that videos have if nothing else is asked for: a frame is half gone after 3."""
CUT = 0.3
"""The agreement of two frames below which there is a cut; benchmarks/cuts.py measures it."""

# Logarithms of scores, as steps of `log_planes`.
_NAT = STEPS / -FLOOR
# What was before moves the logarithm of a score by no more than this, times the weight. Else a
# network that was sure for a while, and wrong, would be believed for as long again.
_PULL = 1.5 * _NAT
# Of an even share of all classes: scores below it, now and before, are not averaged.
_LEAST = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
    """Of the frames of a scene up to one of them.

    Attributes:
      shape: of the scores, (C, h, w).
      planes: by the classes that have a say: float32 [h, w], weighted mean of the frames'
        `picture_labels.log_planes`, each moved to where this frame has it.
      grey_hw: this frame, of `motion.grey_frame`.
    """

    shape: tuple[int, ...]
    planes: Mapping[int, np.ndarray]
    grey_hw: np.ndarray

    def over(self, planes_chw: np.ndarray) -> np.ndarray:
        """The frame's own planes, uint16 [C, h, w], with those that are averaged in place."""
        averaged_chw = planes_chw.copy()
        for index, plane_hw in self.planes.items():
            averaged_chw[index] = plane_hw + np.float32(0.5)
        return averaged_chw


def next_average(
    before: Average | None, planes_chw: np.ndarray, grey_hw: np.ndarray, weight: float
) -> Average:
    """With one more frame, or from it on where a scene begins.

    A scene begins with the first frame, with a cut, and where scores change their size.

    Args:
      before: of the frames before; None if there are none.
      planes_chw: uint16 [C, h, w], `picture_labels.log_planes` of the frame.
      grey_hw: the frame, of `motion.grey_frame`.
      weight: of what was before, 0 to MOST, where both frames show the same; the less they do,
        the less it counts. The frame's own is the rest.

    Raises:
      ValueError: for planes of another number of classes.
    """
    shape = planes_chw.shape
    if before is not None and shape[0] != before.shape[0]:
        raise HiersegError(
            f"Scores of {shape[0]} classes follow on others of {before.shape[0]}; take a new "
            "Smoother for another network."
        )
    seen = None
    if before is not None and shape == before.shape:
        seen = motion(before.grey_hw, grey_hw)
        if agreement(grey_hw, seen.trust_hw) < CUT:
            seen = None
    earlier = {} if before is None or seen is None else before.planes
    least = STEPS + _NAT * math.log(_LEAST / shape[0])
    highest = planes_chw.reshape(shape[0], -1).max(1)
    said = [index for index in range(shape[0]) if highest[index] > least or index in earlier]
    planes = {index: planes_chw[index].astype(np.float32) for index in said}
    if seen is not None:
        _add(planes, earlier, seen.of_size(shape[1:]), weight, least)
    kept = {
        index: plane_hw
        for index, plane_hw in planes.items()
        if highest[index] > least or plane_hw.max() > least
    }
    return Average(shape, kept, grey_hw)


def _add(
    planes: Mapping[int, np.ndarray],
    earlier: Mapping[int, np.ndarray],
    seen: Motion,
    weight: float,
    least: float,
) -> None:
    """Moves the planes, in place, towards those of the frame before."""
    share_hw = np.float32(weight) * seen.trust_hw
    x_hw, y_hw = seen.places()
    reach = math.ceil(np.abs(seen.back_hw2).max()) + 1
    for index, plane_hw in planes.items():
        if index not in earlier:
            continue
        part = _with_a_say(np.maximum(plane_hw, earlier[index]), least, reach)
        moved_hw = moved(earlier[index], x_hw[part], y_hw[part])
        moved_hw -= plane_hw[part]
        np.clip(moved_hw, -_PULL, _PULL, out=moved_hw)
        moved_hw *= share_hw[part]
        plane_hw[part] += moved_hw


def _with_a_say(plane_hw: np.ndarray, least: float, reach: int) -> tuple[slice, slice]:
    """Rows and columns around all that is above the least, and as far as it may have moved.

    Most classes are in a part of a frame.
    """
    left, top, width, height = cv2.boundingRect((plane_hw > least).astype(np.uint8))
    rows = slice(max(0, top - reach), top + height + reach)
    return rows, slice(max(0, left - reach), left + width + reach)


class Smoother:
    """`next_average` over the frames of one video, one call after another."""

    def __init__(self, weight: float = USUAL) -> None:
        """Begins anew; `weight` is 0 to MOST.

        Raises:
          ValueError: for any other weight.
        """
        self._weight = check_weight(weight)
        self._average: Average | None = None

    def __call__(self, scored: Scored) -> Scored:
        """The next frame, whose planes are averaged; as it is where it has none.

        Raises:
          ValueError: for a frame of another network.
        """
        if scored.planes is None:
            return scored
        grey_hw = grey_frame(scored.given, scored.planes.shape[1:])
        self._average = next_average(self._average, scored.planes, grey_hw, self._weight)
        return dataclasses.replace(scored, planes=self._average.over(scored.planes))


def check_weight(weight: float) -> float:
    """The weight of what was before; ValueError where it is not 0 to MOST."""
    if not 0 <= weight <= MOST:
        raise HiersegError(f"--smooth is {weight}; it is 0, which is off, to {MOST}.")
    return weight

"""Less flicker in a video: scores averaged over its frames along what moves.

Noise of a sensor tips pixels whose two best classes are close, another one in every frame.
An average over frames changes less. It follows the motion, so that it does not lag behind, and
leaves out what the frame before did not show.
"""

import dataclasses
import math

import cv2
import numpy as np

from hierseg_jax.data.picture_labels import FLOOR, STEPS
from hierseg_jax.runtime.motion import agreement, motion, moved
from hierseg_jax.system.errors import HiersegError

MOST = 0.95
"""The greatest weight: a frame then still counts a twentieth, and is half gone after 14."""
USUAL = 0.8
"""The weight that videos have if nothing else is asked for: a frame is half gone after 3."""
CUT = 0.3
"""The agreement of two frames below which there is a cut; benchmarks/cuts.py measures it."""

# Of an even share of all classes: scores below it, now and before, are not averaged.
_LEAST = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
    """Of the frames of a scene up to one of them.

    Attributes:
      planes_chw: float32 [C, h, w], weighted mean of their `picture_labels.log_planes`, each
        moved to where this frame has it.
      grey_hw: this frame, of `motion.grey_frame`.
    """

    planes_chw: np.ndarray
    grey_hw: np.ndarray


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
      ValueError: for planes of another number of classes within a scene.
    """
    if before is not None and len(planes_chw) != len(before.planes_chw):
        raise HiersegError(
            f"Scores of {len(planes_chw)} classes follow on others of {len(before.planes_chw)}; "
            "take a new Smoother for another network."
        )
    average_chw = planes_chw.astype(np.float32)
    if before is None or before.planes_chw.shape != planes_chw.shape:
        return Average(average_chw, grey_hw)
    seen = motion(before.grey_hw, grey_hw)
    if agreement(grey_hw, seen.trust_hw) < CUT:
        return Average(average_chw, grey_hw)
    seen = seen.of_size(average_chw.shape[1:])
    share_hw = np.float32(weight) * seen.trust_hw
    x_hw, y_hw = seen.places()
    least = _least_say(len(planes_chw))
    reach = math.ceil(np.abs(seen.back_hw2).max()) + 1
    for plane_hw, before_hw in zip(average_chw, before.planes_chw, strict=True):
        part = _with_a_say(np.maximum(plane_hw, before_hw), least, reach)
        if part is None:
            continue
        moved_hw = moved(before_hw, x_hw[part], y_hw[part])
        moved_hw -= plane_hw[part]
        moved_hw *= share_hw[part]
        plane_hw[part] += moved_hw
    return Average(average_chw, grey_hw)


def _least_say(classes: int) -> float:
    """In steps of `log_planes`: of a score this far below an even share no label follows."""
    return STEPS * (1 + math.log(_LEAST / classes) / -FLOOR)


def _with_a_say(plane_hw: np.ndarray, least: float, reach: int) -> tuple[slice, slice] | None:
    """Rows and columns around all that is above the least, and as far as it may have moved.

    None where nothing is.

    Most classes are in a part of a frame, and of many most are in none.
    """
    left, top, width, height = cv2.boundingRect((plane_hw > least).astype(np.uint8))
    if not width:
        return None
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

    def __call__(self, planes_chw: np.ndarray, grey_hw: np.ndarray) -> np.ndarray:
        """The average up to this frame, uint16 [C, h, w]; the arguments are `next_average`'s."""
        self._average = next_average(self._average, planes_chw, grey_hw, self._weight)
        return (self._average.planes_chw + np.float32(0.5)).astype(np.uint16)


def check_weight(weight: float) -> float:
    """The weight of what was before; ValueError where it is not 0 to MOST."""
    if not 0 <= weight <= MOST:
        raise HiersegError(f"--smooth is {weight}; it is 0, which is off, to {MOST}.")
    return weight

"""Less flicker in a video: scores averaged over its frames along what moves.

Noise of a sensor tips pixels whose two best classes are close, another one in every frame.
An average over frames changes less. It follows the motion, leaves out what the frame before did
not show, and gives way to a frame that is sure.
"""

import dataclasses
import functools
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
      own_chw: uint16 [C, h, w], `picture_labels.log_planes` of this frame alone.
      averaged: by the classes in play: float32 [h, w], weighted mean of the frames' planes, each
        moved to where this frame has it.
      grey_hw: uint8, this frame, of `motion.grey_frame`.
    """

    own_chw: np.ndarray
    averaged: Mapping[int, np.ndarray]
    grey_hw: np.ndarray

    @functools.cached_property
    def highest(self) -> np.ndarray:
        """Float [C], the greatest score of each class."""
        highest = self.own_chw.reshape(len(self.own_chw), -1).max(1).astype(np.float32)
        for index, plane_hw in self.averaged.items():
            highest[index] = plane_hw.max()
        return highest

    def plane(self, index: int) -> np.ndarray:
        """float32 [h, w] of a class, the frame's own where it is not averaged."""
        plane_hw = self.averaged.get(index)
        return self.own_chw[index].astype(np.float32) if plane_hw is None else plane_hw

    def planes(self) -> np.ndarray:
        """Of all classes: uint16 [C, h, w], as `log_planes` has them."""
        planes_chw = self.own_chw.copy()
        for index, plane_hw in self.averaged.items():
            planes_chw[index] = plane_hw + np.float32(0.5)
        return planes_chw


def next_average(
    before: Average | None, planes_chw: np.ndarray, grey_hw: np.ndarray, weight: float
) -> Average:
    """With one more frame, or from it on where a scene begins.

    A scene begins with the first frame, with a cut, and where scores change their size.

    Args:
      before: of the frames before; None if there are none.
      planes_chw: uint16 [C, h, w], `picture_labels.log_planes` of the frame.
      grey_hw: uint8, the frame, of `motion.grey_frame`.
      weight: of what was before, 0 to MOST, where both frames show the same; the less they do,
        the less it counts. The frame's own is the rest.

    Raises:
      ValueError: for planes of another number of classes.
    """
    classes, *size = planes_chw.shape
    if before is not None and classes != len(before.own_chw):
        raise HiersegError(
            f"Scores of {classes} classes follow on others of {len(before.own_chw)}; take a new "
            "Smoother for another network."
        )
    seen = None if before is None else _motion_within_a_scene(before, planes_chw, grey_hw)
    alone = Average(planes_chw, {}, grey_hw)
    if before is None or seen is None:
        return alone
    least = STEPS + _NAT * math.log(_LEAST / classes)
    in_play = np.flatnonzero(np.maximum(alone.highest, before.highest) > least).tolist()
    planes = {index: alone.plane(index) for index in in_play}
    _add(planes, before, seen.of_size((size[0], size[1])), weight, least)
    return Average(planes_chw, planes, grey_hw)


def _motion_within_a_scene(
    before: Average, planes_chw: np.ndarray, grey_hw: np.ndarray
) -> Motion | None:
    """None where a scene begins."""
    if before.own_chw.shape != planes_chw.shape or before.grey_hw.shape != grey_hw.shape:
        return None
    seen = motion(before.grey_hw, grey_hw)
    return seen if agreement(grey_hw, seen.trust_hw) >= CUT else None


def _add(
    planes: Mapping[int, np.ndarray], before: Average, seen: Motion, weight: float, least: float
) -> None:
    """Moves the planes, in place, towards those of the frame before."""
    share_hw = np.float32(weight) * seen.trust_hw
    x_hw, y_hw = seen.places()
    reach = math.ceil(np.abs(seen.back_hw2).max()) + 1
    for index, plane_hw in planes.items():
        earlier_hw = before.plane(index)
        part = _part_in_play(np.maximum(plane_hw, earlier_hw), least, reach)
        moved_hw = moved(earlier_hw, x_hw[part], y_hw[part])
        moved_hw -= plane_hw[part]
        np.clip(moved_hw, -_PULL, _PULL, out=moved_hw)
        moved_hw *= share_hw[part]
        plane_hw[part] += moved_hw


def _part_in_play(plane_hw: np.ndarray, least: float, reach: int) -> tuple[slice, slice]:
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
        """The next frame, with averaged planes; as it is where it has none.

        Raises:
          ValueError: for a frame of another network.
        """
        if scored.planes is None:
            return scored
        grey_hw = grey_frame(scored.given, scored.planes.shape[1:])
        self._average = next_average(self._average, scored.planes, grey_hw, self._weight)
        return dataclasses.replace(scored, planes=self._average.planes())


def check_weight(weight: float) -> float:
    """The weight of what was before; ValueError where it is not 0 to MOST."""
    if not 0 <= weight <= MOST:
        raise HiersegError(f"--smooth is {weight}; it is 0, which is off, to {MOST}.")
    return weight

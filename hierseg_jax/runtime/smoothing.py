"""Less flicker in a video: scores averaged over its frames, anew after every cut.

Noise of a sensor tips pixels whose two best classes are close, another one in every frame.
An average over frames changes less, and lags behind what moves.
"""

import dataclasses

import cv2
import numpy as np

from hierseg_jax.system.errors import HiersegError

MOST = 0.95
"""The greatest weight: a frame then still counts a twentieth, and is half gone after 14."""
CUT = 0.2
"""The least distance of two frames that makes a cut; benchmarks/cuts.py measures it."""

# A frame as `distance` sees it. Cells tell apart what has the same colours elsewhere; few bins
# leave the exposure room to change. Pixels to a side of the small frame, cells along it, bins.
_SIDE, _CELLS, _BINS = 32, 4, 4
# Steps of 255 within which lines of small frames are of one colour, as bars are.
_FLAT = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
    """Of the frames of a scene up to one of them.

    Attributes:
      planes_chw: float32 [C, h, w], weighted mean of their `picture_labels.log_planes`.
      size: (height, width) of the frames.
      small_hwc: the last frame, of `small_frame`.
    """

    planes_chw: np.ndarray
    size: tuple[int, int]
    small_hwc: np.ndarray


def next_average(
    before: Average | None, planes_chw: np.ndarray, image_hwc: np.ndarray, weight: float
) -> Average:
    """With one more frame, or from it on where a scene begins.

    A scene begins with the first frame, with a cut, and where frames change their size.

    Args:
      before: of the frames before; None if there are none.
      planes_chw: uint16 [C, h, w], `picture_labels.log_planes` of the frame.
      image_hwc: uint8 [H, W, 3], the frame.
      weight: of what was before, 0 to MOST; the frame's own is the rest.

    Raises:
      ValueError: for planes of another shape within a scene.
    """
    size, small_hwc = image_hwc.shape[:2], small_frame(image_hwc)
    if before is None or before.size != size or distance(before.small_hwc, small_hwc) > CUT:
        return Average(planes_chw.astype(np.float32), size, small_hwc)
    if planes_chw.shape != before.planes_chw.shape:
        raise HiersegError(
            f"Scores of {planes_chw.shape} follow on others of {before.planes_chw.shape}; take a "
            "new Smoother for another network."
        )
    planes_chw = planes_chw * np.float32(1 - weight)
    planes_chw += before.planes_chw * np.float32(weight)
    return Average(planes_chw, size, small_hwc)


class Smoother:
    """`next_average` over the frames of one video, one call after another."""

    def __init__(self, weight: float) -> None:
        """Begins anew; `weight` is 0 to MOST.

        Raises:
          ValueError: for any other weight.
        """
        self._weight = check_weight(weight)
        self._average: Average | None = None

    def __call__(self, planes_chw: np.ndarray, image_hwc: np.ndarray) -> np.ndarray:
        """The average up to this frame, uint16 [C, h, w]; the arguments are `next_average`'s."""
        self._average = next_average(self._average, planes_chw, image_hwc, self._weight)
        return (self._average.planes_chw + np.float32(0.5)).astype(np.uint16)


def check_weight(weight: float) -> float:
    """The weight of what was before; ValueError where it is not 0 to MOST."""
    if not 0 <= weight <= MOST:
        raise HiersegError(f"--smooth is {weight}; it is 0, which is off, to {MOST}.")
    return weight


def small_frame(image_hwc: np.ndarray) -> np.ndarray:
    """What `distance` needs of a frame, uint8 [H, W, 3]: float32 [32, 32, 3] in 0..255."""
    small_hwc = cv2.resize(image_hwc, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return small_hwc.astype(np.float32)


def distance(small_hwc: np.ndarray, other_hwc: np.ndarray) -> float:
    """Mean Hellinger distance (from the Bhattacharyya coefficient) of two frames, 0 to 1.

    Bars at the edges, of one colour in both, are left out: they would be alike after a cut, too.

    Args:
      small_hwc, other_hwc: of `small_frame`.
    """
    both = np.stack([small_hwc, other_hwc])
    rows, columns = (_between_bars(both.swapaxes(1, axis)) for axis in (1, 2))
    histograms, others = (_colour_histograms(of[rows, columns]) for of in both)
    shared = np.sqrt(histograms * others).sum(-1)
    return float(np.sqrt(np.maximum(0, 1 - shared)).mean())


def _between_bars(both: np.ndarray) -> slice:
    """The lines of two small frames, [2, lines, ..., 3], without those of bars at either end.

    All of them where fewer than there are cells would be left.
    """
    values = both.swapaxes(0, 1).reshape(_SIDE, -1, 3)
    seen = np.flatnonzero((np.ptp(values, axis=1) > _FLAT).any(-1))
    if not len(seen) or seen[-1] - seen[0] < _CELLS:
        return slice(None)
    return slice(seen[0], seen[-1] + 1)


def _colour_histograms(part_hwc: np.ndarray) -> np.ndarray:
    """Of each channel in each cell of a small frame: float32 [cells, cells, 3, bins].

    Cells are of one size, to a pixel. The bins of a histogram add up to 1.
    """
    # A value counts for the two bins beside it: where it moves a little, so do they.
    at_hwc = part_hwc * np.float32((_BINS - 1) / 255)
    shares = np.maximum(0, 1 - np.abs(at_hwc[..., None] - np.arange(_BINS, dtype=np.float32)))
    for axis in (0, 1):
        starts = np.arange(_CELLS) * shares.shape[axis] // _CELLS
        shares = np.add.reduceat(shares, starts, axis)
    return shares / shares.sum(-1, keepdims=True)

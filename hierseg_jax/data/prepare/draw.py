"""From polygons and run lengths to a mask.

A pixel belongs to a polygon if its centre does, and centres lie at half-integers: pixel 0
reaches from 0 to 1. It is the geometry of COCO's annotations and of the whole project. OpenCV's
and Pillow's polygons have their outline drawn as well, half a pixel too much on every side.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from hierseg_jax.data.prepare.picture import Size
from hierseg_jax.system.errors import HiersegError

FARTHEST = 1e7
"""Pixels; coordinates beyond are of no picture."""

_CORNERS = 64  # of an ellipse
_MOST_CROSSINGS = 1 << 22


@dataclasses.dataclass(frozen=True, eq=False)
class Patch:
    """Pixels within a rectangle of a picture: `inside_hw`, bool, from row `top`, column `left`."""

    top: int
    left: int
    inside_hw: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Pixels that get a value; those `below` lie under all others, whatever the order."""

    value: int
    patch: Patch
    below: bool = False


def paint(regions: Sequence[Region], size: Size, by_area: bool) -> np.ndarray:
    """The mask of a picture: uint8 [H, W], 0 where no region is.

    Args:
      regions: in the order of the file.
      size: of the picture.
      by_area: the smaller of two regions lies on top; otherwise the later one does.
    """
    mask_hw = np.zeros(size, np.uint8)

    def place(region: Region) -> tuple[bool, int]:
        return not region.below, -int(region.patch.inside_hw.sum()) if by_area else 0

    for region in sorted(regions, key=place):
        patch = region.patch
        height, width = patch.inside_hw.shape
        window = mask_hw[patch.top : patch.top + height, patch.left : patch.left + width]
        window[patch.inside_hw] = region.value
    return mask_hw


def polygon(points_n2: np.ndarray, size: Size) -> Patch:
    """The inside of one closed line, by the even-odd rule.

    Args:
      points_n2: x and y, float [N, 2]; within `FARTHEST`. Fewer than three enclose nothing.
      size: of the picture; what lies beyond is cut off.
    """
    height, width = size
    (x0, y0), (x1, y1) = points_n2.T, np.roll(points_n2, -1, axis=0).T
    row0, row1 = (np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64) for y in (y0, y1))
    low, count = np.minimum(row0, row1), np.abs(row1 - row0)
    edges = np.flatnonzero(count)
    if not len(edges):
        return _EMPTY
    top, bottom = int(low[edges].min()), int((low + count)[edges].max())
    left = int(np.clip(np.ceil(points_n2[:, 0].min() - 0.5), 0, width))
    right = int(np.clip(np.ceil(points_n2[:, 0].max() - 0.5), 0, width))
    columns = right - left + 1
    odd = np.zeros((bottom - top) * columns, bool)
    for some in _portions(edges, count):
        edge = np.repeat(some, count[some])
        first = np.cumsum(count[some]) - count[some]
        row = np.arange(len(edge)) - np.repeat(first, count[some]) + low[edge]
        along = (row + 0.5 - y0[edge]) / (y1[edge] - y0[edge])
        x = x0[edge] + along * (x1[edge] - x0[edge])
        column = np.clip(np.ceil(x - 0.5), left, right).astype(np.int64)
        at, times = np.unique((row - top) * columns + column - left, return_counts=True)
        odd[at[times % 2 == 1]] ^= True
    inside_hw = np.logical_xor.accumulate(odd.reshape(-1, columns), axis=1)[:, :-1]
    return Patch(top, left, inside_hw)


def polygon_of_pixels(points_n2: np.ndarray, holes: Sequence[np.ndarray], size: Size) -> Patch:
    """Pixels of a closed line and in it, without those of holes, whose lines are theirs.

    Args:
      points_n2: numbers of pixels, x and y.
      holes: the same.
      size: of the picture; what lies beyond is cut off.
    """
    if not len(points_n2):
        return _EMPTY
    # Within what holds all lines: OpenCV draws those that it has to cut off otherwise.
    corners_n2 = np.concatenate([points_n2, *holes]).round()
    first = np.clip(corners_n2.min(0), 0, size[::-1]).astype(int)
    last = np.clip(corners_n2.max(0) + 1, 0, size[::-1]).astype(int)
    if (first >= last).any():
        return _EMPTY
    inside_hw = np.zeros((last - first)[::-1], np.uint8)
    for number, line_n2 in enumerate((points_n2, *holes)):
        if len(line_n2):
            placed_n2 = (line_n2.round() - first).astype(np.int32)
            cv2.fillPoly(inside_hw, [placed_n2], int(not number))
    return Patch(int(first[1]), int(first[0]), inside_hw.astype(bool))


def _portions(edges: np.ndarray, count: np.ndarray) -> Iterable[np.ndarray]:
    """The edges in portions of few crossings with rows, for whom memory is not to end."""
    parts = np.cumsum(count[edges]) // _MOST_CROSSINGS
    return np.split(edges, np.flatnonzero(np.diff(parts)) + 1)


def box(x0: float, y0: float, x1: float, y1: float, size: Size) -> Patch:
    """An upright rectangle, from any two opposite corners."""
    return polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64), size)


def ellipse(x: float, y: float, a: float, b: float, turned: float) -> list[list[float]]:
    """Points on the line around one.

    Args:
      x, y: its centre.
      a, b: its radii.
      turned: the angle of the first of them, in radians, from x towards y.
    """
    angle_n = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    along_n, across_n = a * np.cos(angle_n), b * np.sin(angle_n)
    x_n = x + along_n * np.cos(turned) - across_n * np.sin(turned)
    y_n = y + along_n * np.sin(turned) + across_n * np.cos(turned)
    return np.stack([x_n, y_n], axis=1).tolist()


def bitmap(inside_hw: np.ndarray, top: int, left: int, size: Size) -> Patch:
    """A bool array at a place of the picture; what lies beyond is cut off."""
    height, width = size
    above, before = max(0, -top), max(0, -left)
    inside_hw = inside_hw[above : max(height - top, 0), before : max(width - left, 0)]
    return Patch(max(top, 0), max(left, 0), inside_hw)


def union(patches: Sequence[Patch]) -> Patch:
    """All pixels of several patches."""
    patches = [patch for patch in patches if patch.inside_hw.size]
    if len(patches) < 2:
        return patches[0] if patches else _EMPTY
    top, left = (min(getattr(patch, side) for patch in patches) for side in ("top", "left"))
    bottom = max(patch.top + patch.inside_hw.shape[0] for patch in patches)
    right = max(patch.left + patch.inside_hw.shape[1] for patch in patches)
    inside_hw = np.zeros((bottom - top, right - left), bool)
    for patch in patches:
        height, width = patch.inside_hw.shape
        row, column = patch.top - top, patch.left - left
        inside_hw[row : row + height, column : column + width] |= patch.inside_hw
    return Patch(top, left, inside_hw)


def run_lengths(counts: Sequence[int], size: Size, by_row: bool = False) -> Patch:
    """COCO's run lengths: of pixels outside and inside in turn, column by column, or row by row.

    Raises:
      HiersegError: half a sentence, where they are not those of a mask of this size.
    """
    height, width = size
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise HiersegError(
            f"its run lengths sum up to {sum(counts)}; those of a mask of {height} x {width} "
            f"pixels sum up to {height * width}, and none is negative"
        )
    inside = np.arange(len(counts)) % 2 == 1
    inside = np.repeat(inside, counts)
    return Patch(0, 0, inside.reshape(size) if by_row else inside.reshape(size[::-1]).T)


def unpack_counts(text: str) -> list[int]:
    """Run lengths from COCO's compressed form: digits of five bits, from the third on differences.

    pycocotools reads these, too; where they do not fill the mask, it leaves the rest of the
    memory as it was, and does not tell the counts.

    Raises:
      HiersegError: half a sentence, where the text is no such form.
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 35:
            raise HiersegError("its compressed run lengths are none")
        number |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            number -= (digit >> 4 & 1) << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    if shift:
        raise HiersegError("its compressed run lengths are cut off")
    return counts


def points(values: object) -> np.ndarray:
    """x and y, float64 [N, 2], from a list of pairs or of numbers in turn.

    Raises:
      HiersegError: half a sentence, where they are no coordinates of a picture.
    """
    if isinstance(values, list) and all(isinstance(value, list) for value in values):
        if any(len(pair) != 2 for pair in values):
            raise HiersegError("a point is not of two numbers, x and y")
        values = list(itertools.chain.from_iterable(values))
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        raise HiersegError("its points are not all numbers")
    if len(values) % 2:
        raise HiersegError(f"it has {len(values)} numbers, which are no pairs of x and y")
    if not all(-FARTHEST <= value <= FARTHEST for value in values):
        raise HiersegError("a point lies nowhere near a picture")
    return np.array(values, np.float64).reshape(-1, 2)


_EMPTY = Patch(0, 0, np.zeros((0, 0), bool))

"""Pictures of any size on their own pixels, in overlapping windows of the network's; without JAX.

Windows lie in bands across the shorter side of a picture. Their scores are blended, and what no
later band reaches is complete: no more than one band of scores is ever in memory, which is at most
`classes x side of the window x shorter side of the picture`.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from hierseg_jax.data.picture_labels import floored_logs, log_planes, picture_labels
from hierseg_jax.data.resize import Box, place
from hierseg_jax.data.sizes import as_size
from hierseg_jax.tree.hierarchy import Hierarchy

OVERLAP = 1 / 3
"""Of a window with the next one, at least, as a share of its side.

Every pixel, but near the picture's edges, then lies at least a sixth of a side within some window
and sees what is around it. Measured with Lite0 on 150 photographs of 384 x 256 in windows of 96
pixels, mIoU of parts: 0.384 without overlap, 0.424 for a quarter, 0.435 for a third, 0.429 for a
half. The windows of a large picture have 1, 1.8, 2.25 and 4 times its pixels.
"""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Windows that cover a picture.

    Attributes:
      picture: (height, width) of the picture.
      window: (height, width) of the windows; where the picture is smaller, they reach beyond it.
      tops, lefts: of the windows, every top with every left; evenly spread, the last ones end
        where the picture does.
    """

    picture: tuple[int, int]
    window: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def boxes(self) -> list[Box]:
        """The windows in the order of the bands: by tops, or by lefts where it is wider."""
        if self._order == (0, 1):
            return [Box(top, left, *self.window) for top in self.tops for left in self.lefts]
        return [Box(top, left, *self.window) for left in self.lefts for top in self.tops]

    def cut(self, image_hwc: np.ndarray) -> Iterator[np.ndarray]:
        """The windows of a picture [H, W, 3], views where they can be.

        Beyond a side that is smaller than the window, the picture is reflected.
        """
        for box in self.boxes:
            part = image_hwc[box.rows_columns]
            missing = [side - had for side, had in zip(self.window, part.shape[:2], strict=True)]
            if any(missing):
                part = cv2.copyMakeBorder(part, 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT)
            yield part

    def weights(self, axis: int) -> np.ndarray:
        """How much every window says along an axis: float32 [windows, side].

        A raised cosine, highest in a window's middle and next to nothing at its ends, where the
        network has seen the least around a pixel; divided such that all windows of a pixel sum to
        1. Where there is one, it is exactly 1.
        """
        side, starts = self.window[axis], self._starts_along(axis)
        cosine = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
        sums = np.zeros(max(self.picture[axis], side))
        for start in starts:
            sums[start : start + side] += cosine
        return np.stack([cosine / sums[start : start + side] for start in starts]).astype(
            np.float32
        )

    def blend(self, scores: Iterable[np.ndarray]) -> Iterator[tuple[Box, np.ndarray]]:
        """Scores of the picture, part by part.

        Args:
          scores: float32 [C, h, w] of each window, in the order of `boxes`; taken one by one.

        Yields:
          Parts of the picture, no larger than a window, which together are all of it, each once;
          and their scores, float32 [C, part's height, part's width], until the next is asked for.
        """
        along, across = self._order
        scores = iter(scores)
        first = next(scores)
        scores = itertools.chain([first], scores)
        weights = self.weights(along), self.weights(across)
        length, breadth = self.picture[along], self.picture[across]
        deep, wide = (min(self.window[axis], self.picture[axis]) for axis in self._order)
        sides = (deep, breadth) if along == 0 else (breadth, deep)
        sums = self._turned(np.zeros((len(first), *sides), np.float32))
        starts = (*self._starts_along(along), length)
        for i, (start, end) in enumerate(itertools.pairwise(starts)):
            for j, at in enumerate(self._starts_along(across)):
                window = self._turned(next(scores))[:, :deep, :wide]
                weight = weights[0][i, :deep, None] * weights[1][j, :wide]
                # Plane by plane: what is multiplied is still in the cache when it is added.
                for plane, scores_hw in zip(sums, window, strict=True):
                    plane[:, at : at + wide] += scores_hw * weight
            for at in range(0, breadth, wide):
                part = sums[:, : end - start, at : at + wide]
                corner = (start, at) if along == 0 else (at, start)
                turned_back = self._turned(part)
                yield Box(*corner, *turned_back.shape[1:]), turned_back
            for plane in sums:  # one by one: NumPy copies what overlaps
                plane[: deep - end + start] = plane[end - start :]
                plane[deep - end + start :] = 0

    @property
    def _order(self) -> tuple[int, int]:
        """The axes along which bands follow one another, and windows within a band."""
        return (0, 1) if self.picture[0] >= self.picture[1] else (1, 0)

    def _starts_along(self, axis: int) -> tuple[int, ...]:
        return (self.tops, self.lefts)[axis]

    def _turned(self, scores_chw: np.ndarray) -> np.ndarray:
        """A view whose first axis of the two is the one along which bands follow."""
        return scores_chw if self._order == (0, 1) else scores_chw.swapaxes(1, 2)


def lay_tiles(picture: tuple[int, int], window: tuple[int, int]) -> Tiles:
    """As few windows as overlap by `OVERLAP` of their side or more, both sizes (height, width)."""
    tops, lefts = (_starts(*sides) for sides in zip(picture, window, strict=True))
    return Tiles(as_size(picture), as_size(window), tops, lefts)


def fits_window(picture: tuple[int, int], window: tuple[int, int]) -> bool:
    """Whether no side of a picture exceeds the window's: it is then seen as without windows."""
    return picture[0] <= window[0] and picture[1] <= window[1]


def scores_at(scores_chw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 scores in [0, 1], a stride apart, at a window's size: bilinear in the logarithm."""
    if scores_chw.shape[1:] == tuple(size):
        return scores_chw
    logs_chw = floored_logs(scores_chw)
    return np.exp(np.stack([cv2.resize(plane, size[::-1]) for plane in logs_chw]))


def part_labels(scores_chw: np.ndarray, hierarchy: Hierarchy, decoding: str) -> np.ndarray:
    """Leaf classes, uint8 [H, W], of scores [C, H, W] at that size, as `picture_labels` decodes."""
    size = scores_chw.shape[1:]
    return picture_labels(log_planes(scores_chw), place(size, size, "stretch"), hierarchy, decoding)


def _starts(length: int, side: int) -> tuple[int, ...]:
    rest = max(0, length - side)
    count = math.ceil(rest / max(1, math.floor(side * (1 - OVERLAP))))
    return tuple(i * rest // max(1, count) for i in range(count + 1))

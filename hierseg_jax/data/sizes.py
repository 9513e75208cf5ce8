"""Sizes of pictures and of the network's input, (height, width) in pixels."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from hierseg_jax.system.errors import HiersegError

MAX_SIDE = 2**14
"""Pixels of a side of the network's input."""


def as_size(side_or_sides: int | Sequence[int]) -> tuple[int, int]:
    """(height, width), of one side or of both.

    Raises:
      ValueError: one sentence, for what is neither.
    """
    try:
        sides = np.atleast_1d(np.asarray(side_or_sides))
    except ValueError:  # lists of several lengths
        sides = np.array(None)
    if sides.dtype.kind not in "iu" or sides.ndim != 1 or sides.size not in (1, 2):
        raise HiersegError(
            f"A size is one side in pixels, or (height, width); got {side_or_sides!r}."
        )
    return int(sides[0]), int(sides[-1])


def format_size(side_or_sides: int | Sequence[int]) -> str:
    """`320` of a square, else `192x256 (height x width)`."""
    height, width = as_size(side_or_sides)
    return str(height) if height == width else f"{height}x{width} (height x width)"


def bounded(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size, or the one of (nearly) its shape whose longer side has `longest` pixels."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def nearest_multiple(side: float, stride: int) -> int:
    """The side nearest to this one that a network takes: a multiple of its stride, and not 0."""
    return max(stride, round(side / stride) * stride)


def share_of_size(size: tuple[int, int], share: float, stride: int) -> tuple[int, int]:
    """The size of about that share of both sides, in multiples of a stride and not 0.

    A network knows the proportions that it was trained with, so of the sizes next to the share
    it is the one of the most similar shape; of several, the one whose sides are nearest to it.
    """
    wanted = [share * side for side in size]
    multiples = [
        {max(stride, int(side // stride + more) * stride) for more in (0, 1)} for side in wanted
    ]

    def distance(taken: tuple[int, ...]) -> tuple[float, float]:
        height, width = (math.log(of / side) for of, side in zip(taken, wanted, strict=True))
        return round(abs(height - width), 9), abs(height + width)

    height, width = min(itertools.product(*multiples), key=distance)
    return height, width

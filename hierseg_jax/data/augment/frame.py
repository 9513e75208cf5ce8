"""Where the pixels of a training example lie in its picture, however it was varied.

A picture, its labels and what a teacher says of it are sampled apart, by one and the same map.
"""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np

from hierseg_jax.data.augment.modern import SCALES, draw_mirrored, draw_placement
from hierseg_jax.data.resize import Box, Resize


@dataclasses.dataclass(frozen=True)
class Frame:
    """The map from an example to its picture, for rows and columns each by themselves.

    Attributes:
      size: (height, width) of the example.
      origin: (y, x) of the picture, in pixels, that the example's outer corner shows, were it not
        mirrored; (0, 0) is the outer corner of the first pixel.
      scale: (y, x), pixels of the picture in a pixel of the example.
      seen: the part of the picture that is shown at most; beside it are bars.
      mirrored: whether columns are counted from the right.
    """

    size: tuple[int, int]
    origin: tuple[float, float]
    scale: tuple[float, float]
    seen: Box
    mirrored: bool = False

    def to_picture(self, positions_n: np.ndarray, axis: int) -> np.ndarray:
        """Positions along rows (axis 0) or columns (1) of the example, as those of the picture."""
        if self.mirrored and axis == 1:
            positions_n = self.size[1] - positions_n
        return self.origin[axis] + self.scale[axis] * positions_n


def frame_of(
    rng: np.random.Generator,
    name: str,
    picture: tuple[int, int],
    size: tuple[int, int],
    rule: Resize,
    scales: tuple[float, float] = SCALES,
) -> Frame:
    """The frame of an example that `choose_augmentation` is about to make.

    Args:
      rng: as that is given it; it stays as it is.
      name: `none` or `modern`; the reference's augmentation turns and bends pictures.
      picture, size: (height, width) of the picture and of the example.
      rule: how the one comes to the other.
      scales: of `modern`, the least and the largest.
    """
    placement = rule.place(picture, size)
    chain: list[Callable[[np.ndarray], np.ndarray]] = [placement.to_picture]
    mirrored = False
    if name == "modern":
        # Of a generator of its own: examples are the same whether anybody asks for frames.
        rng = copy.deepcopy(rng)
        if rule.sampling == "exact":
            box, framed = placement.frame
            corner = np.array([placement.seen.top - box.top, placement.seen.left - box.left])
            chain = [draw_placement(rng, framed, size, scales).to_picture, lambda at: at + corner]
        else:
            chain.insert(0, draw_placement(rng, size, size, scales).to_picture)
        mirrored = draw_mirrored(rng)
    corners = np.array([[0.0, 0.0], [1.0, 1.0]])
    for step in chain:
        corners = step(corners)
    origin, scale = corners[0], corners[1] - corners[0]
    return Frame(size, (origin[0], origin[1]), (scale[0], scale[1]), placement.seen, mirrored)

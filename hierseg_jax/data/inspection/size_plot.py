"""Widths and heights of a data set's images, drawn."""

from collections.abc import Mapping, Sequence

import numpy as np

from hierseg_jax.reports.plot_area import Area
from hierseg_jax.reports.templates import render

_AREA = Area(420, 300, left=52, right=22, top=22, bottom=44)
_CELLS = 32


def size_plot(sizes: Mapping[str, Sequence[tuple[int, int]]]) -> str:
    """A circle for every cell of a grid, larger for more images; empty where there are none.

    Args:
      sizes: (height, width) of every image by split.
    """
    if not any(sizes.values()):
        return ""
    top = _round_up(max(side for of in sizes.values() for size in of for side in size))
    counts = {split: _cells(of, top) for split, of in sizes.items()}
    most = max(count for cells in counts.values() for count in cells.values())
    dots = [
        (split, (column + 0.5) / _CELLS, (row + 0.5) / _CELLS, 2.5 + 7.5 * (count / most) ** 0.5)
        for split, cells in counts.items()
        for (row, column), count in sorted(cells.items(), key=lambda item: -item[1])
    ]
    ticks = [(round(i * top / 4) / top, str(round(i * top / 4))) for i in range(5)]
    return render("data/inspection/size_plot.svg", area=_AREA, ticks=ticks, dots=dots)


def _cells(sizes: Sequence[tuple[int, int]], top: int) -> dict[tuple[int, int], int]:
    """Number of images by cell of a grid from 0 to `top`."""
    if not sizes:
        return {}
    cells_n2 = np.minimum(np.array(sizes) * _CELLS // top, _CELLS - 1)
    cells, counts = np.unique(cells_n2, axis=0, return_counts=True)
    return {tuple(cell): int(n) for cell, n in zip(cells.tolist(), counts, strict=True)}


def _round_up(side: int) -> int:
    """The next number that four steps divide evenly: 4, 8, 12, 16, 20, 40 ... times 10^n."""
    scale = 1
    while True:
        for first in (4, 8, 12, 16, 20, 24, 28, 32, 36):
            if first * scale >= side:
                return first * scale
        scale *= 10

"""Plots as inline SVG, whose colours come from the page's style."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

_WIDTH, _HEIGHT = 420, 300
_LEFT, _BOTTOM, _MARGIN = 52, 44, 22
_CELLS = 32


def bar(share: float, split: str) -> str:
    """A bar of a length between 0 and 1, beside a number that says the same."""
    length = f"{100 * min(max(share, 0.0), 1.0):.2f}"
    return (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/>'
        f'<rect class="fill {html.escape(split)}" width="{length}" height="6"/></svg>'
    )


def size_plot(sizes: Mapping[str, Sequence[tuple[int, int]]]) -> str:
    """Widths and heights of images: a circle for every cell of a grid, larger for more.

    Args:
      sizes: (height, width) of every image by split; at least one altogether.
    """
    top = _round_up(max(side for of in sizes.values() for size in of for side in size))
    step = top / 4
    across, up = (_WIDTH - _LEFT - _MARGIN) / top, (_HEIGHT - _BOTTOM - _MARGIN) / top
    parts = []
    for i in range(5):
        value = round(i * step)
        x, y = _LEFT + value * across, _HEIGHT - _BOTTOM - value * up
        parts += [
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _MARGIN}M{x:.1f} {_MARGIN}'
            f'V{_HEIGHT - _BOTTOM}"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>',
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">{value}</text>',
        ]
    counts = {split: _cells(of, top) for split, of in sizes.items()}
    most = max(count for cells in counts.values() for count in cells.values())
    for split, cells in counts.items():
        for (row, column), count in sorted(cells.items(), key=lambda item: -item[1]):
            height, width = ((cell + 0.5) * top / _CELLS for cell in (row, column))
            radius = 2.5 + 7.5 * (count / most) ** 0.5
            parts.append(
                f'<circle class="{html.escape(split)}" cx="{_LEFT + width * across:.1f}" '
                f'cy="{_HEIGHT - _BOTTOM - height * up:.1f}" r="{radius:.1f}"/>'
            )
    middle = (_HEIGHT - _BOTTOM) // 2
    parts += [
        f'<text x="{(_LEFT + _WIDTH) // 2}" y="{_HEIGHT - 8}" text-anchor="middle">width, px'
        "</text>",
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        "height, px</text>",
    ]
    label = "Widths and heights of the images; the table of splits has their ranges."
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


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

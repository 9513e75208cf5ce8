"""Curves of a run over its epochs."""

import math
from collections.abc import Callable, Mapping, Sequence

from hierseg_jax.evaluation.page.history import History, points
from hierseg_jax.reports.plot_area import Area, Tick
from hierseg_jax.reports.templates import render
from hierseg_jax.settings.metric_choice import METRICS

_AREA = Area(420, 280, left=46, right=14, top=14, bottom=42)
LOSS = "Loss"
# With more points than these, the lines are told apart without dots.
_MOST_DOTS = 40

Points = Sequence[tuple[int, float]]
"""(epoch, value), ascending."""


def curves(
    history: History, level_names: Sequence[str], metrics: Sequence[str]
) -> dict[str, dict[str, Points]]:
    """What there is to draw: title -> name of a line -> points, of which there are some.

    Losses come first, then the metrics with a line for every level.
    """
    drawn: dict[str, dict[str, Points]] = {
        LOSS: {
            "training": points(history, "train_loss"),
            "validation": points(history, "val_loss"),
        }
    }
    for metric in metrics:
        drawn[METRICS[metric].title] = {
            name: points(history, "levels", name, metric) for name in level_names
        }
    drawn = {
        title: {name: of for name, of in series.items() if of} for title, series in drawn.items()
    }
    return {title: series for title, series in drawn.items() if series}


def line_plot(label: str, series: Mapping[str, Points], marked: int | None = None) -> str:
    """A line for every series, as SVG.

    Args:
      label: what a screen reader calls the plot.
      series: name -> points; at least one altogether.
      marked: an epoch to draw an upright line at.
    """
    epochs = [epoch for of in series.values() for epoch, _ in of]
    values = [value for of in series.values() for _, value in of]
    first, last = min(epochs), max(epochs)
    if marked is not None:
        first, last = min(first, marked), max(last, marked)
    ticks = round_ticks(min(0.0, *values), max(0.0, *values))

    def across(epoch: int) -> float:
        return (epoch - first) / (last - first) if last > first else 0.5

    def up(value: float) -> float:
        return (value - ticks[0]) / (ticks[-1] - ticks[0])

    return render(
        "evaluation/page/curves.svg",
        label=label,
        area=_AREA,
        x_ticks=_epoch_ticks(first, last, across),
        y_ticks=[(up(value), f"{value:.4g}") for value in ticks],
        marked=None if marked is None else across(marked),
        lines=[
            [(f"{_AREA.x(across(e)):.1f}", f"{_AREA.y(up(value)):.1f}") for e, value in of]
            for of in series.values()
        ],
        most_dots=_MOST_DOTS,
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Three to seven evenly spaced round numbers, the first at most `low`, the last at least
    `high`."""
    span = high - low if high - low > 1e-12 else 1.0
    scale = 10.0 ** math.floor(math.log10(span / 5))
    step = next(scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= span / 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _epoch_ticks(first: int, last: int, across: Callable[[int], float]) -> list[Tick]:
    count = min(6, last - first + 1)
    epochs = {round(first + (last - first) * i / max(1, count - 1)) for i in range(count)}
    return [(across(epoch), str(epoch)) for epoch in sorted(epochs)]

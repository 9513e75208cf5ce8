"""Curves over epochs as inline SVG, whose colours come from the page's style."""

import math
from collections.abc import Mapping, Sequence

from hierseg_jax.evaluation.page.history import History, points
from hierseg_jax.reports.document import escaped
from hierseg_jax.settings.metric_choice import METRICS

_WIDTH, _HEIGHT = 420, 280
_LEFT, _BOTTOM, _TOP, _RIGHT = 46, 42, 14, 14
# With more points than these, the lines are told apart without dots.
_MOST_DOTS = 40
# Colours and dashes in the style.
_LINES = 6
_MOST_ROWS = 200

Points = Sequence[tuple[int, float]]


def curves(
    history: History,
    level_names: Sequence[str],
    evaluated_epoch: int | None,
    metrics: Sequence[str],
) -> str:
    """Losses, metrics of every level, and the numbers behind them as a table."""
    if not history.rows:
        return f'<p class="card">{escaped(history.reason)}</p>'
    losses = {
        "training": points(history, "train_loss"),
        "validation": points(history, "val_loss"),
    }
    of_levels = {
        METRICS[metric].title: {
            name: points(history, "levels", name, metric) for name in level_names
        }
        for metric in metrics
    }
    plots = {"Loss": losses} | {
        f"{title} on the validation split": series for title, series in of_levels.items()
    }
    cards = [
        _card(title, {name: of for name, of in series.items() if of}, evaluated_epoch)
        for title, series in plots.items()
        if any(series.values())
    ]
    columns = {f"{name} loss": of for name, of in losses.items()}
    for title, series in of_levels.items():
        columns |= {f"{title}, {name}": of for name, of in series.items() if of}
    return f'<div class="columns">{"".join(cards)}</div>{_numbers(history, columns)}'


def _card(title: str, series: Mapping[str, Points], evaluated_epoch: int | None) -> str:
    """A plot under its title, and which line is which."""
    items = "".join(
        f'<li><svg class="line-key" viewBox="0 0 24 8" aria-hidden="true">'
        f'<path class="line line-{i % _LINES}" d="M0 4H24"/></svg>{escaped(name)}</li>'
        for i, name in enumerate(series)
    )
    if evaluated_epoch is not None:
        items += (
            '<li><svg class="line-key" viewBox="0 0 24 8" aria-hidden="true">'
            f'<path class="evaluated" d="M12 0V8"/></svg>evaluated: epoch {evaluated_epoch}</li>'
        )
    return (
        f'<div class="card"><h3>{title}</h3><ul class="legend">{items}</ul>'
        f"{line_plot(title, series, evaluated_epoch)}</div>"
    )


def line_plot(label: str, series: Mapping[str, Points], marked: int | None = None) -> str:
    """A line for every series.

    Args:
      label: what a screen reader calls the plot.
      series: name -> (epoch, value), ascending; at least one point altogether.
      marked: an epoch to draw an upright line at.
    """
    epochs = [epoch for of in series.values() for epoch, _ in of]
    values = [value for of in series.values() for _, value in of]
    first, last = min(epochs), max(epochs)
    if marked is not None:
        first, last = min(first, marked), max(last, marked)
    ticks = round_ticks(min(0.0, *values), max(0.0, *values))
    low, high = ticks[0], ticks[-1]

    def x(epoch: int) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)

    parts = []
    for value in ticks:
        parts += [
            f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>',
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>',
        ]
    for epoch in _epoch_ticks(first, last):
        parts.append(
            f'<text x="{x(epoch):.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">'
            f"{epoch}</text>"
        )
    if marked is not None:
        parts.append(f'<path class="evaluated" d="M{x(marked):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
    for i, of in enumerate(series.values()):
        places = [f"{x(epoch):.1f} {y(value):.1f}" for epoch, value in of]
        line = f"line line-{i % _LINES}"
        if len(places) > 1:
            parts.append(f'<path class="{line}" d="M{"L".join(places)}"/>')
        if len(places) <= _MOST_DOTS:
            dots = (place.split() for place in places)
            parts += [f'<circle class="{line}" cx="{cx}" cy="{cy}" r="3"/>' for cx, cy in dots]
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) // 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
        "epoch</text>"
    )
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escaped(label)} over epochs; the table of epochs has the numbers.">'
        f"{''.join(parts)}</svg>"
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Three to seven evenly spaced round numbers, the first at most `low`, the last at least
    `high`."""
    span = high - low if high - low > 1e-12 else 1.0
    scale = 10.0 ** math.floor(math.log10(span / 5))
    step = next(scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= span / 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _epoch_ticks(first: int, last: int) -> list[int]:
    count = min(6, last - first + 1)
    return sorted({round(first + (last - first) * i / max(1, count - 1)) for i in range(count)})


def _numbers(history: History, columns: Mapping[str, Points]) -> str:
    """Every epoch's numbers, folded away."""
    columns = {name: dict(of) for name, of in columns.items() if of}
    rows = history.rows[-_MOST_ROWS:]
    body = "".join(
        f'<tr><th scope="row">{row["epoch"]}</th>'
        + "".join(
            f"<td>{of[row['epoch']]:.4f}</td>" if row["epoch"] in of else "<td>–</td>"
            for of in columns.values()
        )
        + "</tr>"
        for row in rows
    )
    left_out = len(history.rows) - len(rows)
    more = (
        f'<p class="soft">The first {left_out:,} epochs are in history.json.</p>'
        if left_out
        else ""
    )
    return (
        '<div class="card"><details><summary>Every epoch</summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Every epoch">'
        '<table class="numbers"><thead><tr><th scope="col">epoch</th>'
        + "".join(f'<th scope="col">{escaped(name)}</th>' for name in columns)
        + f"</tr></thead><tbody>{body}</tbody></table></div>{more}</details></div>"
    )

"""Plots of a search as inline SVG, whose colours come from the report's style."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from hierseg_jax.reports.document import escaped
from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.outcome import COMPLETE, PRUNED, Outcome, best_outcome
from hierseg_jax.train.tune.space import Choice, Range, Space, format_value, format_values

_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 20, 46


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where values lie between 0 and 1; those beyond its ends are put at them."""

    label: str
    ticks: tuple[tuple[float, str], ...]
    place: Callable[[Any], float]


def color_class(outcome: Outcome) -> str:
    """The style's class for a state: one colour each for complete, pruned and other trials."""
    return {COMPLETE: "train", PRUNED: "val"}.get(outcome.state, "test")


def history_plot(outcomes: Sequence[Outcome], metric: Metric) -> str:
    """Results in the order of the trials, with the best so far as a line."""
    shown = [outcome for outcome in outcomes if outcome.result is not None]
    if not shown:
        return ""
    across, up = _number_axis("trial", 0, max(len(outcomes) - 1, 1)), _result_axis(shown, metric)
    steps = []
    for outcome in shown:
        best = best_outcome(outcomes[: outcome.number + 1], metric.maximized)
        if best is not None:
            steps.append((_x(across.place(outcome.number)), _y(up.place(best.result))))
    path = "".join(
        f"{'HV'[0] if i else 'M'}{x:.1f}{'V' if i else ' '}{y:.1f}"
        for i, (x, y) in enumerate(steps)
    )
    line = f'<path class="train" style="fill:none" d="{path}"/>' if len(steps) > 1 else ""
    dots = _dots([(across.place(o.number), up.place(o.result), o) for o in shown], metric)
    return _plot(across, up, line + dots, "Results in the order of the trials.")


def slice_plot(outcomes: Sequence[Outcome], key: str, of: Range | Choice, metric: Metric) -> str:
    """Results over the values of one key."""
    shown = [o for o in outcomes if o.result is not None and key in o.values]
    if not shown:
        return ""
    across, up = _key_axis(key, of), _result_axis(shown, metric)
    dots = _dots([(across.place(o.values[key]), up.place(o.result), o) for o in shown], metric)
    return _plot(across, up, dots, f"Results over the values of {escaped(key)}.")


def parallel_plot(outcomes: Sequence[Outcome], space: Space, metric: Metric) -> str:
    """A line for every complete trial through its values to its result; the best drawn thick."""
    shown = [o for o in outcomes if o.state == COMPLETE and o.values.keys() >= space.keys()]
    if not shown or len(space) < 2:
        return ""
    axes = [_key_axis(key, of) for key, of in space.items()] + [_result_axis(shown, metric)]
    width = max(_WIDTH, 130 * len(axes))
    step = (width - 130) / (len(axes) - 1)
    xs = [65 + i * step for i in range(len(axes))]
    parts = []
    for x, axis in zip(xs, axes, strict=True):
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts += [
            f'<text x="{x - 6:.1f}" y="{_y(at) + 4:.1f}" text-anchor="end">{escaped(text)}</text>'
            for at, text in axis.ticks
        ]
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{escaped(axis.label)}'
            "</text>"
        )
    best = best_outcome(shown, metric.maximized)
    for outcome in [o for o in shown if o is not best] + [best]:
        places = [a.place(outcome.values[k]) for a, k in zip(axes[:-1], space, strict=True)]
        places.append(axes[-1].place(outcome.result))
        path = "L".join(f"{x:.1f} {_y(at):.1f}" for x, at in zip(xs, places, strict=True))
        style = "fill:none;" + ("stroke-width:3" if outcome is best else "stroke-opacity:0.45")
        parts.append(
            f'<path class="train" style="{style}" d="M{path}">{_title(outcome, metric)}</path>'
        )
    label = "Values and results of the complete trials."
    return (
        f'<svg class="plot" style="max-width:{width}px" viewBox="0 0 {width} {_HEIGHT}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )


def _x(at: float) -> float:
    return _LEFT + at * (_WIDTH - _LEFT - _RIGHT)


def _y(at: float) -> float:
    return _HEIGHT - _BOTTOM - at * (_HEIGHT - _TOP - _BOTTOM)


def _plot(across: Axis, up: Axis, content: str, label: str) -> str:
    parts = []
    for at, text in up.ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {_y(at):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{_y(at) + 4:.1f}" text-anchor="end">{escaped(text)}</text>'
        )
    for at, text in across.ticks:
        parts.append(f'<path class="grid" d="M{_x(at):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(
            f'<text x="{_x(at):.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">'
            f"{escaped(text)}</text>"
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) // 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escaped(across.label)}</text>"
    )
    middle = (_HEIGHT - _BOTTOM) // 2
    parts.append(
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escaped(up.label)}</text>"
    )
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}{content}</svg>"
    )


def _dots(points: Sequence[tuple[float, float, Outcome]], metric: Metric) -> str:
    """Circles, complete trials above the others."""
    ordered = sorted(points, key=lambda point: point[2].state == COMPLETE)
    return "".join(
        f'<circle class="{color_class(outcome)}" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4">'
        f"{_title(outcome, metric)}</circle>"
        for x, y, outcome in ordered
    )


def _title(outcome: Outcome, metric: Metric) -> str:
    text = (
        f"trial {outcome.number}, {outcome.state}: {metric.name} {format_value(outcome.result)}; "
        f"{format_values(outcome.values)}"
    )
    return f"<title>{escaped(text)}</title>"


def _key_axis(key: str, of: Range | Choice) -> Axis:
    if isinstance(of, Range):
        axis = _log_axis if of.kind == "log_uniform" else _number_axis
        return axis(key, of.low, of.high)
    count = len(of.values)
    places = {value: (i + 0.5) / count for i, value in enumerate(of.values)}
    return Axis(
        key, tuple((at, format_value(v)[:12]) for v, at in places.items()), places.__getitem__
    )


def _result_axis(outcomes: Sequence[Outcome], metric: Metric) -> Axis:
    """Over the complete trials' results where there are any, for others may be far off."""
    complete = [o.result for o in outcomes if o.state == COMPLETE]
    results = complete or [o.result for o in outcomes]
    low, high = min(results), max(results)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1
    return _number_axis(metric.name, low - margin, high + margin)


def _number_axis(label: str, low: float, high: float) -> Axis:
    """Ticks at three to seven round numbers, whole ones where both ends are."""
    step = 10 ** math.floor(math.log10((high - low) / 3))
    step *= max(factor for factor in (1, 2, 5) if factor * step * 3 <= (high - low) * 1.0001)
    if isinstance(low, int) and isinstance(high, int):
        step = max(round(step), 1)
    first = math.ceil(low / step - 1e-9)
    values = [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]

    def place(value: float) -> float:
        return min(max((value - low) / (high - low), 0.0), 1.0)

    return Axis(label, tuple((place(value), f"{value:.5g}") for value in values), place)


def _log_axis(label: str, low: float, high: float) -> Axis:
    """Ticks at powers of ten, or at both ends where fewer than two lie between them."""
    powers = [10.0**i for i in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    values = powers[:: len(powers) // 7 + 1] if len(powers) > 1 else [low, high]

    def place(value: float) -> float:
        at = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return min(max(at, 0.0), 1.0)

    return Axis(label, tuple((place(value), f"{value:.3g}") for value in values), place)

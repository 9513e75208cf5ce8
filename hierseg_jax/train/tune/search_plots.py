"""Plots of a search, as SVG; one without trials is empty."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from hierseg_jax.reports.plot_area import Area, Tick
from hierseg_jax.reports.templates import render
from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.outcome import COMPLETE, PRUNED, Outcome, best_outcome
from hierseg_jax.train.tune.space import Choice, Range, Space, format_value, format_values

_AREA = Area(420, 300, left=62, right=20, top=20, bottom=46)
# Of the plot of all keys, beside one another.
_AXIS_WIDTH = 130


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where values lie between 0 and 1; those beyond its ends are put at them."""

    label: str
    ticks: tuple[Tick, ...]
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
            steps.append((across.place(outcome.number), up.place(best.result)))
    places = [(across.place(outcome.number), outcome) for outcome in shown]
    return _plot(across, up, places, metric, "Results in the order of the trials.", steps)


def slice_plot(outcomes: Sequence[Outcome], key: str, of: Range | Choice, metric: Metric) -> str:
    """Results over the values of one key."""
    shown = [o for o in outcomes if o.result is not None and key in o.values]
    if not shown:
        return ""
    across, up = _key_axis(key, of), _result_axis(shown, metric)
    places = [(across.place(outcome.values[key]), outcome) for outcome in shown]
    return _plot(across, up, places, metric, f"Results over the values of {key}.")


def parallel_plot(outcomes: Sequence[Outcome], space: Space, metric: Metric) -> str:
    """A line for every complete trial through its values to its result; the best drawn thick."""
    shown = [o for o in outcomes if o.state == COMPLETE and o.values.keys() >= space.keys()]
    if not shown or len(space) < 2:
        return ""
    axes = [_key_axis(key, of) for key, of in space.items()] + [_result_axis(shown, metric)]
    area = dataclasses.replace(_AREA, width=max(_AREA.width, _AXIS_WIDTH * len(axes)))
    step = (area.width - _AXIS_WIDTH) / (len(axes) - 1)
    best = best_outcome(shown, metric.maximized)
    lines = []
    for outcome in sorted(shown, key=lambda o: o is best):
        values = [*(outcome.values[key] for key in space), outcome.result]
        places = [axis.place(value) for axis, value in zip(axes, values, strict=True)]
        lines.append((outcome is best, places, _title(outcome, metric)))
    return render(
        "train/tune/parallel_plot.svg",
        area=area,
        verticals=axes,
        xs=[_AXIS_WIDTH / 2 + i * step for i in range(len(axes))],
        lines=lines,
    )


def _plot(
    across: Axis,
    up: Axis,
    places: Sequence[tuple[float, Outcome]],
    metric: Metric,
    label: str,
    steps: Sequence[tuple[float, float]] = (),
) -> str:
    """Circles, complete trials above the others, and the steps of a line."""
    ordered = sorted(places, key=lambda place: place[1].state == COMPLETE)
    dots = [(color_class(o), x, up.place(o.result), _title(o, metric)) for x, o in ordered]
    return render(
        "train/tune/result_plot.svg",
        area=_AREA,
        across=across,
        up=up,
        dots=dots,
        steps=steps,
        label=label,
    )


def _title(outcome: Outcome, metric: Metric) -> str:
    return (
        f"trial {outcome.number}, {outcome.state}: {metric.name} {format_value(outcome.result)}; "
        f"{format_values(outcome.values)}"
    )


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
    complete = [o.result for o in outcomes if o.state == COMPLETE and o.result is not None]
    results = complete or [o.result for o in outcomes if o.result is not None]
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

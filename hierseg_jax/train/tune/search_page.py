"""What a search has found: as a page with plots, and as text for the screen."""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hierseg_jax.reports.templates import render
from hierseg_jax.system.wording import aligned, counted
from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.outcome import COMPLETE, Outcome, best_outcome
from hierseg_jax.train.tune.search_plots import color_class, history_plot, parallel_plot, slice_plot
from hierseg_jax.train.tune.space import Space, format_value

# Trials on the screen; the page has all.
_LIMIT = 10


@dataclasses.dataclass(frozen=True)
class Report:
    """All that is reported.

    Attributes:
      folder: of the study.
      config_file: as given with --config.
      overrides: of its keys, as given with --config.KEY.
      space: what is searched.
      metric: what is searched for.
      outcomes: all trials, in their order.
    """

    folder: Path
    config_file: str
    overrides: Mapping[str, Any]
    space: Space
    metric: Metric
    outcomes: Sequence[Outcome]

    @property
    def best(self) -> Outcome | None:
        """The best complete trial."""
        return best_outcome(self.outcomes, self.metric.maximized)


def train_command(report: Report, best: Outcome) -> list[str]:
    """The best values as a command for a shell, in pieces that can stand on lines of their own."""
    flags = [f"--config={report.config_file}"]
    values = dict(report.overrides) | dict(best.values)
    # repr gives a float in as many digits as make it the same one.
    flags += [f"--config.{key}={value}" for key, value in values.items()]
    flags.append(f"--workdir={report.folder}_best")
    return ["hierseg train", *map(shlex.quote, flags)]


def format_text(report: Report) -> str:
    """For the screen: how many trials, the best of them, and the command."""
    ranked = _ranked(report)
    rows = [_header(report), *(_cells(report, outcome) for outcome in ranked[:_LIMIT])]
    lines = [_count(report), "", *aligned(rows, "<")]
    if len(ranked) > _LIMIT:
        lines.append(f"and {len(ranked) - _LIMIT} more")
    best = report.best
    if best is None:
        return "\n".join([*lines, "", "No trial is complete yet."])
    command = " \\\n  ".join(train_command(report, best))
    return "\n".join([*lines, "", f"Train with the values of trial {best.number}:", command])


def format_page(report: Report) -> str:
    """The page; every string of the user's is escaped in it."""
    best, outcomes, metric = report.best, report.outcomes, report.metric
    badges = [(_count(report), "note")]
    if best is not None:
        result = f"best: trial {best.number}, {metric.name} {format_value(best.result)}"
        badges.append((result, "good"))
    slices = [slice_plot(outcomes, key, of, metric) for key, of in report.space.items()]
    return render(
        "train/tune/search_page.html",
        folder=report.folder,
        badges=badges,
        best=best,
        command=train_command(report, best) if best else [],
        history_plot=history_plot(outcomes, metric),
        states={color_class(o): o.state for o in reversed(outcomes) if o.result is not None},
        slice_plots=list(filter(None, slices)),
        parallel_plots=list(filter(None, [parallel_plot(outcomes, report.space, metric)])),
        header=_header(report),
        rows=[(_cells(report, outcome), outcome.note) for outcome in _ranked(report)],
    )


def _count(report: Report) -> str:
    counts = Counter(outcome.state for outcome in report.outcomes)
    parts = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    return f"{counted(len(report.outcomes), 'trial')}{f': {parts}' if parts else ''}"


def _ranked(report: Report) -> list[Outcome]:
    """Complete ones first, the best of them at the top; the others in their order."""
    sign = -1 if report.metric.maximized else 1
    return sorted(
        report.outcomes,
        key=lambda o: (
            (0, sign * o.result) if o.state == COMPLETE and o.result is not None else (1, o.number)
        ),
    )


def _header(report: Report) -> list[str]:
    return ["trial", "state", report.metric.name, "epochs", "time", *report.space]


def _cells(report: Report, outcome: Outcome) -> list[str]:
    return [
        str(outcome.number),
        outcome.state,
        "" if outcome.result is None else f"{outcome.result:.4f}",
        str(outcome.epochs),
        "" if outcome.seconds is None else _time(outcome.seconds),
        *(format_value(outcome.values.get(key, "")) for key in report.space),
    ]


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

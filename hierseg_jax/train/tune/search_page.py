"""What a search has found: as a page with plots, and as text for the screen."""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hierseg_jax.reports.document import badge_head, breakable, escaped, format_document
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


def train_command(report: Report) -> list[str]:
    """The best values as a command for a shell, in pieces that can stand on lines of their own."""
    flags = [f"--config={report.config_file}"]
    values = dict(report.overrides) | dict(report.best.values)
    # repr gives a float in as many digits as make it the same one.
    flags += [f"--config.{key}={value}" for key, value in values.items()]
    flags.append(f"--workdir={report.folder}_best")
    return ["python launch/train.py", *map(shlex.quote, flags)]


def format_text(report: Report) -> str:
    """For the screen: how many trials, the best of them, and the command."""
    ranked = _ranked(report)
    rows = [_header(report), *(_cells(report, outcome) for outcome in ranked[:_LIMIT])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_count(report), ""]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    if len(ranked) > _LIMIT:
        lines.append(f"and {len(ranked) - _LIMIT} more")
    if report.best is None:
        return "\n".join([*lines, "", "No trial is complete yet."])
    command = " \\\n  ".join(train_command(report))
    return "\n".join([*lines, "", f"Train with the values of trial {report.best.number}:", command])


def format_page(report: Report) -> str:
    """The page; every string of the user's is escaped in it."""
    best = report.best
    badges = {_count(report): "note"}
    if best is not None:
        result = f"best: trial {best.number}, {report.metric.name} {format_value(best.result)}"
        badges[result] = "good"
    slices = [
        slice_plot(report.outcomes, key, of, report.metric) for key, of in report.space.items()
    ]
    together = parallel_plot(report.outcomes, report.space, report.metric)
    sections = {
        "best": ("Best values", _best(report)),
        "history": ("History", _history(report)),
        "keys": ("By key", _columns(slices)),
        "together": ("Keys together", _columns([together])),
        "trials": ("Trials", _table(report)),
    }
    title = f"Tuning report: {report.folder.name}"
    return format_document(
        title, badge_head(str(report.folder), badges), sections, skip="Skip to the best"
    )


def _count(report: Report) -> str:
    counts = Counter(outcome.state for outcome in report.outcomes)
    parts = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    total = len(report.outcomes)
    return f"{total} trial{'' if total == 1 else 's'}{f': {parts}' if parts else ''}"


def _ranked(report: Report) -> list[Outcome]:
    """Complete ones first, the best of them at the top; the others in their order."""
    sign = -1 if report.metric.maximized else 1
    return sorted(
        report.outcomes,
        key=lambda o: (0, sign * o.result) if o.state == COMPLETE else (1, o.number),
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


def _columns(contents: Sequence[str]) -> str:
    """Cards beside one another, without the empty ones."""
    cards = "".join(f'<div class="card">{content}</div>' for content in contents if content)
    return f'<div class="columns">{cards}</div>' if cards else ""


def _best(report: Report) -> str:
    if report.best is None:
        return '<p class="card">No trial is complete yet.</p>'
    lines = " \\\n  ".join(map(escaped, train_command(report)))
    return (
        f'<div class="card"><p>The values of trial {report.best.number}; more epochs than the '
        f"search had are set with --config.epochs.</p><pre>{lines}</pre></div>"
    )


def _history(report: Report) -> str:
    states = {color_class(o): o.state for o in reversed(report.outcomes) if o.result is not None}
    legend = "".join(
        '<li><svg class="key" viewBox="0 0 1 1" aria-hidden="true">'
        f'<rect class="{color}" width="1" height="1"/></svg>'
        f"{'other' if color == 'test' else state}</li>"
        for color, state in sorted(states.items())
    )
    note = (
        f'<ul class="legend">{legend}</ul><p class="soft">The line is the best so far. Results '
        "beyond those of complete trials stand at the edge; trials that ended early show their "
        "last epoch.</p>"
    )
    plot = history_plot(report.outcomes, report.metric)
    return _columns([plot + note if plot else ""])


def _table(report: Report) -> str:
    if not report.outcomes:
        return ""
    header = "".join(f'<th scope="col">{breakable(name)}</th>' for name in _header(report))
    rows = []
    for outcome in _ranked(report):
        first, state, *rest = map(breakable, _cells(report, outcome))
        note = f'<span class="share">{escaped(outcome.note)}</span>' if outcome.note else ""
        cells = "".join(f"<td>{cell}</td>" for cell in (state + note, *rest))
        rows.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="card" style="overflow-x:auto"><table><thead><tr>{header}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )

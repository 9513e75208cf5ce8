"""The plot and the tables of the curve that frontier.py has measured.

python benchmarks/frontier_draw.py --measured=frontier/frontier.json --output=docs/frontier.svg

Prints Markdown: every point; what is best at every latency; and, for each of the others' points,
our best one that is no slower. Needs nothing but the JSON.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.frontier_table import (
    PRECISIONS,
    THREADS,
    Row,
    describe,
    format_comparison,
    format_points,
    front,
    read_rows,
)
from hierseg_jax.system.command_line import run

_MEASURED = flags.DEFINE_string("measured", None, "A frontier.json.")
_OUTPUT = flags.DEFINE_string("output", None, "The picture; .svg or .png.")
_LEVEL = flags.DEFINE_string("level", "", "Of the tree; the finest.")
flags.mark_flag_as_required("measured")

WHITE, INK, MUTED, GRID = "#ffffff", "#222222", "#8a8a8a", "#e6e6e6"
OURS = ("#2a6fbb", "#0b9a8d", "#7a5cc2", "#5f9e2f", "#3aa6d0", "#1f3f77", "#8fb3b0", "#b08fd8")
THEIRS = ("#d1495b", "#e08a1e", "#b8860b")


def draw_panel(axes: Axes, rows: Sequence[Row], threads: str, colours: Mapping[str, str]) -> None:
    """A line through the sizes of every network, and the front of ours, grey."""
    ours = front([row for row in rows if not row.theirs], threads)
    if ours:
        times = [row.milliseconds[threads] for row in ours]
        axes.step(times, [row.miou for row in ours], where="post", color=GRID, linewidth=7)
    for network, colour in colours.items():
        chosen = sorted(
            (row for row in rows if row.network == network),
            key=lambda row: row.milliseconds[threads],
        )
        theirs = any(row.theirs for row in chosen)
        for squares, marker, line in ((True, "X" if theirs else "s", "-"), (False, "d", ":")):
            shape = [row for row in chosen if (row.size[0] == row.size[1]) == squares]
            axes.plot(
                [row.milliseconds[threads] for row in shape],
                [row.miou for row in shape],
                color=colour,
                marker=marker,
                linestyle=line,
                linewidth=1,
                markersize=5,
                label=network if squares else None,
            )
    axes.set_xscale("log")
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def draw(content: Mapping[str, Any], rows: Sequence[Row], file: Path) -> None:
    """A panel for every precision and number of threads."""
    names = {theirs: [] for theirs in (False, True)}
    for row in rows:
        if row.network not in names[row.theirs]:
            names[row.theirs].append(row.network)
    colours = {name: OURS[i % len(OURS)] for i, name in enumerate(names[False])}
    colours |= {name: THEIRS[i % len(THEIRS)] for i, name in enumerate(names[True])}
    figure = Figure(figsize=(10, 8), layout="constrained", facecolor=WHITE)
    panels = figure.subplots(2, 2, sharey=True)
    for line, precision in zip(panels, PRECISIONS, strict=True):
        for axes, threads in zip(line, THREADS, strict=True):
            chosen = [row for row in rows if row.precision == precision]
            draw_panel(axes, chosen, threads, colours)
            for name in content["others"] if precision == "float32" else ():
                time = float(np.median(content["latencies"][name][threads]))
                axes.axvline(time, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
                place = axes.get_xaxis_transform()
                how = {"rotation": 90, "ha": "right", "fontsize": 7, "color": MUTED}
                axes.text(time, 0.03, name, transform=place, **how)
            called = "one thread" if threads == "1" else "two threads"
            axes.set_title(f"{precision}, {called}", loc="left", fontsize=10)
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("{x:g}")
            axes.tick_params("x", which="both", labelsize=7)
    for axes in panels[1]:
        axes.set_xlabel("ms of an image, onnxruntime")
    for axes in panels[:, 0]:
        axes.set_ylabel("mIoU on the pictures' own pixels")
    # Squares have the name of their line; dotted lines through diamonds are rectangles.
    lines = [axes for axes in panels[0, 0].get_lines() if not axes.get_label().startswith("_")]
    how = {"fontsize": 8, "frameon": False, "labelcolor": INK, "ncols": 5}
    figure.legend(lines, [line.get_label() for line in lines], loc="outside lower center", **how)
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    """Prints the tables and draws."""
    content = json.loads(Path(_MEASURED.value).read_text())
    rows = read_rows(content, _LEVEL.value)
    print(f"{format_points(rows)}\n\n{format_comparison(rows)}\n\n{describe(content)}")
    if _OUTPUT.value:
        draw(content, rows, Path(_OUTPUT.value))


if __name__ == "__main__":
    run(main)

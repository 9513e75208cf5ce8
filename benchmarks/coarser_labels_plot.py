"""The table and the plot of docs/tree.md, from runs on the data of coarser_labels.py.

python benchmarks/coarser_labels_plot.py --output=coarser_labels.svg \
    --runs="70 with parts=runs/few_0,runs/few_1,runs/few_2" ... \
    --runs="700 with parts=runs/all_0,runs/all_1,runs/all_2"

Reads the last epoch of every run's history.json. The first row is what the others start from, the
last is what they could reach.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hierseg_jax.system.command_line import run

_RUNS = flags.DEFINE_multi_string("runs", None, "NAME=WORKDIR,WORKDIR,...: a row; may repeat.")
_OUTPUT = flags.DEFINE_string("output", None, "The picture; .svg or .png.")
flags.mark_flags_as_required(["runs", "output"])

METRIC = "miou"
WHITE, INK, MUTED, DOT = "#ffffff", "#222222", "#8a8a8a", "#2a6fbb"


def last_epoch(workdir: str) -> dict[str, float]:
    """mIoU of every level, coarse to fine."""
    epochs = json.loads((Path(workdir) / "history.json").read_text())["epochs"]
    return {level: numbers[METRIC] for level, numbers in epochs[-1]["levels"].items()}


def draw_level(axes: Axes, level: str, values_rs: np.ndarray) -> None:
    """A dot for every seed and a bar at their mean, a line for every row, the first on top."""
    means_r = values_rs.mean(1)
    for end in (0, -1):
        axes.axvline(means_r[end], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    for row, values_s in enumerate(values_rs):
        axes.plot(values_s, [row] * len(values_s), "o", color=DOT, alpha=0.55, markersize=6)
        axes.plot([means_r[row]] * 2, [row - 0.24, row + 0.24], color=INK, linewidth=2)
        box = {"facecolor": WHITE, "edgecolor": "none", "pad": 1.5}
        axes.text(means_r[row], row - 0.32, f"{means_r[row]:.3f}", ha="center", bbox=box)
    axes.set_title(f"mIoU, {level}", loc="left", fontsize=10)
    axes.set_ylim(len(values_rs) - 0.6, -0.75)
    axes.margins(x=0.18)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params("y", length=0)
    axes.locator_params("x", nbins=4)


def draw(names: Sequence[str], levels: Sequence[str], values_lrs: np.ndarray, file: Path) -> None:
    """A panel for every level, the finest one first: that is what coarser labels lack."""
    figure = Figure(figsize=(9, 0.9 + 0.62 * len(names)), layout="constrained", facecolor=WHITE)
    panels = figure.subplots(1, len(levels), sharey=True).tolist()
    order = list(range(len(levels)))[::-1]
    for axes, k in zip(panels, order, strict=True):
        draw_level(axes, levels[k], values_lrs[k])
    panels[0].set_yticks(range(len(names)), names, fontsize=10)
    figure.savefig(file, dpi=150)


def format_table(
    names: Sequence[str], levels: Sequence[str], values_lrs: np.ndarray, finest: int = -1
) -> str:
    """Markdown: mean and standard deviation over seeds, and the share of the gap at the leaves."""
    columns = [*levels, "of the way"]
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    leaves_r = values_lrs[finest].mean(1)
    shares_r = (leaves_r - leaves_r[0]) / (leaves_r[-1] - leaves_r[0])
    for row, name in enumerate(names):
        cells = [f"{level[row].mean():.4f} ± {level[row].std(ddof=1):.4f}" for level in values_lrs]
        lines.append(f"| {name} | {' | '.join(cells)} | {shares_r[row]:.0%} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table and writes the picture."""
    rows = dict(row.split("=", 1) for row in _RUNS.value)
    found = [[last_epoch(workdir) for workdir in row.split(",")] for row in rows.values()]
    levels = list(found[0][0])
    values = [[[seed[level] for seed in row] for row in found] for level in levels]
    print(format_table(list(rows), levels, np.array(values)))
    draw(list(rows), levels, np.array(values), Path(_OUTPUT.value))


if __name__ == "__main__":
    run(main)

"""The plot and the tables of the curve that frontier.py has measured.

python benchmarks/frontier_draw.py --measured=frontier/frontier.json --output=docs/frontier.svg

Prints Markdown: every point; what is best at every latency; and, for each of the others' points,
our best one that is no slower. Needs nothing but the JSON.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.frontier_points import format_sides
from hierseg_jax.system.command_line import run

_MEASURED = flags.DEFINE_string("measured", None, "A frontier.json.")
_OUTPUT = flags.DEFINE_string("output", None, "The picture; .svg or .png.")
_LEVEL = flags.DEFINE_string("level", "", "Of the tree; the finest.")
flags.mark_flag_as_required("measured")

WHITE, INK, MUTED, GRID = "#ffffff", "#222222", "#8a8a8a", "#e6e6e6"
OURS = ("#2a6fbb", "#0b9a8d", "#7a5cc2", "#5f9e2f", "#3aa6d0", "#1f3f77")
THEIRS = ("#d1495b", "#e08a1e", "#b8860b")
PRECISIONS, THREADS = ("float32", "int8"), ("1", "2")


@dataclasses.dataclass(frozen=True)
class Row:
    """A point in one precision, at one level.

    Attributes:
      name, network, size: of the point.
      theirs: whether it is none of this project's networks.
      precision: `float32` or `int8`.
      miou_s, boundary_s: of every seed, on the pictures' own pixels.
      network_miou_s: on the network's pixels.
      milliseconds: by number of threads.
      minutes: of a training, the median.
    """

    name: str
    network: str
    size: tuple[int, int]
    theirs: bool
    precision: str
    miou_s: tuple[float, ...]
    boundary_s: tuple[float, ...]
    network_miou_s: tuple[float, ...]
    milliseconds: Mapping[str, float]
    minutes: float

    @property
    def miou(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.miou_s))


def read_rows(content: Mapping[str, Any], level: str = "") -> list[Row]:
    """All points that have latencies, in the file's order, float32 before int8."""
    rows = []
    for name, point in content["points"].items():
        seeds = list(point["seeds"].values())
        for precision in PRECISIONS:
            by_threads = content["latencies"].get(f"{name}.{precision}")
            if by_threads is None:
                continue

            def of(
                resolution: str, metric: str, seeds: Any = seeds, precision: str = precision
            ) -> tuple[float, ...]:
                levels = [seed[precision][resolution] for seed in seeds]
                return tuple(each[level or list(each)[-1]][metric] for each in levels)

            rows.append(
                Row(
                    name=name,
                    network=point["network"],
                    size=tuple(point["size"]),
                    theirs=point["theirs"],
                    precision=precision,
                    miou_s=of("original", "miou"),
                    boundary_s=of("original", "boundary_iou"),
                    network_miou_s=of("network", "miou"),
                    milliseconds={k: float(np.median(ms)) for k, ms in by_threads.items()},
                    minutes=float(np.median([seed["minutes"] for seed in seeds])),
                )
            )
    return rows


def front(rows: Sequence[Row], threads: str) -> list[Row]:
    """Those that no other is both as fast and better than, by latency."""
    best, kept = -np.inf, []
    for row in sorted(rows, key=lambda row: (row.milliseconds[threads], -row.miou)):
        if row.miou > best:
            best = row.miou
            kept.append(row)
    return kept


def best_within(rows: Sequence[Row], milliseconds: float, threads: str) -> Row | None:
    """The best of those that are no slower; None where there is none."""
    fast = [row for row in rows if row.milliseconds[threads] <= milliseconds]
    return max(fast, key=lambda row: row.miou, default=None)


def format_points(rows: Sequence[Row]) -> str:
    """Markdown: a line for every point; bold where it is on the front of one thread, float32."""
    by_key = {(row.name, row.precision): row for row in rows}
    leading = {row.name for row in front([r for r in rows if r.precision == "float32"], "1")}
    columns = [
        "network",
        "size",
        "mIoU, own pixels",
        "boundary IoU",
        "mIoU, network's pixels",
        "ms, 1 thread",
        "2 threads",
        "int8: mIoU",
        "ms, 1 thread",
        "2 threads",
        "minutes of training",
    ]
    lines = [f"| {' | '.join(columns)} |", f"| --- |{' --- |' * (len(columns) - 1)}"]
    for name in dict.fromkeys(row.name for row in rows):
        full, rounded = by_key.get((name, "float32")), by_key.get((name, "int8"))
        if full is None:
            continue
        miou = format_seeds(full.miou_s)
        cells = [
            full.network,
            format_sides(full.size),
            f"**{miou}**" if name in leading else miou,
            format_seeds(full.boundary_s),
            format_seeds(full.network_miou_s),
            *(f"{full.milliseconds[k]:.1f}" for k in THREADS),
        ]
        cells += (
            [format_seeds(rounded.miou_s), *(f"{rounded.milliseconds[k]:.1f}" for k in THREADS)]
            if rounded
            else ["–"] * 3
        )
        lines.append(f"| {' | '.join([*cells, f'{full.minutes:.0f}'])} |")
    return "\n".join(lines)


def format_comparison(rows: Sequence[Row]) -> str:
    """Markdown: for each of the others' points our best that is no slower, at every latency."""
    ours = [row for row in rows if not row.theirs]
    columns = ["", "mIoU", "threads", "ms", "ours, no slower", "mIoU", "ms", "ahead by"]
    lines = [f"| {' | '.join(columns)} |", f"| --- |{' --- |' * (len(columns) - 1)}"]
    for row in (row for row in rows if row.theirs):
        alike = [other for other in ours if other.precision == row.precision]
        for threads in THREADS:
            found = best_within(alike, row.milliseconds[threads], threads)
            cells = [
                f"{row.network} {format_sides(row.size)}, {row.precision}",
                f"{row.miou:.3f}",
                threads,
                f"{row.milliseconds[threads]:.1f}",
            ]
            cells += (
                [
                    f"{found.network} {format_sides(found.size)}",
                    f"{found.miou:.3f}",
                    f"{found.milliseconds[threads]:.1f}",
                    f"{found.miou - row.miou:+.3f}",
                ]
                if found
                else ["none", "", "", ""]
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_seeds(values: Sequence[float]) -> str:
    """Mean, and the deviation of single seeds where there are several."""
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.3f}"


def describe(content: Mapping[str, Any]) -> str:
    """The machine, the day and what else the numbers hold for."""
    machine, points = content["machine"], content["points"].values()
    epochs = sorted({point["epochs"] for point in points})
    seeds = sorted({seed for point in points for seed in point["seeds"]})
    text = (
        f"{machine['cores']} cores of {machine['processor']}, onnxruntime "
        f"{machine['onnxruntime']}, {machine['date']}; load {machine['load'][0]} before and "
        f"{machine['load'][1]} after; median over {machine['rounds']} rounds of the median of "
        f"{machine['runs']} runs, all files in turn. {' or '.join(map(str, epochs))} epochs, "
        f"seeds {', '.join(seeds)}."
    )
    for name in content["others"]:
        by_threads = content["latencies"][name]
        times = [f"{np.median(by_threads[k]):.1f}" for k in THREADS]
        text += f" {name}: {times[0]} ms on one thread, {times[1]} on two."
    return text


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

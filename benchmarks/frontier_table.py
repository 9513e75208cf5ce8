"""What frontier.py has measured, as rows and Markdown tables; no flags, no files."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.frontier_points import format_sides

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

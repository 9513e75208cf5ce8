"""The numbers of `benchmark`, to be read on a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hierseg_jax.system.wording import aligned

Row = Sequence[str]
# Share of the cores that others may keep busy before it is worth a word.
_BUSY = 0.3


def format_benchmark(result: dict[str, Any]) -> str:
    """The machine, a table of the files, and one of their speed.

    Args:
      result: as `hierseg benchmark --json` writes it.
    """
    machine, (height, width) = result["machine"], result["frame"]
    files = result["files"]
    several, names = len(files) > 1, _names([each["file"] for each in files])
    about: list[Row] = [("file", "contract", "precision", "input", "size", "weights", "memory")]
    about += [
        (
            name,
            each["contract"],
            each["precision"] or "-",
            "{}x{}".format(*each["input"]),
            f"{each['bytes'] / 1e6:.1f} MB",
            "-" if each["weights"] is None else f"{each['weights'] / 1e6:.2f} M",
            "-" if each["memory_bytes"] is None else f"+{each['memory_bytes'] / 1e6:.0f} MB",
        )
        for name, each in zip(names, files, strict=True)
    ]
    head = ["file", "threads", "network p50", "p90", "p99", "whole p50", "p90", "p99", "FPS"]
    speed: list[Row] = [[*head, *(["x network", "x whole"] if several else [])]]
    speed += [
        [
            name,
            f"{threads} {each['provider']}",
            *(f"{ms:.1f}" for ms in numbers["network_ms"].values()),
            *(f"{ms:.1f}" for ms in numbers["end_to_end_ms"].values()),
            f"{numbers['fps']:.0f}",
            *(f"{numbers[key]:.2f}" for key in ("network_ratio", "end_to_end_ratio") if several),
        ]
        for threads in files[0]["threads"]
        for name, each in zip(names, files, strict=True)
        for numbers in [each["threads"][threads]]
    ]
    shown = result["picture"] or "noise"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; onnxruntime {machine['onnxruntime']} "
        f"with {', '.join(machine['providers'])}",
        "",
        *aligned(about, "<>"),
        "",
        f"Milliseconds a picture of {height}x{width} ({shown}): in the network, and on the whole, "
        "to label maps of its size"
        + ("; times those of the first file, by the median of rounds." if several else "."),
        *aligned(speed, "<>"),
    ]
    load, cores = machine["load"], machine["cores"]
    if load is not None and load > _BUSY * cores:
        lines.append(
            f"note: others kept the machine busy (load {load:.1f} on {cores} cores); it can do "
            "better than these milliseconds, and ratios hold better than they do."
        )
    return "\n".join(lines)


def _names(files: Sequence[str]) -> list[str]:
    """Without folders, where that tells them apart."""
    names = [Path(file).name for file in files]
    return names if len(set(names)) == len(names) else list(files)

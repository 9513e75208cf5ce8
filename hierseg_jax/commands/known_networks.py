"""The networks, how large they are, and what was measured of them; known without JAX.

A test holds the parameters and multiply-adds of known_networks.csv against the code; the rest of it
is of the pages named here.
"""

import csv
import dataclasses
import functools
import importlib.resources
from collections.abc import Sequence

from hierseg_jax.system.wording import aligned

NUM_CLASSES, SIDE = 7, 192
"""That parameters, multiply-adds and times are of."""


@dataclasses.dataclass(frozen=True)
class KnownNetwork:
    """A network with one of its backbones.

    Attributes:
      name: of `models.NETWORKS`.
      backbone: None where there is none to choose.
      parameters: trainable numbers.
      multiply_adds: of convolutions, for one image.
      milliseconds: of its `deploy` file for one image; None where it was not measured.
      miou: of person, groups and parts of the photographs; empty where it was not measured.
      note: which of `NOTES` tells how.
    """

    name: str
    backbone: str | None
    parameters: int
    multiply_adds: int
    milliseconds: float | None = None
    miou: tuple[float, ...] = ()
    note: str = ""


@functools.cache
def known_networks() -> tuple[KnownNetwork, ...]:
    """Those of `known_networks.csv`, in its order."""
    table = importlib.resources.files(__package__).joinpath("known_networks.csv")
    return tuple(map(_read_row, csv.DictReader(table.read_text("utf-8").splitlines())))


def _read_row(row: dict[str, str]) -> KnownNetwork:
    miou = [row[level] for level in ("person", "group", "part")]
    return KnownNetwork(
        row["name"],
        row["backbone"] or None,
        int(row["parameters"]),
        int(row["multiply_adds"]),
        float(row["milliseconds"]) if row["milliseconds"] else None,
        tuple(map(float, filter(None, miou))),
        row["note"],
    )


NOTES = {
    "a": "on their own pixels, by configs/tree.py without poor cameras, mean of two seeds",
    "b": "on their own pixels, by the published recipe, mean of two seeds",
    "c": "at the network's size, by the published recipe, mean of two seeds",
}


def all_backbones() -> str:
    """As `b0, b1`."""
    return ", ".join(known.backbone for known in known_networks() if known.backbone)


def format_networks(networks: Sequence[KnownNetwork]) -> str:
    """A line each below a heading, and what the columns are; 90 columns at most."""
    heading = (
        "network",
        "backbone",
        "parameters",
        "multiply-adds",
        "time",
        "mIoU: person, group, part",
    )
    lines = aligned([heading, *map(_cells, networks)], "<<>>><")
    lines.insert(1, "-" * max(map(len, lines)))
    notes = (f"  {letter}  {text}" for letter, text in NOTES.items())
    return "\n".join(
        [
            *lines,
            "",
            f"For {NUM_CLASSES} classes at {SIDE} x {SIDE} pixels. Time: of a deploy file on one "
            "thread of\nan Intel Xeon (docs/latency.md). Then mIoU on 150 street photographs "
            "after\n20 epochs (docs/results.md):",
            *notes,
        ]
    )


def _cells(known: KnownNetwork) -> tuple[str, ...]:
    time = "" if known.milliseconds is None else f"{known.milliseconds:.1f} ms"
    miou = "  ".join([*(f"{each:.3f}" for each in known.miou), known.note])
    parameters, multiply_adds = known.parameters / 1e6, known.multiply_adds / 1e9
    return (
        known.name,
        known.backbone or "",
        f"{parameters:.2f} M",
        f"{multiply_adds:.2f} G",
        time,
        miou,
    )

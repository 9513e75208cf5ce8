"""The networks, how large they are, and what was measured of them; known without JAX.

A test holds parameters and multiply-adds against the code; the rest is of the pages named here.
"""

import dataclasses
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


KNOWN_NETWORKS = (
    KnownNetwork("effunet", "b0", 4_100_091, 394_398_080, None, (0.830, 0.526, 0.465), "c"),
    KnownNetwork("effunet", "b1", 6_605_727, 529_589_632),
    KnownNetwork("effunet", "b2", 7_801_201, 617_036_416),
    KnownNetwork("effunet", "b3", 10_843_223, 876_465_536),
    KnownNetwork("effunet", "b4", 17_752_919, 1_323_065_184),
    KnownNetwork("effunet", "b5", 28_554_711, 2_016_877_632),
    KnownNetwork("effunet", "b6", 41_018_591, 2_817_415_392),
    KnownNetwork("effunet", "b7", 64_160_839, 4_245_635_840),
    KnownNetwork("effunet", "lite0", 3_463_551, 393_770_880, 9.9, (0.919, 0.703, 0.630), "a"),
    KnownNetwork("effunet", "lite1", 4_228_223, 479_935_872),
    KnownNetwork("effunet", "lite2", 4_956_591, 557_825_472),
    KnownNetwork("effunet", "lite3", 7_161_903, 798_435_648),
    KnownNetwork("effunet", "lite4", 12_160_271, 1_216_226_304),
    KnownNetwork("effunet", "lite0_short", 429_199, 194_294_016, 6.5),
    KnownNetwork("esnet", None, 1_659_194, 1_684_233_216, 26.7, (0.856, 0.584, 0.486), "b"),
    KnownNetwork("esnet_small", None, 422_810, 454_450_176, 13.3),
    KnownNetwork("esnet_mini", None, 183_194, 246_832_128),
)

NOTES = {
    "a": "on their own pixels, by configs/tree.py, mean of three seeds",
    "b": "on their own pixels, by the published recipe, mean of two seeds",
    "c": "at the network's size, by the published recipe, mean of two seeds",
}


def backbones_of(name: str) -> str:
    """As `b0, b1`; empty where there is nothing to choose."""
    return ", ".join(k.backbone for k in KNOWN_NETWORKS if k.name == name and k.backbone)


def format_networks(networks: Sequence[KnownNetwork] = KNOWN_NETWORKS) -> str:
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
            "thread of\nan Intel Xeon (docs/performance.md). Then mIoU on 150 street photographs "
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

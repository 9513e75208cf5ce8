"""Time from a process's start to its first training step, of two checkouts.

python benchmarks/first_step.py --before=CHECKOUT

Processes of the checkout named and of this one alternate. Each pair starts with nothing kept
(cold: no compiled kernels, no compiled programs) and is followed by a pair that finds what the
first has left (warm). Without --before this checkout alone is timed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError

_BEFORE = flags.DEFINE_string("before", None, "A checkout to compare with.")
_NETWORKS = flags.DEFINE_list("networks", ["esnet", "effunet"], "Of hierseg models.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Cold and warm processes of each checkout.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Side in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")

HERE = Path(__file__).parent
KEPT = ("HIERSEG_JAX_CACHE", "JAX_COMPILATION_CACHE_DIR")
Numbers = dict[str, float]


def child(checkout: Path, network: str, cache: str) -> Numbers:
    """Seconds to the first step, and of a later one."""
    environment = {name: value for name, value in os.environ.items() if name not in KEPT}
    environment |= {"HIERSEG_JAX_CACHE": cache, "PYTHONPATH": str(checkout)}
    script = str(HERE / "first_step_process.py")
    command = [sys.executable, script, network, str(_IMAGE_SIZE.value), str(_BATCH_SIZE.value)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    arrived = [(time.perf_counter() - began, line) for line in process.stdout]
    if process.wait():
        raise HiersegError(f"{' '.join(command)} failed.")
    # The first line comes after the first step, the last tells what later ones take.
    return {"first": arrived[0][0], "step": json.loads(arrived[-1][1])["step"]}


def compare(network: str, checkouts: dict[str, Path]) -> None:
    """Rounds of all checkouts; prints medians, and ratios within rounds."""
    found: dict[tuple[str, str], list[Numbers]] = {}
    for _ in range(_ROUNDS.value):
        with tempfile.TemporaryDirectory() as scratch:
            for kind in ("cold", "warm"):
                for name, checkout in checkouts.items():
                    numbers = child(checkout, network, f"{scratch}/{name}")
                    found.setdefault((kind, name), []).append(numbers)
    for (kind, name), rounds in found.items():
        first, step = (statistics.median(n[key] for n in rounds) for key in ("first", "step"))
        line = f"{network}, {kind}, {name}: first step after {first:.2f} s, later ones {step:.2f} s"
        if name != "before" and "before" in checkouts:
            pairs = zip(rounds, found[kind, "before"], strict=True)
            ratios = sorted(ours["first"] / theirs["first"] for ours, theirs in pairs)
            line += f"; {statistics.median(ratios):.2f} of before"
            line += f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line, flush=True)


def main() -> None:
    """All networks, one after the other."""
    checkouts = {"before": Path(_BEFORE.value)} if _BEFORE.value else {}
    checkouts["now"] = HERE.parent
    for network in _NETWORKS.value:
        compare(network, {name: path.absolute() for name, path in checkouts.items()})


if __name__ == "__main__":
    run(main)

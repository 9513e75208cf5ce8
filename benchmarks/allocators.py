"""What keeping freed memory for the next step is worth beside other allocators.

python benchmarks/allocators.py --networks=esnet,effunet --rounds=5

The training step of train_step.py in processes that alternate: with the hook of
`hierseg_jax/system/memory` into jaxlib, without it, and without it but with jemalloc or mimalloc
in malloc's place, by LD_PRELOAD. Median step time, with the ratio to the hook's within rounds, and
peak resident memory (VmHWM). An allocator that is not installed is left out, and that is said
(Debian: libjemalloc2, libmimalloc2.0).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.memory import VARIABLE

_NETWORKS = flags.DEFINE_list("networks", ["esnet", "effunet"], "Of esnet, effunet.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Processes of each allocator.")
_STEPS = flags.DEFINE_integer("steps", 12, "Steps in a process, of which the median counts.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Side in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")
_JEMALLOC = flags.DEFINE_string("jemalloc", "libjemalloc.so.2", "Its shared object.")
_MIMALLOC = flags.DEFINE_string("mimalloc", "libmimalloc.so.2", "Its shared object.")

SCRIPT = Path(__file__).parent / "train_step_jax.py"
HOOK = "hook"
Numbers = dict[str, float]


def settings() -> dict[str, dict[str, str]]:
    """Environment variables by allocator."""
    found = {HOOK: {VARIABLE: "1"}, "malloc": {VARIABLE: "0"}}
    for name, library in (("jemalloc", _JEMALLOC.value), ("mimalloc", _MIMALLOC.value)):
        if is_preloaded(library):
            found[name] = {VARIABLE: "0", "LD_PRELOAD": library}
        else:
            print(f"{name} is left out: {library} can't be preloaded.", flush=True)
    return found


def is_preloaded(library: str) -> bool:
    """Whether the loader finds it: one that it does not find, it passes over."""
    script = "print(open('/proc/self/maps').read())"
    maps = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"LD_PRELOAD": library},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return Path(library).name.split(".so")[0] in maps


def child(network: str, environment: dict[str, str]) -> Numbers:
    """The numbers of one process."""
    sizes = (_IMAGE_SIZE.value, _BATCH_SIZE.value, _STEPS.value)
    command = [sys.executable, str(SCRIPT), network, *map(str, sizes)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environment, check=False
    )
    if done.returncode:
        raise HiersegError(f"{' '.join(command)} failed with {environment}.")
    return json.loads(done.stdout.splitlines()[-1])


def compare(network: str, allocators: dict[str, dict[str, str]], cache: str) -> None:
    """Rounds of all allocators; prints medians, and ratios within rounds."""
    allocators = {name: each | {"HIERSEG_JAX_CACHE": cache} for name, each in allocators.items()}
    child(network, allocators[HOOK])  # compiles
    rounds = [
        {name: child(network, each) for name, each in allocators.items()}
        for _ in range(_ROUNDS.value)
    ]
    print(f"{network}, {_IMAGE_SIZE.value} px, batch {_BATCH_SIZE.value}, {_STEPS.value} steps:")
    for name in allocators:
        step = statistics.median(each[name]["step"] for each in rounds)
        peak = statistics.median(each[name]["peak_gb"] for each in rounds)
        ratios = sorted(each[name]["step"] / each[HOOK]["step"] for each in rounds)
        print(
            f"  {name}: step {step:.3f} s, {statistics.median(ratios):.2f} of the hook's "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}); peak {peak:.2f} GB",
            flush=True,
        )


def main() -> None:
    """Every network with every allocator."""
    allocators = settings()
    with tempfile.TemporaryDirectory() as cache:
        for network in _NETWORKS.value:
            compare(network, allocators, cache)


if __name__ == "__main__":
    run(main)

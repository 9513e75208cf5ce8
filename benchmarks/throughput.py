"""Pictures a second of exported files, by pictures in a batch and threads.

python benchmarks/throughput.py --files=esnet.onnx,esnet_int8.onnx --batches=1,4,8 --threads=1,2

The files are of `hierseg export --contract=deploy --dynamic_batch`. Of each the scores alone are
computed, as in `hierseg predict`; bringing pictures to the network's size and labels back to theirs
is not counted. All ways take turns, a process each, for sessions with several threads slow one
another; medians over rounds. Beside it stands what a second of processor time gives: it holds
where others keep cores busy.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags

from hierseg_jax.runtime.metadata import SCORES
from hierseg_jax.runtime.onnx_part import part_for
from hierseg_jax.runtime.session import start_session
from hierseg_jax.system.command_line import run

_FILES = flags.DEFINE_list("files", None, "Exported with an open batch.", required=True)
_BATCHES = flags.DEFINE_list("batches", ["1", "4", "8"], "Pictures in a batch.")
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "Of onnxruntime.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of all ways in turn.")
_PICTURES = flags.DEFINE_integer("pictures", 48, "In a round, after a batch that is not counted.")
_WAY = flags.DEFINE_list("way", None, "File, batch and threads of one process; used inside.")


def measure(file: str, batch: int, threads: int) -> tuple[float, float]:
    """Pictures by the clock's second, and by the processor's."""
    part = part_for(Path(file).read_bytes(), [SCORES])
    session, _, _ = start_session(Path(file), part, "cpu", threads)
    given = session.get_inputs()[0]
    shape = (batch, *given.shape[1:])
    frames_nhwc = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    session.run(None, {given.name: frames_nhwc})
    runs = max(1, _PICTURES.value // batch)
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(runs):
        session.run(None, {given.name: frames_nhwc})
    worked, took = time.process_time() - worked, time.perf_counter() - began
    return runs * batch / took, runs * batch / worked


def main() -> None:
    """Prints a line for every way."""
    if _WAY.value:
        file, batch, threads = _WAY.value
        print(json.dumps(measure(file, int(batch), int(threads))))
        return
    ways = [(f, b, t) for f in _FILES.value for t in _THREADS.value for b in _BATCHES.value]
    rates: dict[tuple[str, str, str], list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(_ROUNDS.value):
        for way, found in rates.items():
            command = [sys.executable, *sys.argv, f"--way={','.join(way)}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found.append(json.loads(done.stdout))
    for (file, batch, threads), found in rates.items():
        clock, worked = (statistics.median(each) for each in zip(*found, strict=True))
        print(
            f"{file}: {threads} threads, batches of {batch}: {clock:.1f} pictures/s, "
            f"{worked:.1f} for a second of processor time"
        )


if __name__ == "__main__":
    run(main)

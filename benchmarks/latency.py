"""Latency of an exported network beside the reference's own export.

python benchmarks/latency.py --ours=esnet.onnx --theirs=theirs.onnx

Processes alternate: two sessions in one slow each other by their spinning threads. With a
file of the contract `deploy` a frame of 640x480 is taken to label maps of its size, for
theirs by the least code that does it; else only the network is timed.
"""

import json
import subprocess
import sys
import time

import cv2
import numpy as np
import onnxruntime
from absl import flags

from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.command_line import run

_OURS = flags.DEFINE_string("ours", None, "A file of launch/export.py.")
_THEIRS = flags.DEFINE_string("theirs", None, "A file of benchmarks/export_reference.py.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Processes for each.")
_RUNS = flags.DEFINE_integer("runs", 50, "Runs in a process, of which the median counts.")
_CHILD = flags.DEFINE_enum("child", None, ["ours", "theirs"], "Used by the benchmark itself.")
flags.mark_flags_as_required(["ours", "theirs"])


def median_seconds(work: object, runs: int) -> float:
    """Median of `runs` calls after five that do not count."""
    seconds = []
    for _ in range(runs + 5):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[5:]))


def measure(which: str) -> float:
    """Median seconds of one side, in this process."""
    deploy = Segmenter(_OURS.value).contract == "deploy"
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    if which == "ours" and deploy:
        segmenter = Segmenter(_OURS.value)
        return median_seconds(lambda: segmenter(frame, bgr=True), _RUNS.value)
    file = _OURS.value if which == "ours" else _THEIRS.value
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    image = np.random.default_rng(0).random((1, 3, side, side), np.float32)

    def lean_loop() -> np.ndarray:
        small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (side, side))
        given = (small.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        (mask,) = session.run(None, {"image": np.ascontiguousarray(given)})
        labels = mask[0].argmax(0).astype(np.uint8)
        return cv2.resize(labels, (640, 480), interpolation=cv2.INTER_NEAREST)

    work = lean_loop if deploy else lambda: session.run(None, {"image": image})
    return median_seconds(work, _RUNS.value)


def main() -> None:
    """Prints both medians and their ratio."""
    if _CHILD.value:
        print(json.dumps(measure(_CHILD.value)))
        return
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(_ROUNDS.value):
        for which, found in seconds.items():
            command = [sys.executable, *sys.argv, f"--child={which}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout))
    ours, theirs = (float(np.median(found)) for found in seconds.values())
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    print(
        f"ours {1e3 * ours:.1f} ms, theirs {1e3 * theirs:.1f} ms; ratio {np.median(ratios):.2f} "
        f"(median of {len(ratios)} rounds; {min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    run(main)

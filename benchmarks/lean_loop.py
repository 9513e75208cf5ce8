"""Frame to label map: exported files by `Segmenter`, beside a lean loop around the reference's.

python benchmarks/lean_loop.py --theirs=reference.onnx --ours=esnet.onnx,esnet_int8.onnx

`theirs` is of `export_reference.py`, `ours` of `hierseg export --contract=deploy`. The lean loop is
what its users write with onnxruntime as it comes: OpenCV's resize, a division, the network, numpy's
argmax, and classes enlarged as they are. All take turns, a process each; a ratio is the median of
rounds, with the least and the greatest.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import onnxruntime
from absl import flags

from hierseg_jax.runtime.pictures import as_picture
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.command_line import run

_THEIRS = flags.DEFINE_string("theirs", None, "The reference's export.", required=True)
_OURS = flags.DEFINE_list("ours", None, "Files of the contract deploy.", required=True)
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "Of onnxruntime.")
_PICTURE = flags.DEFINE_string("picture", None, "A photograph; by default noise.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of all files in turn.")
_FRAMES = flags.DEFINE_integer("frames", 60, "In a round, after five that do not count.")
_WAY = flags.DEFINE_list("way", None, "File and threads of one process; used inside.")

WIDTH, HEIGHT = 640, 480


def lean_loop(file: str, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """uint8 BGR [H, W, 3] -> uint8 [H, W], by a file of the reference's contract."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    height, width = given.shape[2:]

    def segment(frame_bgr: np.ndarray) -> np.ndarray:
        small_rgb = cv2.resize(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB), (width, height))
        image_nchw = (small_rgb.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        (mask_nchw,) = session.run(None, {given.name: np.ascontiguousarray(image_nchw)})
        label_hw = mask_nchw[0].argmax(0).astype(np.uint8)
        return cv2.resize(label_hw, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)

    return segment


def milliseconds(file: str, threads: int) -> float:
    """Of a frame, by the clock: the median."""
    if file == _THEIRS.value:
        segment: Callable[..., object] = lean_loop(file, threads)
    else:
        segmenter = Segmenter(file, provider="cpu", threads=threads, confidence=False)
        finest = [segmenter.hierarchy.levels[-1].name]  # as the lean loop has it

        def segment(frame_bgr: np.ndarray) -> object:
            return segmenter(frame_bgr, bgr=True, levels=finest)

    if _PICTURE.value:
        picture_bgr = cv2.cvtColor(as_picture(_PICTURE.value), cv2.COLOR_RGB2BGR)
        frame_bgr = cv2.resize(picture_bgr, (WIDTH, HEIGHT))
    else:
        frame_bgr = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    times = []
    for _ in range(5 + _FRAMES.value):
        frame = frame_bgr.copy()  # as a video gives it: in memory of its own
        began = time.perf_counter()
        segment(frame)
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[5:])


def main() -> None:
    """Prints a line for every file and number of threads."""
    if _WAY.value:
        print(json.dumps(milliseconds(_WAY.value[0], int(_WAY.value[1]))))
        return
    files = [_THEIRS.value, *_OURS.value]
    found: dict[tuple[str, str], list[float]] = {(f, t): [] for t in _THREADS.value for f in files}
    for _ in range(_ROUNDS.value):
        for way, times in found.items():
            command = [sys.executable, *sys.argv, f"--way={','.join(way)}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:  # it has said why
                sys.exit(done.returncode)
            times.append(json.loads(done.stdout))
    for (file, threads), times in found.items():
        pairs = zip(times, found[_THEIRS.value, threads], strict=True)
        ratios = [mine / theirs for mine, theirs in pairs]
        print(
            f"{threads} threads, {file}: {statistics.median(times):.1f} ms, "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    run(main)

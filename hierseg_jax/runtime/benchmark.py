"""How fast an exported network is: files in turn, round after round.

Two sessions at once would slow each other down, so that one is open at a time; and a machine is
never equally busy for long, so that files are compared within a round.
"""

import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hierseg_jax.runtime.onnx_weights import count_weights
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.machine import peak_memory

STAGES = ("preprocess", "inference", "postprocess")
"""Of a picture: brought to the network, the network, label maps of the picture's size."""
ROUNDS = 5
PERCENTILES = (50, 90, 99)
# Runs of a session before those that count, and that count at least.
_UNCOUNTED, _LEAST = 3, 3

Stages = dict[str, float]
Clock = Callable[[], float]
Open = Callable[[Path, int], Segmenter]


@dataclasses.dataclass(frozen=True)
class Times:
    """Of one file with so many threads.

    Attributes:
      rounds: seconds by stage, of every picture of every round.
    """

    rounds: tuple[tuple[Stages, ...], ...] = ()

    def milliseconds(self, *stages: str) -> dict[str, float]:
        """Percentiles over all pictures, of these stages together: `p50` and so on."""
        each = [sum(run[stage] for stage in stages) for runs in self.rounds for run in runs]
        found = 1e3 * np.percentile(each, PERCENTILES)
        return {f"p{share}": float(ms) for share, ms in zip(PERCENTILES, found, strict=True)}

    def medians(self, *stages: str) -> list[float]:
        """Seconds of these stages together, the median of every round."""
        return [
            statistics.median(sum(run[stage] for stage in stages) for run in runs)
            for runs in self.rounds
        ]

    def ratio(self, other: "Times", *stages: str) -> float:
        """How many times as long as the other one it takes: the median over rounds."""
        pairs = zip(self.medians(*stages), other.medians(*stages), strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def time_round(
    segmenter: Callable[..., Any], frame_bgr: np.ndarray, seconds: float, clock: Clock
) -> tuple[Stages, ...]:
    """Runs for so many seconds, after some that do not count.

    Args:
      segmenter: takes a picture and gives its `Segmentation`.
      frame_bgr: uint8 [H, W, 3].
      seconds: to be spent; three pictures are segmented in any case.
      clock: in seconds.
    """
    for _ in range(_UNCOUNTED):
        segmenter(frame_bgr, bgr=True)
    runs: list[Stages] = []
    end = clock() + seconds
    while clock() < end or len(runs) < _LEAST:
        # As a video gives it: in memory of its own.
        runs.append(segmenter(frame_bgr.copy(), bgr=True).seconds)
    return tuple(runs)


def time_files(
    files: Sequence[Path],
    threads: Sequence[int],
    frame_bgr: np.ndarray,
    seconds: float,
    open_file: Open,
    clock: Clock = time.perf_counter,
) -> dict[tuple[Path, int], Times]:
    """All files in turn, and again in the opposite order, one session at a time.

    Args:
      files: to be compared.
      threads: numbers of threads to try with each.
      frame_bgr: uint8 [H, W, 3].
      seconds: for each file, in all.
      open_file: of a file and a number of threads.
      clock: in seconds.
    """
    times = {(file, number): Times() for file in files for number in threads}
    share = seconds / (ROUNDS * len(threads))
    for turn in range(ROUNDS):
        for file in files[:: -1 if turn % 2 else 1]:
            for number in threads:
                runs = time_round(open_file(file, number), frame_bgr, share, clock)
                before = times[file, number].rounds
                times[file, number] = Times((*before, runs))
    return times


def describe_file(file: Path, segmenter: Segmenter, frame_bgr: np.ndarray) -> dict[str, Any]:
    """What is to be said of a file beside its speed, as plain JSON."""
    told = segmenter.metadata
    return {
        "file": str(file),
        "model": told.model if told else None,
        "contract": segmenter.contract + (", plain" if segmenter.plain else ""),
        "precision": told.precision if told else None,
        "input": list(segmenter.prepare(frame_bgr)[0].size),
        "bytes": file.stat().st_size,
        "weights": count_weights(file),
        "memory_bytes": memory_growth(file, segmenter, frame_bgr.shape),
        "provider": segmenter.provider,
    }


def describe_times(times: Times, first: Times) -> dict[str, Any]:
    """The numbers of one file with so many threads, as plain JSON; ratios to `first`."""
    whole = times.milliseconds(*STAGES)
    return {
        "network_ms": times.milliseconds("inference"),
        "end_to_end_ms": whole,
        "preprocess_ms": times.milliseconds("preprocess"),
        "postprocess_ms": times.milliseconds("postprocess"),
        "fps": 1e3 / whole["p50"],
        "runs": sum(map(len, times.rounds)),
        "network_ratio": times.ratio(first, "inference"),
        "end_to_end_ratio": times.ratio(first, *STAGES),
    }


def memory_growth(file: Path, segmenter: Segmenter, shape: tuple[int, ...]) -> int | None:
    """Bytes by which a fresh process grows, from before it opens the file to its peak.

    None where the system does not tell, and where it ended that process for its memory.
    """
    height, width = segmenter.image_size
    arguments = [str(file), segmenter.provider, *map(str, (height, width, *shape[:2]))]
    code = f"from {__name__} import print_growth; print_growth()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode > 0:  # below 0 it is the number of a signal
        done.check_returncode()
    return int(done.stdout) if done.stdout.strip() else None


def print_growth() -> None:
    """What `memory_growth` runs in a process of its own, and reads."""
    file, provider, *numbers = sys.argv[1:]
    height, width, rows, columns = map(int, numbers)
    frame_bgr = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
    before = peak_memory()
    size = height, width
    segmenter = Segmenter(file, provider=provider, image_size=size, confidence=False)
    for _ in range(_LEAST):
        segmenter(frame_bgr, bgr=True)
    after = peak_memory()
    print("" if before is None or after is None else after - before)

"""Trains for hours and watches what grows: memory, open files, checkpoints.

python benchmarks/long_run.py --hours=1 --workdir=runs/long

Starts launch/train.py on `configs/figures.py`, with more epochs than the time allows, looks at
its process five times a second and ends it by SIGTERM. Within an epoch memory rises and falls by
tens of megabytes with what is being decoded and saved, and freed memory is given back at an
epoch's end: what grows shows in the lowest of every two minutes, to which a line is fitted. The
lowest and highest of each sixth of the time are told as well. The samples stay in WORKDIR.csv
beside the run.
"""

import csv
import dataclasses
import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags

from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError

_HOURS = flags.DEFINE_float("hours", 1.0, "How long to train.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/long", "Folder of the run; must not exist.")

ROOT = Path(__file__).parents[1]
EVERY = 0.2
WINDOW = 120.0
PARTS = 6


@dataclasses.dataclass(frozen=True)
class Sample:
    """The process at one moment."""

    seconds: float
    anonymous_mb: float
    resident_mb: float
    open_files: int
    threads: int
    checkpoints: int


def look(pid: int, began: float, workdir: Path) -> Sample:
    """Reads /proc; memory that maps files is counted in `resident_mb` alone."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    folder = workdir / "checkpoints"
    return Sample(
        seconds=round(time.monotonic() - began, 1),
        anonymous_mb=int(status["RssAnon"].split()[0]) / 1024,
        resident_mb=int(status["VmRSS"].split()[0]) / 1024,
        open_files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(status["Threads"]),
        checkpoints=len(list(folder.iterdir())) if folder.is_dir() else 0,
    )


def floors(samples: list[Sample]) -> list[Sample]:
    """The sample of least memory of every window of `WINDOW` seconds."""
    windows = itertools.groupby(samples, key=lambda sample: sample.seconds // WINDOW)
    return [min(window, key=lambda sample: sample.anonymous_mb) for _, window in windows]


def slope(samples: list[Sample]) -> tuple[float, float]:
    """MB an hour, fitted by least squares, and its standard error."""
    hours = np.array([sample.seconds for sample in samples]) / 3600
    memory = np.array([sample.anonymous_mb for sample in samples])
    (rate, _), covariance = np.polyfit(hours, memory, 1, cov=True)
    return float(rate), float(covariance[0, 0] ** 0.5)


def report(samples: list[Sample]) -> None:
    """Prints what became of memory, files, threads and checkpoints after the first quarter."""
    rest = samples[len(samples) // 4 :]
    lows = floors(rest)
    rate, error = slope(lows)
    print(
        f"memory after the first quarter, lowest of every {WINDOW:g} s: "
        f"{lows[0].anonymous_mb:.1f} MB at first, {lows[-1].anonymous_mb:.1f} MB at last; "
        f"{rate:+.2f} +- {error:.2f} MB an hour"
    )
    ends = [len(samples) * part // PARTS for part in range(PARTS + 1)]
    for name, extreme in (("lowest", min), ("highest", max)):
        values = [
            extreme(sample.anonymous_mb for sample in samples[start:end])
            for start, end in itertools.pairwise(ends)
        ]
        print(f"{name} in each sixth of the time: {', '.join(f'{mb:.1f}' for mb in values)} MB")
    for name in ("open_files", "threads", "checkpoints"):
        values = [getattr(sample, name) for sample in rest]
        print(f"{name}: {min(values)} to {max(values)}")


def main() -> None:
    """Trains, watches, reports."""
    workdir = Path(_WORKDIR.value).absolute()
    if workdir.exists():
        raise HiersegError(f"{workdir} exists; choose another --workdir.")
    workdir.parent.mkdir(parents=True, exist_ok=True)
    flags_of_run = ["--config=configs/figures.py", f"--workdir={workdir}"]
    flags_of_run += ["--config.epochs=1000000", "--config.patience=0"]
    command = [sys.executable, "launch/train.py", *flags_of_run]
    samples: list[Sample] = []
    began = time.monotonic()
    log = workdir.with_suffix(".log")
    table = workdir.with_suffix(".csv")
    with log.open("w") as output, table.open("w", newline="", buffering=1) as rows:
        writer = csv.writer(rows)
        writer.writerow(field.name for field in dataclasses.fields(Sample))
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        try:
            while time.monotonic() - began < _HOURS.value * 3600:
                time.sleep(EVERY)
                if process.poll() is not None:
                    raise HiersegError(f"Training ended by itself; see {log}.")
                samples.append(look(process.pid, began, workdir))
                writer.writerow(dataclasses.astuple(samples[-1]))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    print(f"{_HOURS.value:g} hours: {log.read_text().count('images/s')} epochs")
    report(samples)


if __name__ == "__main__":
    run(main)

"""The curve of accuracy against latency: networks at many sizes, and what others would pick.

python benchmarks/frontier.py --data=photos/data.yaml --out_dir=frontier [--train] [--measure]

Without a flag it prints the commands of what has yet to be trained, of the points in
frontier.yaml; `--train` runs them one after the other. Every run is a folder
`OUT_DIR/runs/POINT_SEED`, which may be a link to a run that is there already; a stopped one goes
on. Networks of segmentation_models.pytorch train in an environment of their own
(frontier_torch.py), whose interpreter is `--torch_python`.

`--measure` exports every trained run, in float32 and int8, evaluates the files on the validation
split (as long as a file is no newer than what is known of it, that is taken) and times them all
in turn. Both kinds of network are treated alike:

- The weights of the last epoch, averaged. Nothing is chosen by the validation split.
- Latency: from a uint8 image of the network's size to a uint8 label map of that size, in
  onnxruntime on the CPU; scaling of pixels, normalisation and the choice of classes are part of
  it, resizing of pictures is not. The median over rounds of the median of some runs.
- Quality: mIoU and boundary IoU of that label map, and of scores brought to the pictures' own
  sizes, of all by frontier_measure.py. For our own these are the numbers of launch/evaluate.py.
- int8: onnxruntime's static quantisation of everything before the logits' last enlargement, with
  the same settings and calibration pictures.

A file of `--latency_only` is timed as it is: of an image float32 [1, 3, H, W] to probabilities,
where it is the reference's (export_reference.py). `frontier.json` of OUT_DIR is what
frontier_draw.py draws.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from absl import flags

from benchmarks.frontier_measure import evaluate_file, round_theirs, time_files
from benchmarks.frontier_points import ROOT, Point, is_trained, read_points, training_minutes
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.system.command_line import run

_DATA = flags.DEFINE_string("data", None, "The data.yaml.")
_OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder of runs, files and frontier.json.")
_POINTS = flags.DEFINE_string("points", str(ROOT / "benchmarks/frontier.yaml"), "The points.")
_ONLY = flags.DEFINE_list("only", [], "Networks or points, as lite0 or lite0_288x192; all.")
_SEEDS = flags.DEFINE_list("seeds", None, "Of the runs; those of the points' file.")
_TRAIN = flags.DEFINE_bool("train", False, "Run the commands that train.")
_MEASURE = flags.DEFINE_bool("measure", False, "Measure what is trained.")
_TORCH_PYTHON = flags.DEFINE_string(
    "torch_python", "python", "Interpreter with segmentation_models.pytorch."
)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of all files; 0: leave latencies as they are.")
_RUNS = flags.DEFINE_integer("runs", 30, "Of a file in a round.")
_MOST = flags.DEFINE_integer("most", None, "Evaluate so many pictures alone, to try it out.")
_LATENCY_ONLY = flags.DEFINE_multi_string("latency_only", [], "NAME=FILE; may repeat.")
flags.mark_flags_as_required(["data", "out_dir"])

PRECISIONS = ("float32", "int8")
Job = tuple[Point, int, Path]
"""A point, the seed and the workdir."""


def chosen_jobs() -> list[Job]:
    """All runs: first seeds first."""
    points, seeds = read_points(Path(_POINTS.value))
    seeds = seeds if _SEEDS.value is None else list(map(int, _SEEDS.value))
    only = set(_ONLY.value)
    runs = Path(_OUT_DIR.value).absolute() / "runs"
    return [
        (point, seed, runs / f"{point.name}_{seed}")
        for seed in seeds
        for point in points
        if not only or {point.network, point.name} & only
    ]


def train(jobs: list[Job], execute: bool) -> None:
    """Prints the commands of runs that have not come to their end, and runs them if asked to."""
    data = str(Path(_DATA.value).absolute())
    for point, seed, workdir in jobs:
        if is_trained(workdir, point.epochs):
            continue
        command = point.training(data, workdir, seed, sys.executable, _TORCH_PYTHON.value)
        print(f"PYTHONPATH={ROOT} {shlex.join(command)}", flush=True)
        if execute:
            path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=True)


def measure_run(job: Job, precision: str) -> tuple[Path, dict]:
    """Its file in a precision and what is known of its quality, both made where they are old."""
    point, seed, workdir = job
    folder = Path(_OUT_DIR.value) / "files"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{point.name}_{seed}.{precision}.onnx"
    if not _is_newer(file, workdir / "history.json"):
        if not point.theirs:
            export_checkpoint(
                str(workdir),
                str(file),
                which="last",
                contract="deploy",
                precision=precision,
                data=_DATA.value,
                overwrite=True,
            )
        elif precision == "float32":
            file.write_bytes((workdir / "network.onnx").read_bytes())
        else:
            round_theirs(workdir / "network.onnx", file, _DATA.value)
    known = file.with_suffix(".json")
    if not _is_newer(known, file):
        scores = evaluate_file(file, _DATA.value, _MOST.value)
        known.write_text(json.dumps(scores, indent=1))
    return file, json.loads(known.read_text())


def measure(jobs: list[Job]) -> None:
    """Writes frontier.json: every point with its seeds' scores, and the latency of the first."""
    target = Path(_OUT_DIR.value) / "frontier.json"
    before = json.loads(target.read_text()) if target.exists() else {}
    points: dict[str, dict] = {}
    timed: dict[str, Path] = {}
    trained = [job for job in jobs if is_trained(job[2], job[0].epochs)]
    print(f"{len(trained)} of {len(jobs)} runs are trained.")
    for job in trained:
        point, seed, workdir = job
        entry = points.setdefault(
            point.name,
            {
                "network": point.network,
                "size": point.size,
                "theirs": bool(point.theirs),
                "epochs": point.epochs,
                "seeds": {},
            },
        )
        found = entry["seeds"][str(seed)] = {"minutes": training_minutes(workdir)}
        for precision in PRECISIONS:
            file, found[precision] = measure_run(job, precision)
            timed.setdefault(f"{point.name}.{precision}", file)
        print(f"{point.name}, seed {seed}: {_summary(found)}", flush=True)
    others = dict(given.split("=", 1) for given in _LATENCY_ONLY.value)
    timed |= {name: Path(file) for name, file in others.items()}
    latencies, machine = before.get("latencies", {}), before.get("machine", {})
    if _ROUNDS.value:
        by_file, machine = time_files(list(timed.values()), _ROUNDS.value, _RUNS.value)
        latencies = {name: by_file[str(file)] for name, file in timed.items()}
    content = {"machine": machine, "points": points, "latencies": latencies}
    target.write_text(json.dumps(content | {"others": sorted(others)}, indent=1))
    print(f"Written to {target}")


def _summary(found: dict) -> str:
    return ", ".join(
        f"{precision} {scores['miou']:.4f} on own pixels"
        for precision in PRECISIONS
        for scores in [list(found[precision]["original"].values())[-1]]
    )


def _is_newer(file: Path, than: Path) -> bool:
    return file.exists() and file.stat().st_mtime >= than.stat().st_mtime


def main() -> None:
    """Trains or prints, then measures."""
    jobs = chosen_jobs()
    if _TRAIN.value or not _MEASURE.value:
        train(jobs, _TRAIN.value)
    if _MEASURE.value:
        measure(jobs)


if __name__ == "__main__":
    run(main)

"""Tells which of two evaluated runs is better, where, and whether it may be chance.

hierseg compare runs/first runs/second
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hierseg_jax.data.sizes import format_size
from hierseg_jax.evaluation.compare import compare, format_comparison
from hierseg_jax.evaluation.evaluation_files import METRICS_FILE
from hierseg_jax.evaluation.picture_counts import COUNTS_FILE, PictureCounts, read_counts
from hierseg_jax.evaluation.tables import describe_view
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, quoted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note
from hierseg_jax.system.paths import as_path, in_bucket
from hierseg_jax.system.wording import columns, counted, printable

FLAGS = CommandFlags()
_RUNS = FLAGS.list(
    "runs",
    None,
    "Two runs that have been evaluated, or folders of two evaluations; with a comma, or bare.",
    required=True,
)
_TASK = FLAGS.enum("task", "val", ["val", "test"], "The split, of runs.")
_MOST_COLUMNS = 20
HISTORY = "history.json"  # of checkpoint.choose, which comes with JAX
# What a run's folder has, or that of a checkpoint.
_OF_RUNS = ("run.json", "checkpoints", "files.json")


def evaluation_folder(given: str, task: str) -> Path:
    """Where the evaluation of a run lies, or the folder itself if it is one of an evaluation.

    Raises:
      ValueError: a sentence that tells how to evaluate.
    """
    path = as_path(given)
    places = (path, path / "evaluation" / task)
    for folder in places:
        if (folder / COUNTS_FILE).is_file() and (folder / METRICS_FILE).is_file():
            return folder
    if any((folder / METRICS_FILE).is_file() for folder in places):
        raise HiersegError(
            f"{given} was evaluated before evaluations kept what they count in every picture; "
            "evaluate again with the same command."
        )
    if not given or not any((path / name).exists() for name in _OF_RUNS):
        raise HiersegError(
            f"{given or 'An empty name'} is neither a run nor a folder that an evaluation has "
            "written. An exported file is evaluated first, into a folder: hierseg evaluate "
            "FILE.onnx --data=data.yaml --output=FOLDER"
        )
    which = "" if task == "val" else f" {quoted('task', task)}"
    raise HiersegError(
        f"{given} has not been evaluated on {task}: "
        f"hierseg evaluate {quoted('checkpoint', given)}{which}"
    )


def _read(folder: Path) -> tuple[PictureCounts, dict[str, Any]]:
    counts, file = read_counts(folder / COUNTS_FILE), folder / METRICS_FILE
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        _pixels(metrics), describe_view(metrics)
        same = metrics["images"] == len(counts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HiersegError(
            f"{file} is damaged or was not written by an evaluation; delete it and evaluate again."
        ) from error
    if not same:
        raise HiersegError(f"{file} and {COUNTS_FILE} are of two evaluations; evaluate again.")
    return counts, metrics


def _pixels(metrics: Mapping[str, Any]) -> str:
    """Those that an evaluation has counted."""
    if metrics.get("tiles") or metrics["resolution"] != "network":
        return "the pictures' own pixels"
    how = f" ({metrics['resize']})" if metrics["resize"] != "stretch" else ""
    return f"the network's {format_size(metrics['image_size'])} pixels{how}"


def _trained_since(folder: Path, metrics: Mapping[str, Any]) -> str:
    """A sentence where the run of an evaluation has gone on since; else empty."""
    run = folder.parent.parent
    try:
        rows = json.loads((run / HISTORY).read_text(encoding="utf-8"))["epochs"]
        now, then = rows[-1]["epoch"], metrics["epochs_trained"]
        chosen = "epoch" in folder.name  # of which no later one takes the place
        later = folder.parent.name == "evaluation" and not chosen and now > then
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return f"{run} has trained on since, from epoch {then} to {now}: evaluate it again." * later


def _titles(folders: Sequence[Path]) -> list[str]:
    """Short ones for two columns: of the run, or of the folder."""
    titles = [
        folder.parent.parent.name if folder.parent.name == "evaluation" else folder.name
        for folder in folders
    ]
    if titles[0] == titles[1]:
        titles = [folder.name for folder in folders]
    short = all(0 < columns(title) <= _MOST_COLUMNS for title in titles)
    return [*map(printable, titles)] if short and titles[0] != titles[1] else ["first", "second"]


@command(FLAGS, bare="runs")
def main() -> None:
    """Prints the comparison."""
    given = _RUNS.value
    if len(given) != 2:
        raise HiersegError(f"Two runs are compared; {counted(len(given), 'name')} given.")
    folders = [evaluation_folder(text, _TASK.value) for text in given]
    (first, metrics), (second, others) = map(_read, folders)
    refined = [of["resolution"] == "refined" for of in (metrics, others)]
    if _pixels(metrics) != _pixels(others):
        how = "refined" if any(refined) else "original"
        raise HiersegError(
            f"{folders[0]} has counted {_pixels(metrics)}, and {folders[1]} {_pixels(others)}: "
            f"evaluate both with --resolution={how}, and give the folders that this writes."
        )
    titles = _titles([each if in_bucket(each) else each.resolve() for each in folders])
    comparison = compare(first, second)
    for title, folder, of in zip(titles, folders, (metrics, others), strict=True):
        epoch = f"epoch {of['epoch']}, " if of.get("epoch") else ""
        pictures = describe_view(of, counted(of["images"], "image"))
        print(f"{title}: {folder}, {epoch}{pictures}")
    print(format_comparison(comparison, titles))
    notes = list(comparison.notes)
    if refined[0] != refined[1]:
        other = folders[refined.index(False)]
        tiled = any(of.get("tiles") for of in (metrics, others))
        notes.append(
            f"{folders[refined.index(True)]} has borders along the pictures' edges, and {other} "
            "has not, which is a part of the difference"
            + ("." if tiled else "; --resolution=refined gives both the same.")
        )
    since = map(_trained_since, folders, (metrics, others))
    for each in (*notes, *filter(None, since)):
        note(each)

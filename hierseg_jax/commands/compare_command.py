"""Tells which of two evaluated runs is better, where, and whether it may be chance.

hierseg compare runs/first runs/second
"""

import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from hierseg_jax.evaluation.compare import compare, format_comparison
from hierseg_jax.evaluation.evaluation_files import METRICS_FILE
from hierseg_jax.evaluation.picture_counts import COUNTS_FILE, PictureCounts, read_counts
from hierseg_jax.evaluation.tables import describe_view
from hierseg_jax.system.command_line import quoted, run
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import as_path
from hierseg_jax.system.wording import columns, counted

FLAGS = flags.FlagValues()
_RUNS = flags.DEFINE_list(
    "runs",
    None,
    "Two runs that have been evaluated, or folders of two evaluations.",
    required=True,
    flag_values=FLAGS,
)
_TASK = flags.DEFINE_enum("task", "val", ["val", "test"], "The split, of runs.", flag_values=FLAGS)
_MOST_COLUMNS = 20


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
    if path.is_file() or not path.exists():
        what = "is a file" if path.exists() else "does not exist"
        raise HiersegError(f"{given} {what}; give runs, or folders that an evaluation has written.")
    command = f"hierseg evaluate {quoted('checkpoint', given)}"
    if task != "val":
        command += f" {quoted('task', task)}"
    earlier = any((folder / METRICS_FILE).is_file() for folder in places)
    raise HiersegError(
        f"{given} was evaluated before evaluations kept what they count in every picture; once "
        f"again: {command}"
        if earlier
        else f"{given} has not been evaluated on {task}: {command}"
    )


def _read(folder: Path) -> tuple[PictureCounts, dict[str, Any]]:
    return read_counts(folder / COUNTS_FILE), json.loads((folder / METRICS_FILE).read_text("utf-8"))


def _titles(given: list[str]) -> list[str]:
    """Short ones for two columns."""
    titles = [as_path(text).name for text in given]
    short = all(0 < columns(title) <= _MOST_COLUMNS for title in titles)
    return titles if short and titles[0] != titles[1] else ["first", "second"]


def _run() -> None:
    """Prints the comparison."""
    given = _RUNS.value
    if len(given) != 2:
        raise HiersegError(f"Two runs are compared; {counted(len(given), 'name')} given.")
    folders = [evaluation_folder(text, _TASK.value) for text in given]
    (first, metrics), (second, others) = map(_read, folders)
    titles = _titles(given)
    comparison = compare(first, second)
    for title, folder, of in zip(titles, folders, (metrics, others), strict=True):
        epoch = f"epoch {of['epoch']}, " if of.get("epoch") else ""
        pictures = describe_view(of, counted(of["images"], "image"))
        print(f"{title}: {folder}, {epoch}{pictures}")
    print(format_comparison(comparison, titles))
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)


def main() -> None:
    """`hierseg compare`."""
    run(_run, FLAGS, bare="runs")

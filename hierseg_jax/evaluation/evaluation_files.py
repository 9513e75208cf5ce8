"""The files of an evaluation, and where they may go."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hierseg_jax.evaluation.picture_counts import (
    COUNTS_FILE,
    PICTURES_FILE,
    counts_bytes,
    is_counts,
    is_pictures,
    pictures_csv,
)
from hierseg_jax.evaluation.result import Evaluation
from hierseg_jax.system.atomic_writing import check_room, write_atomically, write_json
from hierseg_jax.system.errors import HiersegError

METRICS_FILE, REPORT_FILE = "metrics.json", "report.html"
GENERATOR = "hierseg_jax evaluation"
"""By which an evaluation knows its own pages."""


def write_evaluation(
    folder: Path, content: Mapping[str, Any], evaluation: Evaluation, page: str
) -> None:
    """Writes the FILES of an evaluation into a folder, made where it does not exist.

    Args:
      folder: where earlier ones of an evaluation are replaced.
      content: from `to_json`.
      evaluation: whose counts of every picture are written where they were kept.
      page: from `evaluation_page.format_page`.

    Raises:
      ValueError: if one of them is there that no evaluation has written; none is written.
      OSError: if one can't be written.
    """
    check_output(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if evaluation.counts is not None and evaluation.scores_n is not None:
        inner = evaluation.inner_labels
        table = pictures_csv(evaluation.counts, evaluation.scores_n, inner)
        write_atomically(folder / PICTURES_FILE, table.encode())
        write_atomically(folder / COUNTS_FILE, counts_bytes(evaluation.counts))
    write_atomically(folder / REPORT_FILE, page.encode())
    write_json(folder / METRICS_FILE, content)


def earlier_lead(file: Path, content: Mapping[str, Any]) -> float:
    """By how much the mIoU of the finest level was higher in an evaluation before.

    Args:
      file: its metrics.json; 0 where there is none of the same step and pictures.
      content: of the evaluation now, as in metrics.json.
    """
    try:
        earlier = json.loads(file.read_bytes())
        same = all(earlier[key] == content[key] for key in ("step", "images", "task"))
        finest = [*content["levels"]][-1]
        lead = earlier["levels"][finest]["miou"] - content["levels"][finest]["miou"]
    except (OSError, ValueError, KeyError, TypeError):  # none, another's, or without a number
        return 0.0
    return lead if same else 0.0


def check_output(folder: Path) -> None:
    """Refuses a folder in which an evaluation may not write its FILES.

    Raises:
      ValueError, OSError: a sentence, where one is there that no evaluation has written, or
        the folder can't be made.
    """
    check_room(folder)
    for name, is_ours in FILES.items():
        file = folder / name
        if file.exists() and not (file.is_file() and is_ours(file)):
            raise HiersegError(
                f"{file} is there and was not written by an evaluation; choose another --output."
            )


def _is_metrics(file: Path) -> bool:
    try:
        return "levels" in json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError, RecursionError):
        return False


def _is_report(file: Path) -> bool:
    with file.open("rb") as start:
        return f'name="generator" content="{GENERATOR}"'.encode() in start.read(1024)


FILES = {
    METRICS_FILE: _is_metrics,
    REPORT_FILE: _is_report,
    PICTURES_FILE: is_pictures,
    COUNTS_FILE: is_counts,
}
"""That an evaluation writes, and whether one that is there was written by one."""

"""The epochs of the run that a checkpoint belongs to."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from hierseg_jax.checkpoint.choose import FOLDER, HISTORY
from hierseg_jax.system.number_kinds import is_whole

# Numbers beyond these can't be drawn.
_LARGEST = 1e100


@dataclasses.dataclass(frozen=True)
class History:
    """What is known of a run's epochs.

    Attributes:
      rows: one an epoch, as history.json has them; perhaps none.
      reason: a sentence for why there are none; empty if there are.
    """

    rows: tuple[Mapping[str, Any], ...]
    reason: str = ""


def read_history(checkpoint: pathlib.Path) -> History:
    """The history.json of the run in whose folder a checkpoint lies.

    A file that can't be used costs the curves, not the report.
    """
    if checkpoint.parent.name != FOLDER:
        return History((), "The checkpoint lies in no run's folder, so there are no curves.")
    file = checkpoint.parent.parent / HISTORY
    if not file.is_file():
        return History((), f"There is no {file}, so there are no curves.")
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["epochs"]
        numbered = (row for row in rows if isinstance(row, dict) and is_whole(row.get("epoch")))
        usable = [row for row in numbered if abs(row["epoch"]) < 10**9]
    except (ValueError, LookupError, TypeError, RecursionError, OSError):
        return History((), f"{file} is not as a run writes it, so there are no curves.")
    if not usable:
        return History((), f"{file} holds no epoch yet, so there are no curves.")
    return History(tuple(sorted(usable, key=lambda row: row["epoch"])))


def points(history: History, *path: str) -> list[tuple[int, float]]:
    """(epoch, number) of every epoch that has a number, a finite one, under these keys."""
    found = []
    for row in history.rows:
        value: Any = row
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        # Which also leaves out NaN, and integers that no float holds.
        if isinstance(value, int | float) and -_LARGEST < value < _LARGEST:
            found.append((row["epoch"], float(value)))
    return found

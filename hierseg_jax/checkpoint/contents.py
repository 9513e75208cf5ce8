"""What a checkpoint's JSON must hold for its readers, whoever wrote it."""

import reprlib
from collections.abc import Mapping
from typing import Any

import jax

import hierseg_jax
from hierseg_jax.settings import Settings, read_stored
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

NUMBER = (int, float)
TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,),
    "epoch": (int, type(None)),
    "val_loss": (*NUMBER, type(None)),
    "score": (*NUMBER, type(None)),
}
PROGRESS_TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,),
    "rows": (list,),
    "best_loss": (*NUMBER, type(None)),
    "stale_epochs": (int,),
    "epoch_losses": (list,),
}
ROW_TYPES: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "val_loss": NUMBER,
    "levels": (dict,),
}
TEACHER_TYPES: dict[str, tuple[type, ...]] = {"path": (str,), "sha256": (str,)}
DATA_TYPES: dict[str, tuple[type, ...]] = {"examples": (int,), "bytes": (int,), "sha256": (str,)}


def checkpoint_meta(settings: Settings, hierarchy: Hierarchy, step: int = 0) -> dict[str, Any]:
    """The JSON of a checkpoint that belongs to no run, for `save_checkpoint`.

    Args:
      settings: of the network, and of the data that it is evaluated on.
      hierarchy: of the classes.
      step: training steps done.
    """
    return {
        "config": settings.to_dict(),
        "hierarchy": hierarchy.to_json(),
        "step": step,
        "epoch": None,
        "val_loss": None,
        "versions": {"hierseg_jax": hierseg_jax.__version__, "jax": jax.__version__},
    }


def completed_meta(meta: Mapping[str, Any]) -> tuple[dict[str, Any], Settings, Hierarchy]:
    """The JSON with the config's later keys, once all of it that is ever read is checked.

    And what is made of it: the run's settings and the tree of its classes.

    Raises:
      ValueError: the first thing that is not as it must be; no sentence by itself.
    """
    try:
        _check_types({"score": None, **meta}, TYPES, "")
        hierarchy = Hierarchy.from_json(meta.get("hierarchy"))
        settings = read_stored(meta.get("config"))
        progress = meta.get("progress")
        if progress is not None:
            _check_progress(progress)
        _check_data(meta.get("data", {}))
        _check_teachers(meta.get("teachers", []))
    except RecursionError:
        raise HiersegError("it is nested too deep") from None
    # Earlier versions knew one score.
    completed = {"score": meta["val_loss"], **meta, "config": settings.to_dict()}
    return completed, settings, hierarchy


def _check_progress(progress: Any) -> None:
    _check_mapping(progress, "progress")
    _check_types(progress, PROGRESS_TYPES, "progress.")
    for row in progress["rows"]:
        if not isinstance(row, Mapping):
            raise HiersegError(f"progress.rows holds {reprlib.repr(row)}, not mappings alone")
        _check_types(row, ROW_TYPES, "progress.rows: ")


def _check_data(data: Any) -> None:
    """Fingerprints by split, from `Inventory`."""
    _check_mapping(data, "data")
    for split, fingerprint in data.items():
        _check_mapping(fingerprint, f"data.{split}")
        _check_types(fingerprint, DATA_TYPES, "data: ")


def _check_teachers(teachers: Any) -> None:
    """What a run was taught by."""
    if not isinstance(teachers, list):
        raise HiersegError(f"teachers is {reprlib.repr(teachers)}, not a list")
    for teacher in teachers:
        _check_mapping(teacher, "teachers: an entry")
        _check_types(teacher, TEACHER_TYPES, "teachers: ")


def _check_mapping(value: Any, name: str) -> None:
    if not isinstance(value, Mapping):
        raise HiersegError(f"{name} is {reprlib.repr(value)}, not a mapping")


def _check_types(
    values: Mapping[str, Any], types: Mapping[str, tuple[type, ...]], prefix: str
) -> None:
    """JSON's own types, so that True is no number."""
    for key, expected in types.items():
        if key not in values:
            raise HiersegError(f"{prefix}{key} is missing")
        if type(values[key]) not in expected:
            names = " or ".join(kind.__name__ for kind in expected)
            raise HiersegError(f"{prefix}{key} is {reprlib.repr(values[key])}; expected {names}")

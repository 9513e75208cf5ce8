"""A run's folder: whose it is, and where its last checkpoint left off."""

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hierseg_jax.checkpoint import (
    FOLDER,
    HISTORY,
    check_arrays,
    checkpoint_steps,
    is_checkpoint,
    last_whole_checkpoint,
    load_checkpoint,
    newest_meta,
    read_contents,
)
from hierseg_jax.data.read.members import names_code
from hierseg_jax.models import SegmentationModel, Variant
from hierseg_jax.settings import Settings, read_settings, read_stored
from hierseg_jax.settings.building import tree_of
from hierseg_jax.settings.data_in_sight import data_in_sight, with_paths_of
from hierseg_jax.settings.fitting import settled
from hierseg_jax.system.atomic_writing import write_json
from hierseg_jax.system.devices.hosts import agree, is_main
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, HiersegOSError, warn
from hierseg_jax.system.paths import as_path
from hierseg_jax.system.wording import one_line
from hierseg_jax.train.initial import InitialWeights, initial_weights
from hierseg_jax.train.lock import LOCK, MARKER
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.same_data import (
    ALLOW,
    Inventories,
    fingerprints,
    keep_listings,
    what_changed,
)
from hierseg_jax.train.same_run import check_same_run
from hierseg_jax.train.state import TrainState
from hierseg_jax.tree.hierarchy import Hierarchy


def check_workdir(workdir: Path, settings: Settings, hierarchy: Hierarchy) -> None:
    """Makes sure that a folder is free, or holds this very run.

    A run that ended before it had learned anything, out of memory perhaps, leaves it free.

    Raises:
      ValueError: if it holds something else, or a run with other settings or another tree.
    """
    if (workdir / MARKER).is_file():
        before, tree, data_known = _read_marker(workdir / MARKER)
        if not checkpoint_steps(workdir) and not (workdir / HISTORY).exists():
            return
        if tree != hierarchy:
            raise HiersegError(
                f"{workdir} holds a run on another class tree ({', '.join(tree.class_names)}); "
                f"{settings.data.named} has {', '.join(hierarchy.class_names)}. Choose another "
                "--workdir."
            )
        check_same_run(before, settings, str(workdir), data_known=data_known)
        if settings.augmentation != "none" and tree.pairs != hierarchy.pairs:
            raise HiersegError(
                f"{workdir} holds a run whose data had the pairs {_named(tree)}; "
                f"{settings.data.named} has {_named(hierarchy)}. Give the data their earlier pairs "
                "to continue it, or choose another --workdir."
            )
    elif is_checkpoint(workdir):
        raise HiersegError(
            f"{workdir} is a checkpoint, not the folder of a run; to train from its weights, give "
            f"--config.init={workdir} and another --workdir."
        )
    elif workdir.is_dir() and any(entry.name != LOCK for entry in workdir.iterdir()):
        raise HiersegError(
            f"{workdir} is not empty and holds no run; choose a folder of its own for a run."
        )


def _read_marker(marker: Path) -> tuple[Settings, Hierarchy, bool]:
    """What a run was begun with, its tree, and whether a fingerprint of its data is kept."""
    try:
        stored = json.loads(marker.read_text(encoding="utf-8"))
        settings, tree = read_stored(stored["config"]), Hierarchy.from_json(stored["hierarchy"])
        return settings, tree, "data" in stored
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        reason = one_line(error, 300)
        raise HiersegError(f"{marker} is not as a run writes it ({reason}).") from error


def begun_settings(workdir: str, changes: Mapping[str, Any]) -> Settings | None:
    """What the run in a folder was begun with; None where no run is.

    Args:
      workdir: a folder, or a bucket's.
      changes: other values, by keys such as `data.worker_count`.

    Raises:
      ValueError, OSError: one sentence; a run whose data set is a function is refused, for that
        is not called because a file names it.
    """
    marker = as_path(workdir) / MARKER
    if not marker.is_file():
        return None
    begun, tree, _ = _read_marker(marker)
    begun = data_in_sight(begun, marker.parent)
    data = begun.data.named
    whole = "give the whole command, with --data"
    if names_code(begun.data.spec):
        raise HiersegError(
            f"The run in {workdir} was begun on {data}, which is code, and is not run because a "
            f"file names it; {whole}."
        )
    try:
        found = tree_of(begun.data)
    except FileNotFoundError as error:
        raise HiersegFileNotFoundError(
            f"{error} The run in {workdir} was begun on it; where it lies elsewhere now, {whole}."
        ) from error
    if found != tree:
        raise HiersegError(
            f"{data} has other classes than the run in {workdir}, {', '.join(tree.class_names)}. "
            "If they have changed, begin another run with --config.model.pretrained="
            f"{shlex.quote(workdir)}, which takes over what both know. If the run was begun on "
            f"other data, go to the folder in which it was begun, or {whole}."
        )
    return read_settings(begun.replace(changes))


def kept_settings(workdir: Path, settings: Settings) -> Settings:
    """Settings as a run's files tell them: see `with_paths_of`."""
    marker = workdir / MARKER
    try:
        begun = _read_marker(marker)[0] if marker.is_file() else settings
    except HiersegError:
        return settings  # which `check_workdir` has told
    return with_paths_of(settings, begun, workdir)


def choose_start(
    workdir: Path, settings: Settings, model: SegmentationModel, hierarchy: Hierarchy
) -> tuple[Settings, InitialWeights | None]:
    """What a run starts from, and its settings with all that this decides.

    A run that is continued needs no such weights: their file may be gone, and how its backbone
    computes stands in the folder.

    Raises:
      ValueError, OSError: as `initial_weights`.
    """
    if checkpoint_steps(workdir):
        return settled(settings, _stored_variant(workdir)), None
    weights = initial_weights(settings, model, hierarchy)
    return settled(settings, weights.variant if weights else Variant()), weights


def _stored_variant(workdir: Path) -> Variant:
    """How the backbone of a folder's run computes; the default where `check_workdir` objects."""
    try:
        return _read_marker(workdir / MARKER)[0].model.variant
    except (HiersegError, OSError):
        return Variant()


def claim_workdir(
    workdir: Path, settings: Settings, hierarchy: Hierarchy, inventories: Inventories
) -> None:
    """Makes the folder a run's own, after `check_workdir` and `restore`."""
    marker = workdir / MARKER
    try:
        (workdir / FOLDER).mkdir(parents=True, exist_ok=True)
        keep_listings(workdir, inventories)
        described = {"config": settings.to_dict(), "hierarchy": hierarchy.to_json()}
        write_json(marker, described | {"data": fingerprints(inventories)})
    except OSError as error:
        raise HiersegOSError(
            f"The workdir {workdir} can't be written: {error.strerror or error}"
        ) from error


def has_finished_epochs(workdir: Path) -> bool:
    """Whether any checkpoint of a run is of a validated epoch, or of one that followed it."""
    progress = newest_meta(workdir).get("progress") or {}
    return bool(progress.get("rows"))


def restore(
    workdir: Path,
    settings: Settings,
    hierarchy: Hierarchy,
    inventories: Inventories,
    initial_state: Callable[[], TrainState],
    cpu_threads: int,
) -> tuple[TrainState, Progress]:
    """The state of the last checkpoint that is whole, or a fresh one.

    Warns on stderr where the number of CPU threads differs from the checkpoint's:
    results then differ in their last bits.

    Raises:
      ValueError: if no checkpoint is whole, the last belongs to another run, or the data have
        changed and may not.
    """
    # The main process chooses, for it may set damaged ones aside.
    chosen = last_whole_checkpoint(workdir) if is_main() else None
    step = agree(int(chosen.name) if chosen else 0)
    state = initial_state()
    if not step:
        return state, Progress()
    folder = workdir / FOLDER / str(step)
    if not folder.is_dir():
        raise HiersegError(
            f"{folder} is missing on this host, process {jax.process_index()} of the run; the "
            "workdir must be in a file system that all hosts share."
        )
    meta, stored, tree = read_contents(folder)
    check_same_run(stored, settings, str(workdir), data_known="data" in meta)
    if tree != hierarchy:
        raise HiersegError(f"{folder} was trained on another class tree; choose another --workdir.")
    progress = Progress.from_json(meta["progress"])
    ended = progress.finished(settings.epochs, settings.patience)
    _check_data(meta.get("data", {}), inventories, workdir, settings, ended)
    loaded = load_checkpoint(folder, jax.tree.map(np.asarray, state.training))
    check_arrays(folder, "this run's network", loaded.variables, state.evaluated)
    if meta["cpu_threads"] != cpu_threads and is_main() and jax.default_backend() == "cpu":
        warn(
            f"the checkpoint was computed with {meta['cpu_threads']} CPU threads, now there are "
            f"{cpu_threads}; the result will differ in its last bits (NPROC sets the number)."
        )
    return TrainState.of_checkpoint(loaded.variables, loaded.training), progress


def _check_data(
    stored: Mapping[str, Any],
    inventories: Inventories,
    workdir: Path,
    settings: Settings,
    ended: bool,
) -> None:
    """Refuses data that have changed in any process, or says what did where that is allowed."""
    change = what_changed(stored, inventories, workdir)
    if not agree(int(bool(change))):
        return
    data = settings.data
    looked_at = " with ".join(filter(None, (data.named, data.negatives, data.unlabelled)))
    found = (
        f"{looked_at} is not what the run in {workdir} has trained on: "
        f"{change or 'the files that another process of the run sees have changed'}."
    )
    if not settings.data.allow_changed and ended:
        raise HiersegError(
            f"{found} It has ended. Begin another one at its weights, with --config.init={workdir} "
            "and another --name or --workdir."
        )
    if not settings.data.allow_changed:
        raise HiersegError(
            f"{found} Bring the data back, or go on with what is there now with "
            f"--config.{ALLOW}=True; the order of the pictures, the length of epochs and the "
            "schedules then follow it."
        )
    if is_main():
        warn(
            f"{found} Going on with what is there now. Epochs before and after are compared as if "
            "they were of one validation split; to compare anew, start another run with "
            f"--config.init={workdir}."
        )


def _named(tree: Hierarchy) -> str:
    names = tree.class_names
    return ", ".join(f"{names[left]} and {names[right]}" for left, right in tree.pairs) or "none"

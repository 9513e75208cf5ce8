"""Checkpoints through orbax: written while training goes on, checked when read.

A run's checkpoint is a folder `checkpoints/<step>` with the items `variables` (parameters
and batch statistics), `training` (optimizer, step, random key) and `meta` (JSON: the config,
the class tree, the run's history, and a hash of the arrays). Converted weights are such a
folder by themselves, without `training`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from hierseg_jax.train.config import completed

FOLDER = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One checkpoint as read.

    Attributes:
      path: its folder.
      variables: {"params": ..., "batch_stats": ...}, NumPy arrays.
      training: the rest of the training state, if it was asked for.
      meta: plain JSON.
    """

    path: Path
    variables: dict[str, Any]
    training: Any
    meta: dict[str, Any]


class CheckpointWriter:
    """Writes a run's checkpoints in the background and keeps those worth keeping.

    Kept are the `keep_last` newest, the `keep_best` of lowest validation loss, and one
    every `keep_every` steps. Use as a context manager: leaving it waits for the last
    write.
    """

    def __init__(
        self, workdir: Path, *, keep_last: int, keep_best: int, keep_every: int | None
    ) -> None:
        managers = ocp.checkpoint_managers
        policies = [
            managers.LatestN(keep_last),
            managers.BestN(
                get_metric_fn=lambda metrics: metrics["val_loss"],
                reverse=True,
                n=keep_best,
                keep_checkpoints_without_metrics=False,
            ),
        ]
        if keep_every:
            policies.append(managers.EveryNSteps(keep_every))
        self._folder = (workdir / FOLDER).absolute()
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=managers.AnyPreservationPolicy(policies),
                best_fn=lambda metrics: metrics["val_loss"],
                best_mode="min",
                cleanup_tmp_directories=True,
            ),
        )

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._manager.close()
        except Exception as failure:
            # An error that is already on its way says more than this one.
            if error is None:
                raise self._unwritable(failure) from failure

    def save(
        self,
        step: int,
        variables: Mapping[str, Any],
        training: Any,
        meta: Mapping[str, Any],
        val_loss: float | None,
    ) -> None:
        """Starts writing; returns before it is done.

        Args:
          step: steps done, the checkpoint's name.
          variables, training: NumPy arrays that nobody changes afterwards.
          meta: plain JSON.
          val_loss: decides which checkpoints are the best; None in mid-epoch.

        Raises:
          OSError: if this or the previous checkpoint can't be written; those before
            are intact.
        """
        digests = {
            "variables": _digest(variables),
            "training": _digest(training),
            "meta": _json_digest(meta),
        }
        meta = {**meta, "sha256": digests}
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(variables),
            training=ocp.args.StandardSave(training),
            meta=ocp.args.JsonSave(meta),
        )
        metrics = None if val_loss is None else {"val_loss": val_loss}
        try:
            self._manager.save(step, args=args, metrics=metrics, force=True)
        except Exception as failure:
            raise self._unwritable(failure) from failure

    def wait(self) -> None:
        """Waits until everything is written; raises OSError where it can't be."""
        try:
            self._manager.wait_until_finished()
        except Exception as failure:
            raise self._unwritable(failure) from failure

    def _unwritable(self, failure: Exception) -> OSError:
        return OSError(
            f"A checkpoint could not be written to {self._folder}: {_reason(failure)} (Is the "
            "disk full?) Checkpoints written before are intact; make room and give the same "
            "command again."
        )


def save_checkpoint(folder: Path, variables: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Writes a checkpoint that belongs to no run: `variables` and `meta` alone.

    Args:
      folder: missing or empty; it appears complete or not at all.
      variables: NumPy arrays.
      meta: plain JSON, with the keys `config`, `hierarchy`, `step`, `epoch` and `val_loss`.

    Raises:
      OSError: if it can't be written.
    """
    digests = {"variables": _digest(variables), "meta": _json_digest(meta)}
    items = ocp.args.Composite(
        variables=ocp.args.StandardSave(variables),
        meta=ocp.args.JsonSave({**meta, "sha256": digests}),
    )
    try:
        if folder.is_dir():
            folder.rmdir()  # orbax renames its own into place
        folder.parent.mkdir(parents=True, exist_ok=True)
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(folder.absolute(), items)
    except Exception as failure:
        raise OSError(
            f"The checkpoint {folder} could not be written: {_reason(failure)} (Is the disk full?)"
        ) from failure


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is itself a checkpoint, not a run that holds some."""
    return (path / "variables").is_dir() and (path / "meta").is_dir()


def checkpoint_steps(workdir: Path) -> list[int]:
    """Steps of a run's checkpoints, whole or damaged, ascending; empty where there is none."""
    folder = workdir / FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in folder.iterdir()
        if entry.name.isascii() and entry.name.isdecimal() and entry.is_dir()
    )


def find_checkpoint(path: Path | str, which: str = "best") -> Path:
    """The folder of one checkpoint.

    Args:
      path: a run's workdir, or a checkpoint's folder, which is returned as it is.
      which: of a workdir: `best` (lowest validation loss), `last`, or the number of
        an epoch.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    path = Path(path)
    if is_checkpoint(path):
        return path
    if path.is_file():
        raise ValueError(
            f"{path} is a file; give the workdir of a training run or a checkpoint's folder. "
            "(launch/convert.py makes one of PyTorch weights.)"
        )
    steps = checkpoint_steps(path)
    if not steps:
        found = "holds no checkpoint" if path.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"{path} {found}; give the workdir of a training run or a checkpoint's folder."
        )
    folders = {step: path / FOLDER / str(step) for step in steps}
    if which == "last":
        return folders[steps[-1]]
    metas = {step: read_meta(folder) for step, folder in folders.items()}
    if which == "best":
        losses = {s: m["val_loss"] for s, m in metas.items() if m.get("val_loss") is not None}
        if not losses:
            raise ValueError(f"No checkpoint in {path} has been evaluated yet; try --which=last.")
        return folders[min(losses, key=losses.__getitem__)]
    epochs = {str(meta["epoch"]): step for step, meta in metas.items() if meta.get("epoch")}
    if which not in epochs:
        raise ValueError(
            f"{path} has no checkpoint {which!r}; there are best, last and the epochs "
            f"{', '.join(epochs)}."
        )
    return folders[epochs[which]]


def read_meta(folder: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint.

    Raises:
      ValueError: if it can't be read, or is not as it was written.
    """
    return _checked_meta(_restore(folder, {"meta": ocp.args.JsonRestore()})["meta"], folder)


def load_checkpoint(folder: Path, training_like: Any = None) -> Checkpoint:
    """Reads a checkpoint and checks it against its stored hash.

    Args:
      folder: from `find_checkpoint`.
      training_like: a tree of arrays like the one saved as `training`; without it only
        the variables are given back.

    Raises:
      ValueError: if it can't be read, or is not as it was written.
    """
    items: dict[str, Any] = {
        "meta": ocp.args.JsonRestore(),
        "variables": ocp.args.StandardRestore(),
    }
    if training_like is not None:
        items["training"] = ocp.args.StandardRestore(training_like)
    restored = _restore(folder, items)
    meta = _checked_meta(restored.pop("meta"), folder)
    arrays = jax.tree.map(np.asarray, restored)
    for item, tree in arrays.items():
        if _digest(tree) != meta["sha256"][item]:
            raise _damaged(folder, item)
    return Checkpoint(folder, arrays["variables"], arrays.get("training"), meta)


def _checked_meta(meta: Any, folder: Path) -> dict[str, Any]:
    try:
        digests = meta["sha256"]
        rest = {key: value for key, value in meta.items() if key != "sha256"}
        intact = digests["meta"] == _json_digest(rest)
    except (LookupError, TypeError, AttributeError, ValueError):
        intact = False
    if not intact:
        raise _damaged(folder, "meta")
    return {**meta, "config": completed(meta["config"])}


def _damaged(folder: Path, item: str) -> ValueError:
    return ValueError(
        f"The checkpoint {folder} is damaged: its item {item} does not have the hash it was "
        "written with. Delete that folder to go on from an earlier one."
    )


def _json_digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _restore(folder: Path, items: dict[str, Any]) -> dict[str, Any]:
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        try:
            return dict(
                checkpointer.restore(folder.absolute(), ocp.args.Composite(**items)).items()
            )
        except Exception as failure:
            # orbax raises many kinds, bare `Exception` among them, for a cut file.
            raise ValueError(
                f"The checkpoint {folder} can't be read: {_reason(failure)} Delete that folder to "
                "go on from an earlier one."
            ) from failure


def _reason(failure: Exception) -> str:
    lines = str(failure).strip().splitlines()
    return lines[0] if lines else type(failure).__name__


def _digest(tree: Any) -> str:
    """SHA-256 over all arrays with their dtypes and shapes, in the order of the tree."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

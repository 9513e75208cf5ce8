"""Writes checkpoints: those of a run while it goes on, and those that belong to no run."""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from hierseg_jax.checkpoint.choose import FOLDER, SUPERSEDED, settle_superseded
from hierseg_jax.checkpoint.digest import json_digest, tree_digest
from hierseg_jax.checkpoint.folders import upload
from hierseg_jax.checkpoint.mirror import Mirror
from hierseg_jax.checkpoint.reader import alone
from hierseg_jax.checkpoint.seal import seal
from hierseg_jax.system.bucket_path import BucketPath
from hierseg_jax.system.errors import DEFECTS, HiersegFileExistsError, HiersegOSError
from hierseg_jax.system.paths import as_path, leads_nowhere


class CheckpointWriter:
    """Writes a run's checkpoints in the background and keeps those worth keeping.

    Kept are the `keep_last` newest, the `keep_best` of lowest score (of equal ones those of the
    lowest loss, or the first), and one every `keep_every` steps. Use as a context manager: leaving
    it waits for the last write.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        keep_last: int,
        keep_best: int,
        keep_every: int | None,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Looks at what is there.

        Args:
          workdir: of the run.
          keep_last, keep_best, keep_every: see the class.
          before: called before a checkpoint is written, and before any is removed from a bucket;
            what it raises keeps it from that.
        """
        self._before = before or (lambda: None)
        managers = ocp.checkpoint_managers
        policies = [
            managers.LatestN(keep_last),
            managers.BestN(
                get_metric_fn=_rank,
                reverse=True,
                n=keep_best,
                keep_checkpoints_without_metrics=False,
            ),
        ]
        if keep_every:
            policies.append(managers.EveryNSteps(keep_every))
        self._named = (workdir / FOLDER).absolute()
        self._mirror = Mirror(self._named) if isinstance(self._named, BucketPath) else None
        self._folder = self._mirror.near if self._mirror else self._named
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writing: int | None = None
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=managers.AnyPreservationPolicy(policies),
                best_fn=_score,
                best_mode="min",
                cleanup_tmp_directories=True,
                create=False,
                # The main process holds all of it and writes alone.
                multiprocessing_options=alone(),
                async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
            ),
        )

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            # It says more than what may come of closing.
            with contextlib.suppress(Exception):
                self._manager.close()
        else:
            with self._failing_in_a_sentence():
                self._manager.close()
            self._settle()
        if self._mirror is not None:
            self._mirror.close()

    def save(
        self,
        step: int,
        variables: Mapping[str, Any],
        training: Any,
        meta: Mapping[str, Any],
        score: float | None,
        val_loss: float | None = None,
    ) -> None:
        """Starts writing; returns before it is done.

        One of the same step, of a run that was stopped before its epoch was validated, is
        replaced once this one is whole.

        Args:
          step: steps done, the checkpoint's name.
          variables, training: NumPy arrays that nobody changes afterwards.
          meta: plain JSON.
          val_loss: decides between equal scores.
          score: decides which checkpoints are the best, those of the lowest; None in mid-epoch
            or where it is undefined.

        Raises:
          OSError: if this or the previous checkpoint can't be written; those before
            are intact.
        """
        args = _items(meta, variables=variables, training=training)
        metrics = None if score is None else {"score": score, "step": step}
        if metrics is not None and val_loss is not None:
            metrics["val_loss"] = val_loss
        self._before()
        self.wait()
        with self._failing_in_a_sentence():
            self._writing = step
            if step in self._manager.all_steps():
                if self._mirror is not None:
                    self._mirror.supersede(step)
                (self._folder / str(step)).rename(self._folder / f"{step}{SUPERSEDED}")
                self._manager.reload()
            self._manager.save(step, args=args, metrics=metrics, force=True)

    def wait(self) -> None:
        """Waits until everything is written; raises OSError where it can't be."""
        with self._failing_in_a_sentence():
            self._manager.wait_until_finished()
        self._settle()

    def _settle(self) -> None:
        settle_superseded(self._folder)
        if self._mirror is not None:
            self._before()
            with self._failing_in_a_sentence():
                self._mirror.settle(self._manager.all_steps())

    def _seal(self) -> None:
        """Called when a checkpoint is complete, before it takes its name."""
        for folder in self._folder.glob(f"{self._writing}.*tmp*"):
            seal(folder)
            if self._mirror is not None and self._writing is not None:
                self._mirror.upload(folder, self._writing)

    @contextlib.contextmanager
    def _failing_in_a_sentence(self) -> Iterator[None]:
        try:
            yield
        except DEFECTS:
            raise
        except Exception as failure:
            raise HiersegOSError(
                f"A checkpoint could not be written to {self._named}: {_reason(failure)} "
                "Checkpoints written before are intact; make room and give the same command again."
            ) from failure


def _score(metrics: Mapping[str, float]) -> float:
    """Checkpoints of earlier versions were judged by their validation loss alone."""
    return metrics["score"] if "score" in metrics else metrics["val_loss"]


def _rank(metrics: Mapping[str, float]) -> tuple[float, ...]:
    """The least is kept: of equal scores the lower loss, then the first, as `Progress` has it."""
    return _score(metrics), metrics.get("val_loss", 0.0), metrics.get("step", 0)


def save_checkpoint(
    folder: str | Path, variables: Mapping[str, Any], meta: Mapping[str, Any]
) -> None:
    """Writes a checkpoint that belongs to no run: `variables` and `meta` alone.

    Args:
      folder: missing or empty; it appears complete or not at all.
      variables: NumPy arrays.
      meta: plain JSON, with the keys `config`, `hierarchy`, `step`, `epoch` and `val_loss`.

    Raises:
      OSError: if it can't be written, or there is something.
    """
    folder = as_path(folder)
    if (folder.exists() or leads_nowhere(folder)) and not (
        folder.is_dir() and next(folder.iterdir(), None) is None
    ):
        raise HiersegFileExistsError(
            f"{folder} exists, and a checkpoint is to be written; choose another folder."
        )
    if isinstance(folder, BucketPath):
        with tempfile.TemporaryDirectory(prefix="hierseg_jax_") as scratch:
            save_checkpoint(Path(scratch) / folder.name, variables, meta)
            upload(Path(scratch) / folder.name, folder)
        return
    items = _items(meta, variables=variables)
    try:
        if folder.is_dir():
            folder.rmdir()  # orbax renames its own into place
        folder.parent.mkdir(parents=True, exist_ok=True)
        handler = ocp.CompositeCheckpointHandler()
        with ocp.Checkpointer(handler, multiprocessing_options=alone()) as checkpointer:
            checkpointer.save(folder.absolute(), items)
        seal(folder)
    except DEFECTS:
        _remove_partial(folder)
        raise
    except Exception as failure:
        _remove_partial(folder)
        raise HiersegOSError(
            f"The checkpoint {folder} could not be written: {_reason(failure)}"
        ) from failure


def _items(meta: Mapping[str, Any], **trees: Any) -> ocp.args.Composite:
    """What orbax is to write; the JSON has the hashes of all of it."""
    digests = {name: tree_digest(tree) for name, tree in trees.items()}
    digests["meta"] = json_digest(meta)
    return ocp.args.Composite(
        **{name: ocp.args.StandardSave(tree) for name, tree in trees.items()},
        meta=ocp.args.JsonSave({**meta, "sha256": digests}),
    )


def _remove_partial(folder: Path) -> None:
    """Removes what orbax has begun of a checkpoint; its other items may still be writing."""
    for _ in range(100):
        partial = list(folder.parent.glob(f"{folder.name}.orbax-checkpoint-tmp*"))
        if not partial:
            return
        for begun in partial:
            shutil.rmtree(begun, ignore_errors=True)
        time.sleep(0.2)


def _reason(failure: Exception) -> str:
    if isinstance(failure, HiersegOSError):
        return str(failure)
    # tensorstore names its own steps and files first, the system's error at the very end.
    of_the_system = re.search(r"os_error_code='(\d+)'", str(failure))
    if of_the_system:
        return f"{os.strerror(int(of_the_system[1]))}."
    lines = str(failure).strip().splitlines()
    reason = lines[0][:300] if lines else type(failure).__name__
    # Of a full disk, unlike these, orbax may speak in riddles.
    plain = ("Permission denied", "No such file", "Read-only", "Not a directory")
    if any(words in reason for words in plain):
        return f"{reason.rstrip('.')}."
    return f"{reason} (Is the disk full?)"

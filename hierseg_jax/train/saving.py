"""What a run writes into its checkpoints, and which of them it keeps."""

import platform
from collections.abc import Callable
from typing import Any

import jax

import hierseg_jax
from hierseg_jax.checkpoint import CheckpointWriter
from hierseg_jax.evaluation.tables import plain
from hierseg_jax.system.devices.parallel import cpu_threads
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.run import Run
from hierseg_jax.train.same_data import fingerprints


def open_writer(run: Run, still_held: Callable[[], None]) -> CheckpointWriter:
    """The writer of the run's checkpoints; it looks at those that are there.

    Args:
      run: whose they are.
      still_held: from `lock_workdir`.
    """
    return CheckpointWriter(
        run.workdir,
        keep_last=run.settings.keep_last,
        keep_best=run.settings.keep_best,
        keep_every=run.settings.save_period * run.steps_per_epoch or None,
        before=still_held,
    )


def save(run: Run, writer: CheckpointWriter | None, state: Any, progress: Progress) -> None:
    """Hands a copy of the state to the writer, in the process that has one."""
    if writer is None:
        return
    whole = run.parallel.fetch_state(state)
    in_epoch = bool(progress.epoch_losses)
    val_loss = None if in_epoch else progress.rows[-1]["val_loss"]
    score = None if in_epoch else plain(run.criterion.score(progress.rows[-1]))
    meta = {
        "config": run.kept_settings.to_dict(),
        "hierarchy": run.hierarchy.to_json(),
        "step": progress.step,
        "examples": progress.step * run.settings.batch_size,
        "epoch": None if in_epoch else progress.epoch,
        "val_loss": val_loss,
        "score": score,
        "progress": progress.to_json(),
        "data": fingerprints(run.inventories),
        "cpu_threads": cpu_threads(),
        "versions": {"hierseg_jax": hierseg_jax.__version__, "jax": jax.__version__},
        "platform": f"{run.parallel.devices[0].platform} {platform.machine()}",
    }
    if run.recipe.class_weights:
        meta["class_weights"] = run.recipe.class_weights
    if run.lessons is not None:
        meta["teachers"] = run.lessons.to_json()
    writer.save(progress.step, whole.evaluated, whole.training, meta, score, val_loss)

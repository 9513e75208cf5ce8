"""What a run is taught: its teachers, how examples come by their scores, and the loss of them."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from hierseg_jax.checkpoint import newest_meta
from hierseg_jax.data.read.inventory import Inventory
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.taught import CELL, KeptScores, Teaching
from hierseg_jax.evaluation.eval_step import DeviceBatch
from hierseg_jax.evaluation.test_time_augmentation import mirrored_channels
from hierseg_jax.losses.distillation import distillation, in_cells
from hierseg_jax.losses.levels import check_level_weights
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import StopSignals
from hierseg_jax.train.kept_scores import compute_scores, place_of_scores
from hierseg_jax.train.teacher import Teacher, mean_of, open_teachers, scores_in_step
from hierseg_jax.tree.hierarchy import Hierarchy

TeacherLoss = Callable[..., jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Lessons:
    """All of a run that has to do with its teachers.

    Attributes:
      teachers: one or more.
      reading: how examples come by what they are taught.
      loss: (logits_bhwk, batch, variables) -> the teachers' weighted term.
      variables: of the teachers, on the devices, where they see every batch; else empty.
    """

    teachers: tuple[Teacher, ...]
    reading: Teaching
    loss: TeacherLoss
    variables: tuple[Any, ...]

    def describe(self) -> str:
        """The teachers, a line each."""
        return "".join(f"taught by {teacher.describe()}\n" for teacher in self.teachers)

    def to_json(self) -> list[dict[str, str]]:
        """The teachers, as checkpoints hold them."""
        return [{"path": str(of.loaded.path), "sha256": of.digest} for of in self.teachers]

    def prepare(
        self, source: Source, parallel: Parallel, worker_count: int, stop: StopSignals
    ) -> None:
        """Computes the scores that are to be kept, those that aren't there yet.

        Args:
          source: all examples of the run.
          parallel: the devices.
          worker_count: processes that read.
          stop: signals that end the program, whose next start goes on here.
        """
        for teacher, kept in zip(self.teachers, self.reading.kept, strict=False):
            channels = len(self.reading.mirrored_k)
            compute_scores(teacher, kept, source, channels, parallel, worker_count, stop)


def read_lessons(
    settings: Settings,
    workdir: Path,
    hierarchy: Hierarchy,
    inventory: Inventory,
    parallel: Parallel,
) -> Lessons | None:
    """The lessons of a run; None of one without a teacher.

    Args:
      settings, workdir, hierarchy: of the run.
      inventory: of all that it trains on.
      parallel: the devices.

    Raises:
      HiersegError: one sentence, for teachers that can't teach it, or with which it did not begin.
    """
    if not settings.teachers:
        return None
    teachers = open_teachers(settings, hierarchy)
    _check_same(workdir, teachers)
    options, hierarchical = settings.teacher_options, settings.model.hierarchical
    mirrored_k = mirrored_channels(
        hierarchy if settings.augmentation != "none" else dataclasses.replace(hierarchy, pairs=()),
        hierarchical,
        "Teach without augmentation (augment=none), or a flat head.",
    )
    kept: tuple[KeptScores, ...] = ()
    if options.scores == "once":
        kept = tuple(
            place_of_scores(teacher, hierarchy, hierarchical, inventory) for teacher in teachers
        )
    return Lessons(
        teachers,
        Teaching(settings.augmentation, kept, mirrored_k, hierarchical, settings.scales),
        _teacher_loss(settings, hierarchy, teachers, parallel.axis_name),
        () if kept else parallel.put_state(tuple(of.loaded.variables for of in teachers)),
    )


def _teacher_loss(
    settings: Settings,
    hierarchy: Hierarchy,
    teachers: Sequence[Teacher],
    axis_name: str | None,
) -> TeacherLoss:
    options, hierarchical = settings.teacher_options, settings.model.hierarchical
    level_weights: tuple[float, ...] = ()
    if settings.loss_options.every_level and not hierarchical:
        level_weights = check_level_weights(settings.loss_options.level_weights, hierarchy)

    def loss(
        logits_bhwk: jax.Array, batch: DeviceBatch, variables: Sequence[Any] = ()
    ) -> jax.Array:
        scores_bhwk = batch.get("teacher")
        if scores_bhwk is None:
            clear_bhwc = batch.get("clear", batch["image"])
            found = scores_in_step(teachers, variables, clear_bhwc)
            scores_bhwk = mean_of(found, hierarchical)
        value = distillation(
            in_cells(logits_bhwk, CELL),
            scores_bhwk,
            batch["taught"] & batch["valid"][:, None, None],
            hierarchical=hierarchical,
            temperature=options.temperature,
            hierarchy=hierarchy,
            level_weights=level_weights,
            axis_name=axis_name,
        )
        return options.weight * value

    return loss


def _check_same(workdir: Path, teachers: Sequence[Teacher]) -> None:
    """Refuses to go on with other teachers than those that a run began with."""
    for before, teacher in zip(newest_meta(workdir).get("teachers", ()), teachers, strict=False):
        if before["sha256"] != teacher.digest:
            raise HiersegError(
                f"The run in {workdir} is taught by {before['path']}; {teacher.loaded.path}, which "
                "the config's teacher means now, holds other weights. Give the checkpoint that it "
                "began with, or choose another --workdir."
            )

"""A run before its first step: all that stays the same while it trains, and what is said of it."""

import dataclasses
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batch, Batches
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.sizes import format_size
from hierseg_jax.evaluation.shown_pictures import Gallery
from hierseg_jax.models import Variant
from hierseg_jax.models.kernels import library
from hierseg_jax.settings import Settings
from hierseg_jax.settings.metric_choice import Criterion
from hierseg_jax.system import memory
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.wording import counted
from hierseg_jax.train.initial import InitialWeights
from hierseg_jax.train.phases import Phase, describe_phases
from hierseg_jax.train.recipe import Recipe
from hierseg_jax.train.reestimate import Reestimation
from hierseg_jax.train.same_data import Inventories
from hierseg_jax.train.state import TrainState
from hierseg_jax.train.teaching import Lessons
from hierseg_jax.train.training_pictures import PutBatch, TrainingPictures
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """All that stays the same while a run trains.

    `kept_settings` are what its files tell. `train_source` has labels; `drawn_source`, from which
    batches come, the pictures without any as well, and `cache` tells what becomes of them once they
    are decoded. `train_batches` are endless, from a `start_step` on, in `phases`; `put_batch`
    brings one to the devices, and augments it there or not. `gallery` shows pictures of the
    validation split, those at `sample_places` after every epoch. `seen_labels`, bool [256], are
    those of a look at some training masks; None where nobody asks for missing classes.
    `reestimation` is None where nobody asks for it, `lessons` are without a teacher.
    """

    settings: Settings
    kept_settings: Settings
    workdir: Path
    hierarchy: Hierarchy
    train_source: Source
    val_source: Source
    phases: tuple[Phase, ...]
    train_batches: Callable[..., Generator[Batch, None, None]]
    val_batches: Callable[[], Batches]
    inventories: Inventories
    steps_per_epoch: int
    weights: InitialWeights | None
    parallel: Parallel
    recipe: Recipe
    train_step: Callable[..., Any]
    frozen_step: Callable[..., Any]
    eval_step: Callable[..., Any]
    reestimation: Reestimation | None
    gallery: Gallery
    sample_places: Callable[[], list[int]]
    initial_state: Callable[[], TrainState]
    criterion: Criterion
    seen_labels: np.ndarray | None
    lessons: Lessons | None
    drawn_source: Source
    cache: TrainingPictures
    put_batch: PutBatch


def describe(run: Run) -> str:
    """What is about to happen, in a few lines."""
    settings, variant = run.settings, run.settings.model.variant
    network = settings.model.label
    if variant != Variant():
        network += (
            f" (padding {variant.padding}, norm_epsilon {variant.norm_epsilon:g}, normalization "
            f"{variant.normalization})"
        )
    size = format_size(settings.data.size)
    slower = []
    if run.parallel.devices[0].platform == "cpu":
        if problem := library.problem(run.settings.model.dtype):
            slower.append(
                f"Training takes about twice as long without this project's kernels: {problem}."
            )
        if untried := memory.untried():
            slower.append(untried)
    return (
        f"{network} on {settings.data.named}: {len(run.train_source)} training "
        f"and {counted(len(run.val_source), 'validation image')} at {size} pixels, "
        f"{run.hierarchy.num_classes} classes in {counted(run.hierarchy.num_levels, 'level')}\n"
        f"{_describe_draws(run.drawn_source)}{_line(run.cache.said)}"
        f"{describe_phases(run.phases, settings.data.size, settings.progressive)}"
        f"{run.lessons.describe() if run.lessons else ''}"
        f"{run.parallel.describe()}; {counted(run.steps_per_epoch, 'step')} of "
        f"{counted(settings.batch_size, 'image')} "
        f"an epoch; writing to {run.workdir}" + "".join(f"\n{reason}" for reason in slower)
    )


def _line(said: str) -> str:
    return f"{said}\n" if said else ""


def _describe_draws(source: Source) -> str:
    """Of several data sets a line with how much of each an epoch draws."""
    if not isinstance(source, Mixture):
        return ""
    draws = (
        f"{draw:,} of the {part.stop - part.start:,} of {part.name}"
        for part, draw in zip(source.parts, source.draws, strict=True)
    )
    return f"an epoch draws {', '.join(draws)}\n"

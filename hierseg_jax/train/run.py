"""A run before its first step: settings, data, network and compiled steps, all checked."""

import dataclasses
import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batch, Batches
from hierseg_jax.data.inspection.epochs import too_fast, too_short
from hierseg_jax.data.inspection.sides import mixed_up
from hierseg_jax.data.pipeline import (
    epoch_length,
    eval_batches,
    steps_per_epoch,
    train_batches,
)
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import unread_of
from hierseg_jax.data.sizes import format_size
from hierseg_jax.data.taught import scored
from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.evaluation.shown_pictures import Gallery
from hierseg_jax.models import SegmentationModel, Variant
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.kernels import library
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import (
    build_model,
    open_source,
    tree_of,
    validation_loss,
    with_folders,
)
from hierseg_jax.settings.fitting import fitted, settled
from hierseg_jax.settings.metric_choice import Criterion, parse_best
from hierseg_jax.system import memory
from hierseg_jax.system.devices.hosts import agree, count_hosts, host_number, is_main, note
from hierseg_jax.system.devices.parallel import Parallel, all_devices
from hierseg_jax.system.wording import counted
from hierseg_jax.train.cache_choice import Cache, PutBatch, choose_cache, keep_validation
from hierseg_jax.train.first_epoch import check_sample
from hierseg_jax.train.fitted_start import fitted_to_run
from hierseg_jax.train.initial import IMAGENET, InitialWeights
from hierseg_jax.train.kept_step import is_of_package
from hierseg_jax.train.mixing import check_mixing
from hierseg_jax.train.phases import Phase, batches_in_phases, describe_phases, plan_phases
from hierseg_jax.train.prior import initial_biases
from hierseg_jax.train.recipe import Recipe, build_recipe, check_backbone
from hierseg_jax.train.reestimate import (
    Reestimation,
    check_reestimation,
    make_statistics_step,
)
from hierseg_jax.train.same_data import Inventories, take_inventories
from hierseg_jax.train.state import TrainState, create_state
from hierseg_jax.train.teaching import Lessons, read_lessons
from hierseg_jax.train.workdir import (
    check_workdir,
    choose_start,
    has_finished_epochs,
    kept_settings,
)
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """All that stays the same while a run trains.

    `kept_settings` are what its files tell. `train_source` has labels; `drawn_source`, from which
    batches come, the pictures without any as well, and `cache` tells what becomes of them once they
    are decoded. `train_batches` are endless, from a `start_step` on, in `phases`; `put_batch`
    brings one to the devices, and augments it there or not. `gallery` shows pictures of the
    validation split. `seen_labels`, bool [256], are those of a look at some training masks; None
    where nobody asks for missing classes. `reestimation` is None where nobody asks for it,
    `lessons` are without a teacher.
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
    initial_state: Callable[[], TrainState]
    criterion: Criterion
    seen_labels: np.ndarray | None
    lessons: Lessons | None
    drawn_source: Source
    cache: Cache
    put_batch: PutBatch


def set_up(settings: Settings, workdir: Path, keep_steps: bool = False) -> Run:
    """Checks everything that can be wrong before any work is done; see `train`."""
    check_backbone(settings)
    check_reestimation(settings)
    hierarchy = tree_of(settings.data)
    criterion = parse_best(settings.best, settings.metric_names, hierarchy)
    parallel = all_devices(settings.parallel)
    parallel.check_batch_size(settings.batch_size)
    check_mixing(settings, hierarchy, len(parallel.devices))
    loss = validation_loss(settings, hierarchy)
    network = functools.partial(
        build_model,
        hierarchy=hierarchy,
        axis_name=parallel.axis_name,
        embedding_size=settings.loss_options.embedding_size if loss.triplet else 0,
    )
    unsettled = network(settled(settings, Variant()).model)
    settings, rounded = fitted(settings, unsettled.stride)
    note(rounded)
    settings, weights = choose_start(workdir, settings, unsettled, hierarchy)
    model = network(settings.model)
    train_source, val_source = (
        open_source(settings.data, settings.seed, split, hierarchy=hierarchy)
        for split in ("train", "val")
    )
    drawn_source = with_folders(
        train_source, settings.data, hierarchy.background, others=(val_source,)
    )
    for unread in unread_of((drawn_source, val_source)) if is_main() else ():
        note(unread)
    steps = steps_per_epoch(epoch_length(drawn_source), settings.batch_size)
    keep_steps = keep_steps and is_of_package(model)
    variable_shapes(model, settings.data.size, keep_steps)  # refuses sizes that it can't take
    if is_main():
        check_workdir(workdir, settings, hierarchy)
    seen = None
    before = agree(int(is_main() and has_finished_epochs(workdir)))
    if not before and settings.model.pretrained == IMAGENET and not settings.init:
        note(too_short(epoch_length(drawn_source), settings.epochs))
    elif not before and weights and weights.of_network:
        note(too_fast(epoch_length(drawn_source), settings.learning_rate))
    if not before and settings.augmentation != "none":
        note(mixed_up(hierarchy))
    if not before and not settings.data.allow_missing_classes:
        seen, missing = check_sample(train_source, hierarchy, settings.data.named)
        note(missing)
    inventories = take_inventories(drawn_source, val_source)
    lessons = read_lessons(settings, workdir, hierarchy, inventories["train"], parallel)
    recipe = build_recipe(settings, workdir, hierarchy, train_source, steps)
    phases = plan_phases(settings, unsettled.stride)
    if weights:
        weights = fitted_to_run(weights, model, train_source, settings, hierarchy)
    sizes = [phase.size for phase in phases]
    if settings.reestimate_statistics:
        sizes.append(settings.data.size)
    cache = choose_cache(
        settings,
        drawn_source,
        sizes,
        parallel,
        hierarchy.mirrored,
        settings.data.training_resizing(hierarchy.background),
    )
    put_batch = cache.put_batch or parallel.put_batch
    compiled = functools.partial(
        recipe.compile_step, model, parallel, lessons=lessons, kept=keep_steps
    )
    reading = _reading(settings)
    varied = functools.partial(
        train_batches,
        seed=settings.seed,
        augment=settings.augmentation,
        mirrored=hierarchy.mirrored,
        background=hierarchy.background,
        scales=settings.scales,
        **reading | {"resize": cache.resize},
    )
    batches_of_training = cache.batches or functools.partial(varied, cache.source)
    if lessons:
        batches_of_training = functools.partial(
            varied, scored(cache.source, lessons.reading.kept), teaching=lessons.reading
        )
    eval_step = make_eval_step(
        model, loss, hierarchy, settings.decoding, with_scores=bool(settings.samples)
    )
    return Run(
        settings=settings,
        kept_settings=kept_settings(workdir, settings),
        workdir=workdir,
        hierarchy=hierarchy,
        train_source=train_source,
        val_source=val_source,
        phases=phases,
        train_batches=functools.partial(batches_in_phases, batches_of_training, phases, steps),
        val_batches=functools.partial(
            eval_batches, keep_validation(settings, val_source), **reading
        ),
        inventories=inventories,
        steps_per_epoch=steps,
        weights=weights,
        parallel=parallel,
        recipe=recipe,
        train_step=compiled(),
        frozen_step=compiled(frozen=True),
        eval_step=parallel.compile_eval_step(eval_step),
        reestimation=_reestimation(
            settings,
            network,
            cache.batches or functools.partial(varied, cache.source),
            parallel,
            put_batch,
        ),
        gallery=Gallery(
            val_source,
            hierarchy,
            settings.decoding,
            settings.data.size,
            settings.data.resizing,
        ),
        initial_state=lambda: create_state(
            model,
            recipe.optimizer,
            settings.seed,
            weights,
            bool(settings.ema_decay),
            initial_biases(settings, workdir, hierarchy, train_source),
            keep_steps,
        ),
        criterion=criterion,
        seen_labels=seen,
        lessons=lessons,
        drawn_source=drawn_source,
        cache=cache,
        put_batch=put_batch,
    )


def _reestimation(
    settings: Settings,
    network: Callable[..., SegmentationModel],
    batches: Callable[..., Batches],
    parallel: Parallel,
    put_batch: PutBatch,
) -> Reestimation | None:
    """How statistics of averaged weights are computed anew, where they are."""
    if not settings.reestimate_statistics:
        return None
    nothing_dropped = {"model.dropout": False, "model.stochastic_depth": 0.0}
    model = network(settings.replace(nothing_dropped).model)
    step, frozen_step = (
        parallel.compile_train_step(make_statistics_step(model.clone(frozen_backbone=frozen)))
        for frozen in (False, True)
    )
    count = settings.reestimate_statistics
    return Reestimation(step, frozen_step, batches, count, parallel, put_batch)


def _reading(settings: Settings) -> dict[str, Any]:
    """What reading either split is told."""
    return {
        "size": settings.data.size,
        "resize": settings.data.resizing,
        "batch_size": settings.batch_size,
        "worker_count": settings.data.worker_count,
        "process_index": host_number(),
        "process_count": count_hosts(),
    }


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

"""How a run is set up: settings, data, network and compiled steps, all checked before any work."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batches
from hierseg_jax.data.inspection.epochs import too_fast, too_short
from hierseg_jax.data.inspection.sides import mixed_up
from hierseg_jax.data.pipeline import epoch_length, eval_batches, steps_per_epoch, train_batches
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import unread_of
from hierseg_jax.data.taught import scored
from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.evaluation.sample_places import sample_places
from hierseg_jax.evaluation.shown_pictures import Gallery
from hierseg_jax.models import SegmentationModel, Variant
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import (
    build_model,
    open_source,
    tree_of,
    validation_loss,
    with_folders,
)
from hierseg_jax.settings.fitting import fitted, settled
from hierseg_jax.settings.metric_choice import parse_best
from hierseg_jax.system.devices.hosts import agree, count_hosts, host_number, is_main, note_once
from hierseg_jax.system.devices.parallel import Parallel, all_devices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.cache_choice import choose_cache, keep_validation
from hierseg_jax.train.first_epoch import check_sample
from hierseg_jax.train.fitted_start import fitted_to_run
from hierseg_jax.train.initial import IMAGENET, InitialWeights
from hierseg_jax.train.kept_step import is_of_package
from hierseg_jax.train.mixing import check_mixing
from hierseg_jax.train.phases import batches_in_phases, plan_phases
from hierseg_jax.train.prior import initial_biases
from hierseg_jax.train.recipe import build_recipe, check_backbone
from hierseg_jax.train.reestimate import Reestimation, check_reestimation, make_statistics_step
from hierseg_jax.train.run import Run
from hierseg_jax.train.same_data import take_inventories
from hierseg_jax.train.state import create_state
from hierseg_jax.train.teaching import Lessons, read_lessons
from hierseg_jax.train.training_pictures import PutBatch, TrainingPictures
from hierseg_jax.train.workdir import (
    check_workdir,
    choose_start,
    has_finished_epochs,
    kept_settings,
)
from hierseg_jax.tree.hierarchy import Hierarchy


def set_up(settings: Settings, workdir: Path, keep_steps: bool = False) -> Run:
    """Checks everything that can be wrong before any work is done; see `train`."""
    if not isinstance(settings, Settings):
        raise HiersegError("A run is told by Settings; read_settings(config) gives those of one.")
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
    note_once(rounded)
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
        note_once(unread)
    steps = steps_per_epoch(epoch_length(drawn_source), settings.batch_size)
    keep_steps = keep_steps and is_of_package(model)
    variable_shapes(model, settings.data.size, keep_steps)  # refuses sizes that it can't take
    if is_main():
        check_workdir(workdir, settings, hierarchy)
    seen = _look_ahead(settings, workdir, hierarchy, weights, train_source, drawn_source)
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
    batches, taught_batches = _batches(settings, hierarchy, cache, lessons, reading)
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
        train_batches=functools.partial(batches_in_phases, taught_batches, phases, steps),
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
        reestimation=_reestimation(settings, network, batches, parallel, put_batch),
        gallery=Gallery(
            val_source,
            hierarchy,
            settings.decoding,
            settings.data.size,
            settings.data.resizing,
        ),
        sample_places=functools.cache(
            functools.partial(
                sample_places,
                val_source,
                hierarchy,
                settings.samples,
                host_number(),
                count_hosts(),
            )
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


def _look_ahead(
    settings: Settings,
    workdir: Path,
    hierarchy: Hierarchy,
    weights: InitialWeights | None,
    train_source: Source,
    drawn_source: Source,
) -> np.ndarray | None:
    """Tells of what is likely to end badly, where a run begins; gives `Run.seen_labels`."""
    if agree(int(is_main() and has_finished_epochs(workdir))):
        return None
    pictures = epoch_length(drawn_source)
    if settings.model.pretrained == IMAGENET and not settings.init:
        note_once(too_short(pictures, settings.epochs))
    elif weights and weights.of_network:
        note_once(too_fast(pictures, settings.learning_rate))
    if settings.augmentation != "none":
        note_once(mixed_up(hierarchy))
    if settings.data.allow_missing_classes:
        return None
    seen, missing = check_sample(train_source, hierarchy, settings.data.named)
    note_once(missing)
    return seen


def _batches(
    settings: Settings,
    hierarchy: Hierarchy,
    cache: TrainingPictures,
    lessons: Lessons | None,
    reading: dict[str, Any],
) -> tuple[Callable[..., Batches], Callable[..., Batches]]:
    """Endless batches of training, and the same with what a teacher, if any, says of them."""
    varied = functools.partial(
        train_batches,
        seed=settings.seed,
        augment=settings.augmentation,
        mirrored=hierarchy.mirrored,
        background=hierarchy.background,
        scales=settings.scales,
        **reading | {"resize": cache.resize},
    )
    plain = cache.batches or functools.partial(varied, cache.source)
    if not lessons:
        return plain, plain
    taught_source = scored(cache.source, lessons.reading.kept)
    return plain, functools.partial(varied, taught_source, teaching=lessons.reading)


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

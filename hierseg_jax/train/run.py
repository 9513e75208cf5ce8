"""A run before its first step: config, data, network and compiled steps, all checked."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from hierseg_jax.data.pipeline import steps_per_epoch
from hierseg_jax.data.read.sources import Source, load_hierarchy, unread_of
from hierseg_jax.data.resize import format_size
from hierseg_jax.devices.hosts import agree, is_main
from hierseg_jax.devices.parallel import Parallel, all_devices
from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.models import Variant, find_network
from hierseg_jax.models.kernels import library
from hierseg_jax.settings.building import (
    build_config_loss,
    build_model,
    config_decoding,
    open_config_split,
)
from hierseg_jax.settings.config import check_config, config_variant, fitted, network_size, settled
from hierseg_jax.settings.metric_choice import Criterion, parse_best, parse_metrics
from hierseg_jax.train.first_epoch import check_sample
from hierseg_jax.train.initial import InitialWeights
from hierseg_jax.train.recipe import Recipe, build_recipe
from hierseg_jax.train.same_data import Inventories, take_inventories
from hierseg_jax.train.state import TrainState, create_state
from hierseg_jax.train.workdir import check_workdir, choose_start, has_finished_epochs
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """All that stays the same while a run trains.

    `seen_labels`, bool [256], are those of a look at some training masks; None where nobody asks
    for missing classes.
    """

    config: ConfigDict
    workdir: Path
    hierarchy: Hierarchy
    train_source: Source
    val_source: Source
    inventories: Inventories
    steps_per_epoch: int
    weights: InitialWeights | None
    parallel: Parallel
    recipe: Recipe
    train_step: Callable[..., Any]
    frozen_step: Callable[..., Any]
    eval_step: Callable[..., Any]
    initial_state: Callable[[], TrainState]
    criterion: Criterion
    seen_labels: np.ndarray | None


def set_up(config: ConfigDict, workdir: Path) -> Run:
    """Checks everything that can be wrong before any work is done."""
    check_config(config)
    hierarchy = load_hierarchy(config.data.spec, config.data.hierarchy)
    criterion = parse_best(config.best, parse_metrics(config.metrics), hierarchy)
    plain = settled(config, Variant()).to_dict()
    parallel = all_devices()
    parallel.check_batch_size(config.batch_size)
    loss = build_config_loss(plain, hierarchy)
    size = config.loss_options.embedding_size if loss.triplet else 0
    model = build_model(plain, hierarchy, parallel, size)
    config, note = fitted(config, model.stride)
    if note and is_main():
        print(f"note: {note}", file=sys.stderr, flush=True)
    config, weights = choose_start(workdir, config, model, hierarchy)
    plain = config.to_dict()
    model = build_model(plain, hierarchy, parallel, size)
    train_source = open_config_split(plain, "train")
    val_source = open_config_split(plain, "val")
    for unread in unread_of((train_source, val_source)) if is_main() else ():
        print(f"note: {unread}", file=sys.stderr, flush=True)
    steps = steps_per_epoch(len(train_source), config.batch_size)
    jax.eval_shape(
        lambda key, image: model.init(key, image),
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, *network_size(config), 3), "float32"),
    )
    if is_main():
        check_workdir(workdir, config, hierarchy)
    seen = None
    before = agree(int(is_main() and has_finished_epochs(workdir)))
    if not before and not config.data.allow_missing_classes:
        seen, note = check_sample(train_source, hierarchy, config.data.spec)
        if note and is_main():
            print(f"note: {note}", file=sys.stderr, flush=True)
    recipe = build_recipe(plain, workdir, hierarchy, train_source, steps)
    return Run(
        config=config,
        workdir=workdir,
        hierarchy=hierarchy,
        train_source=train_source,
        val_source=val_source,
        inventories=take_inventories(train_source, val_source),
        steps_per_epoch=steps,
        weights=weights,
        parallel=parallel,
        recipe=recipe,
        train_step=recipe.compile_step(model, parallel),
        frozen_step=recipe.compile_frozen_step(model, parallel),
        eval_step=parallel.compile_eval_step(
            make_eval_step(model, loss, hierarchy, config_decoding(plain))
        ),
        initial_state=lambda: create_state(
            model, recipe.optimizer, config.seed, weights, bool(config.ema_decay)
        ),
        criterion=criterion,
        seen_labels=seen,
    )


def describe(run: Run) -> str:
    """What is about to happen, in a few lines."""
    config = run.config
    network = find_network(config.model.name).label(config.model.backbone)
    variant = config_variant(config.to_dict())
    if variant != Variant():
        network += (
            f" (padding {variant.padding}, norm_epsilon {variant.norm_epsilon:g}, normalization "
            f"{variant.normalization})"
        )
    size = format_size(network_size(config))
    slower = ""
    if run.parallel.devices[0].platform == "cpu" and (problem := library.problem()):
        slower = f"\nTraining takes about twice as long without this project's kernels: {problem}."
    return (
        f"{network} on {config.data.spec}: {len(run.train_source)} training "
        f"and {len(run.val_source)} validation images at {size} pixels, "
        f"{run.hierarchy.num_classes} classes in {run.hierarchy.num_levels} levels\n"
        f"{run.parallel.describe()}; {run.steps_per_epoch} steps of {config.batch_size} images "
        f"an epoch; writing to {run.workdir}{slower}"
    )

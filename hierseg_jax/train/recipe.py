"""What settings say of how to train, built once when a run is set up."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optax

from hierseg_jax.checkpoint import newest_meta
from hierseg_jax.data.class_weights import (
    count_frequencies,
    given_weights,
    parse_class_weights,
    weights_of,
)
from hierseg_jax.data.read.source import Source
from hierseg_jax.losses import TotalLoss
from hierseg_jax.models import SegmentationModel
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import training_loss
from hierseg_jax.settings.data_section import DataSettings
from hierseg_jax.system.devices.hosts import say
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted
from hierseg_jax.train.kept_step import keep
from hierseg_jax.train.mixing import choose_mixing
from hierseg_jax.train.optimizer import make_optimizer
from hierseg_jax.train.schedule import make_schedule
from hierseg_jax.train.step import make_train_step
from hierseg_jax.train.teaching import Lessons
from hierseg_jax.tree.hierarchy import Hierarchy

ClassWeights = tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """All that a training step is made of, beside the network.

    Attributes:
      schedule: step -> learning rate.
      class_weights: in it, by level; empty where there are none.
      total_steps: of the whole run.
    """

    settings: Settings
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    loss: TotalLoss
    class_weights: ClassWeights
    total_steps: int

    def compile_step(
        self,
        model: SegmentationModel,
        parallel: Parallel,
        *,
        frozen: bool = False,
        lessons: Lessons | None = None,
        kept: bool = False,
    ) -> Callable[..., Any]:
        """The training step for these devices; with `kept` loaded where it was compiled before.

        With `frozen` that of the first `freeze_epochs` epochs; it takes and gives the same state.
        """
        optimizer = self.optimizer
        if frozen:
            model = model.clone(frozen_backbone=True)
            chosen, backbone = self.settings.optimizer, self.settings.model.network.backbone
            optimizer = make_optimizer(chosen, self.schedule, backbone, waits=True, frozen=True)
        step = make_train_step(
            model,
            self.loss,
            optimizer,
            self.loss.of_embedding if self.loss.triplet else None,
            self.total_steps,
            average_decay=self.settings.ema_decay,
            remat=self.settings.remat,
            mix=choose_mixing(self.settings.mixing, self.loss.hierarchy.background),
            teacher_loss=lessons.loss if lessons else None,
        )
        compiled = parallel.compile_train_step(step)
        if kept and parallel.axis_name is None and not lessons:
            return keep(compiled, self.made_of(model), frozen == bool(self.settings.freeze_epochs))
        if not lessons or not lessons.variables:
            return compiled
        # Arguments, not constants: a program with the weights in it would be as large as they are.
        return lambda state, batch: compiled(state, batch, lessons.variables)

    def made_of(self, model: SegmentationModel) -> tuple[str, ...]:
        """Words for all that a step is made from: other ones wherever it may be another."""
        # Steps don't know the data, beside the tree, nor the seed, which is in the state.
        settings = dataclasses.replace(self.settings, data=DataSettings(), seed=0)
        parts = (model, settings, self.loss.hierarchy, self.class_weights, self.total_steps)
        return tuple(map(repr, parts))


def check_backbone(settings: Settings) -> None:
    """Refuses what is about a backbone, of a network without one.

    Raises:
      ValueError: naming the keys.
    """
    chosen = settings.optimizer
    about = settings.freeze_epochs, chosen.backbone_rate, chosen.layer_decay
    if settings.model.network.backbone is None and about != (0, 1, 1):
        raise HiersegError(
            "The network has no backbone, which freeze_epochs, optimizer.backbone_rate and "
            "optimizer.layer_decay are about; leave them at 0, 1 and 1."
        )


def build_recipe(
    settings: Settings,
    workdir: Path,
    hierarchy: Hierarchy,
    train_source: Source,
    steps_per_epoch: int,
) -> Recipe:
    """The recipe of a run; reads the training split where class weights come from it."""
    schedule = make_schedule(settings, steps_per_epoch)
    class_weights = choose_class_weights(
        settings.loss_options.class_weights, workdir, hierarchy, train_source
    )
    return Recipe(
        settings=settings,
        schedule=schedule,
        optimizer=make_optimizer(
            settings.optimizer,
            schedule,
            settings.model.network.backbone,
            waits=bool(settings.freeze_epochs),
        ),
        loss=training_loss(settings, hierarchy, class_weights),
        class_weights=class_weights,
        total_steps=settings.epochs * steps_per_epoch,
    )


def choose_class_weights(
    text: str, workdir: Path, hierarchy: Hierarchy, train_source: Source
) -> ClassWeights:
    """By level; those that the run began with, if it has a checkpoint, whatever the data are now.

    Args:
      text: of the settings, as `parse_class_weights` takes it.
      train_source: the training split, read in a new run alone, and for a rule alone.
    """
    rule = parse_class_weights(text)
    if rule == "none":
        return ()
    if stored := newest_meta(workdir).get("class_weights"):
        return tuple(tuple(weights) for weights in stored)
    if not isinstance(rule, str):
        return given_weights(rule, hierarchy)
    say(f"Reading {counted(len(train_source), 'training mask')} for class weights.")
    weights = tuple(weights_of(level, rule) for level in count_frequencies(train_source, hierarchy))
    named = zip(hierarchy.class_names, weights[-1], strict=True)
    say("Class weights: " + ", ".join(f"{name} {weight:.3g}" for name, weight in named))
    return weights

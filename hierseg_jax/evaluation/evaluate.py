"""Evaluation of every level of the tree over a split."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.checkpoint.other_data import other_data, trained_on
from hierseg_jax.checkpoint.same_checkpoint import open_same_checkpoint
from hierseg_jax.checkpoint.stored_network import check_own_arrays
from hierseg_jax.data.batches import Batch
from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.read.members import spec_text
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import unread_of
from hierseg_jax.evaluation.eval_step import make_eval_step, make_scores
from hierseg_jax.evaluation.extremes import Extremes, Show
from hierseg_jax.evaluation.result import Evaluation, gather_evaluation
from hierseg_jax.evaluation.shown_pictures import Gallery, SampleScores
from hierseg_jax.evaluation.tally import Measures, Pictures, Tally
from hierseg_jax.evaluation.tiled_evaluation import TiledEvaluation, make_window_step
from hierseg_jax.evaluation.view import View, augmented_forward
from hierseg_jax.evaluation.view_name import BATCH_SIZE, BEST
from hierseg_jax.models import SegmentationModel, grid_forward_of
from hierseg_jax.settings.building import (
    build_model,
    check_tree_of_data,
    open_source,
    spec_of_checkpoint,
    validation_loss,
)
from hierseg_jax.settings.fitting import fitted
from hierseg_jax.settings.metric_choice import parse_metrics
from hierseg_jax.settings.settings import Settings
from hierseg_jax.system.bars import bar
from hierseg_jax.system.devices.hosts import count_hosts, host_number, is_main, note_once
from hierseg_jax.system.devices.parallel import Parallel, all_devices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import Stopped, StopSignals
from hierseg_jax.tree.hierarchy import Hierarchy


def evaluate_batches(
    eval_step: Callable[..., Any],
    variables: Any,
    batches: Iterable[Batch],
    hierarchy: Hierarchy,
    batch_size: int,
    parallel: Parallel,
    extremes: Extremes | None = None,
    measures: Measures | None = None,
    stop: StopSignals | None = None,
    samples: SampleScores | None = None,
    num_batches: int | None = None,
) -> Evaluation:
    """Runs a compiled evaluation step over batches.

    Args:
      eval_step: from `Parallel.compile_eval_step`.
      variables: on the devices.
      batches: from `eval_batches`.
      hierarchy: of the labels.
      batch_size: of the batches; the reference's mIoU depends on it.
      parallel: the devices.
      extremes: new, to learn of every picture.
      measures: what else is measured.
      stop: signals that may end it; without it they do what they do anyway.
      samples: new, to learn the scores of a few pictures; unless it wants none, the step gives
        scores, which then are no part of the evaluation.
      num_batches: how many there are, for a bar on a terminal.

    Raises:
      Stopped: before all are evaluated, once a process knows of a signal; in all processes at
        the same batch.
    """
    measures = measures or Measures()
    stop = stop or StopSignals()  # which is not entered and never receives any
    alone = parallel.axis_name is None
    tally, pending = Tally(hierarchy, measures, extremes), None
    for batch in bar(batches, "evaluating", num_batches, "batch", hidden=not is_main()):
        if stop.received if alone else stop.learned:
            raise Stopped
        arrays = {"image": batch["image"], "label": batch["label"], "valid": batch["valid"]}
        result = eval_step(variables, parallel.put_batch(arrays, stop.received))
        if samples is not None:
            # Not left in what is copied to the host as a whole.
            scores = result.pop("scores", None)
            if rows := samples.choose(batch["valid"]):
                samples.add(rows, jax.device_get(scores))
        # The device works on this batch while the host reads the one before.
        if pending is not None:
            before, found = pending[0], jax.device_get(pending[1])
            tally.add(before, found)
            if not alone:
                stop.learn(int(found["stop"]))
        pending = (batch, result)
    if pending is not None:
        tally.add(pending[0], jax.device_get(pending[1]))

    return gather_evaluation(tally, hierarchy, batch_size, measures)


def evaluate_checkpoint(
    checkpoint: str | Path | Checkpoint,
    *,
    task: str,
    which: str = BEST,
    data: str | None = None,
    batch_size: int = BATCH_SIZE,
    decode: str | None = None,
    metrics: tuple[str, ...] | None = None,
    view: View | None = None,
    num_extremes: int = 0,
    worker_count: int | None = None,
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluates a checkpoint on a split.

    Args:
      checkpoint: a run's workdir or a checkpoint's folder, or one that has been read.
      task: the split, `val` or `test` (or `train`).
      which: of a workdir: `best`, `last`, or an epoch.
      data: another data set with the same class tree; the run's own by default.
      batch_size: over all devices.
      decode: another decoding rule; the run's own by default.
      metrics: of `metric_choice.METRICS`, which are to be shown; the run's own by default.
      view: how pictures are looked at.
      num_extremes: of the best and of the worst pictures to give back.
      worker_count: processes that read; the run's own number by default.

    Returns:
      The evaluation, and a description of what was evaluated as plain JSON.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    view = view or View()
    loaded = checkpoint
    if not isinstance(loaded, Checkpoint):
        loaded = open_same_checkpoint(loaded, which)
    check_own_arrays(loaded)
    whose, settings = f"The checkpoint {loaded.path}", loaded.settings
    metrics = settings.metric_names if metrics is None else parse_metrics(metrics)
    if view.image_size is not None:
        settings = settings.replace({"data.image_size": view.image_size})
    if decode is not None:
        settings = settings.replace({"decode": decode})
    if worker_count is not None:
        if worker_count < 0:
            raise HiersegError(f"--worker_count is {worker_count}; it must be at least 0.")
        settings = settings.replace({"data.worker_count": worker_count})
    spec = data or spec_of_checkpoint(settings.data, whose)
    hierarchy = check_tree_of_data(loaded.hierarchy, settings.data, spec, whose)
    if batch_size < 1:
        raise HiersegError(f"--batch_size is {batch_size}; it must be at least 1.")
    parallel = all_devices(settings.parallel)
    parallel.check_batch_size(batch_size)
    model = build_model(settings.model, hierarchy, axis_name=parallel.axis_name)
    settings, rounded = fitted(settings, model.stride)
    note_once(rounded)
    source = open_source(settings.data, settings.seed, task, spec, hierarchy)
    named = spec_text(spec)
    if is_main():
        for unread in unread_of((source,)):
            note_once(unread)
        note_once(other_data(loaded, task, source, named) if not data else "")
        note_once(trained_on(loaded, source, f"{task} of {named}") if task != "train" else "")
    names = getattr(source, "names", ())
    share = {"first": host_number(), "stride": count_hosts()}
    extremes = None
    if num_extremes:
        leaves_lc = hierarchy.labels.leaves_lc
        extremes = Extremes(num_extremes, names, leaves_lc, hierarchy.background, **share)
    measures = Measures(
        "boundary_iou" in metrics,
        view.counted != "network",
        Pictures(source, **share) if view.counted == "refined" else None,
        settings.data.resizing,
        settings.decoding,
        getattr(source, "parts", ()),
        names,
    )
    work = _Work(
        settings, hierarchy, loaded.variables, model, view, source, batch_size, parallel, measures
    )
    evaluation, show = (_in_windows if view.tiles else _in_batches)(work, extremes)
    evaluation = evaluation.with_pictures(extremes, show)
    sides: Any = settings.data.image_size
    if view.image_size is None and isinstance(sides, tuple):
        sides = list(sides)  # as the checkpoint's JSON has it; another size is as it was asked for
    description = {
        "checkpoint": str(loaded.path),
        "step": loaded.meta["step"],
        "epoch": loaded.meta["epoch"],
        "data": named,
        "task": task,
        "image_size": sides,
        "resize": settings.data.resizing.rule,
        "sampling": settings.data.resizing.sampling,
        "resolution": view.counted,
        "tiles": view.tiles,
        "scales": list(view.scales),
        "flip": view.flip,
        "batch_size": batch_size,
        "model": settings.model.name,
        "head": settings.model.head,
        "hierarchical": settings.model.hierarchical,
        "decode": settings.decoding,
        "metrics": list(metrics),
    }
    return evaluation, description


@dataclasses.dataclass(frozen=True)
class _Work:
    """What is evaluated, on what, and how."""

    settings: Settings
    hierarchy: Hierarchy
    variables: Any
    model: SegmentationModel
    view: View
    source: Source
    batch_size: int
    parallel: Parallel
    measures: Measures

    @property
    def forward(self) -> Callable[..., Any] | None:
        """That of several scales and of mirror images; None where the model's own is asked for."""
        hierarchical = self.settings.model.hierarchical
        return augmented_forward(self.model, self.view, self.hierarchy, hierarchical)


def _in_batches(work: _Work, extremes: Extremes | None) -> tuple[Evaluation, Show]:
    """Pictures at the network's size."""
    settings, hierarchy, parallel = work.settings, work.hierarchy, work.parallel
    decoding, resize, size = settings.decoding, settings.data.resizing, settings.data.size
    loss, forward = validation_loss(settings, hierarchy), work.forward
    whole = work.measures.whole
    step = make_eval_step(work.model, loss, hierarchy, decoding, forward, with_scores=whole)
    variables = parallel.put_state(work.variables)
    batches = eval_batches(
        work.source,
        size=size,
        resize=resize,
        batch_size=work.batch_size,
        worker_count=settings.data.worker_count,
        process_index=host_number(),
        process_count=count_hosts(),
        keep_labels=whole,
    )
    with contextlib.closing(batches):
        evaluation = evaluate_batches(
            parallel.compile_eval_step(step),
            variables,
            batches,
            hierarchy,
            work.batch_size,
            parallel,
            extremes=extremes,
            measures=work.measures,
            num_batches=-(-len(work.source) // work.batch_size),
        )
    scores = jax.jit(make_scores(work.model, hierarchy, decoding, forward))
    # As `predict` draws them, unless what is counted is something else of the same pixels.
    refined = work.view.counted != "original"
    gallery = Gallery(work.source, hierarchy, decoding, size, resize, refined)
    return evaluation, functools.partial(
        gallery.show, functools.partial(scores, parallel.one_copy(variables))
    )


def _in_windows(work: _Work, extremes: Extremes | None) -> tuple[Evaluation, Show]:
    """Large pictures on their own pixels."""
    # Processes have different numbers of windows: each keeps to its own devices.
    own, data, decoding = work.parallel.own, work.settings.data, work.settings.decoding
    forward = work.forward or grid_forward_of(work.model)
    tiled = TiledEvaluation(
        step=own.compile_eval_step(make_window_step(forward, work.hierarchy, decoding)),
        variables=own.put_state(work.variables),
        source=work.source,
        place=functools.partial(data.resizing.place, size=data.size),
        hierarchy=work.hierarchy,
        decoding=decoding,
        batch_size=work.batch_size // count_hosts(),
        parallel=own,
    )
    tally = tiled.tally(work.measures, extremes)
    evaluation = gather_evaluation(tally, work.hierarchy, work.batch_size, work.measures)
    return evaluation, tiled.show

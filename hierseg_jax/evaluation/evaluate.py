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
from hierseg_jax.data.read.sources import unread_of
from hierseg_jax.evaluation.eval_step import make_eval_step, make_scores
from hierseg_jax.evaluation.extremes import Extremes, Show
from hierseg_jax.evaluation.result import Evaluation, gather_evaluation
from hierseg_jax.evaluation.shown_pictures import Gallery, SampleScores
from hierseg_jax.evaluation.tally import Measures, Pictures, Tally
from hierseg_jax.evaluation.tiled_evaluation import TiledEvaluation, make_window_step
from hierseg_jax.evaluation.view import View, augmented_forward
from hierseg_jax.evaluation.view_name import BATCH_SIZE, BEST
from hierseg_jax.models import grid_forward_of
from hierseg_jax.settings.building import (
    build_model,
    check_tree_of_data,
    open_source,
    spec_of_checkpoint,
    validation_loss,
)
from hierseg_jax.settings.fitting import fitted
from hierseg_jax.settings.metric_choice import parse_metrics
from hierseg_jax.system.bars import bar
from hierseg_jax.system.devices.hosts import (
    count_hosts,
    host_number,
    is_main,
    note,
)
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
    tally, pending = Tally(hierarchy, measures), None
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
            tally.add(before, found, extremes)
            if not alone:
                stop.learn(int(found["stop"]))
        pending = (batch, result)
    if pending is not None:
        tally.add(pending[0], jax.device_get(pending[1]), extremes)

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
    resolution = view.counted
    loaded = checkpoint
    if not isinstance(loaded, Checkpoint):
        loaded = open_same_checkpoint(loaded, which)
    check_own_arrays(loaded)
    folder, settings = loaded.path, loaded.settings
    metrics = settings.metric_names if metrics is None else parse_metrics(metrics)
    if view.image_size is not None:
        settings = settings.replace({"data.image_size": view.image_size})
    if decode is not None:
        settings = settings.replace({"decode": decode})
    spec = data or spec_of_checkpoint(settings.data, f"The checkpoint {folder}")
    if not spec:
        raise HiersegError(f"The checkpoint {folder} names no data set; give one with --data.")
    decoding = settings.decoding
    hierarchy = check_tree_of_data(
        loaded.hierarchy, settings.data, spec, f"The checkpoint {folder}"
    )
    if batch_size < 1:
        raise HiersegError(f"--batch_size is {batch_size}; it must be at least 1.")
    if worker_count is not None and worker_count < 0:
        raise HiersegError(f"--worker_count is {worker_count}; it must be at least 0.")
    parallel = all_devices(settings.parallel)
    parallel.check_batch_size(batch_size)
    model = build_model(settings.model, hierarchy, axis_name=parallel.axis_name)
    settings, rounded = fitted(settings, model.stride)
    note(rounded)
    forward = augmented_forward(model, view, hierarchy, settings.model.hierarchical)
    loss = validation_loss(settings, hierarchy)
    source = open_source(settings.data, settings.seed, task, spec, hierarchy)
    for unread in unread_of((source,)) if is_main() else ():
        note(unread)
    if is_main():
        named = spec_text(spec)
        note(other_data(loaded, task, source, named) if not data else "")
        note(trained_on(loaded, source, f"{task} of {named}") if task != "train" else "")
    whole = resolution != "network"
    pictures = None
    if resolution == "refined":
        pictures = Pictures(source, first=host_number(), stride=count_hosts())
    resize = settings.data.resizing
    names = getattr(source, "names", ())
    extremes = None
    if num_extremes:
        extremes = Extremes(
            num_extremes,
            names,
            hierarchy.labels.leaves_lc,
            hierarchy.background,
            first=host_number(),
            stride=count_hosts(),
        )
    measures = Measures(
        "boundary_iou" in metrics,
        whole,
        pictures,
        resize,
        decoding,
        getattr(source, "parts", ()),
        names,
    )
    size = settings.data.size
    show: Show
    if view.tiles:
        # Processes have different numbers of windows: each keeps to its own devices.
        own = parallel.own
        windows = make_window_step(forward or grid_forward_of(model), hierarchy, decoding)
        tiled = TiledEvaluation(
            step=own.compile_eval_step(windows),
            variables=own.put_state(loaded.variables),
            source=source,
            place=functools.partial(resize.place, size=size),
            hierarchy=hierarchy,
            decoding=decoding,
            batch_size=batch_size // count_hosts(),
            parallel=own,
        )
        evaluation = gather_evaluation(
            tiled.tally(measures, extremes), hierarchy, batch_size, measures
        )
        show = tiled.show
    else:
        step = make_eval_step(model, loss, hierarchy, decoding, forward, with_scores=whole)
        variables = parallel.put_state(loaded.variables)
        batches = eval_batches(
            source,
            size=size,
            resize=resize,
            batch_size=batch_size,
            worker_count=settings.data.worker_count if worker_count is None else worker_count,
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
                batch_size,
                parallel,
                extremes=extremes,
                measures=measures,
                num_batches=-(-len(source) // batch_size),
            )
        scores = jax.jit(make_scores(model, hierarchy, decoding, forward))
        # As `predict` draws them, unless what is counted is something else of the same pixels.
        refined = resolution != "original"
        gallery = Gallery(source, hierarchy, decoding, size, resize, refined)
        scores_of = functools.partial(scores, parallel.one_copy(variables))
        show = functools.partial(gallery.show, scores_of)
    if extremes is not None:
        evaluation = dataclasses.replace(
            evaluation, best=extremes.best(show), worst=extremes.worst(show)
        )
    sides: Any = settings.data.image_size
    if view.image_size is None and isinstance(sides, tuple):
        sides = list(sides)  # as the checkpoint's JSON has it; another size is as it was asked for
    description = {
        "checkpoint": str(folder),
        "step": loaded.meta["step"],
        "epoch": loaded.meta["epoch"],
        "data": spec_text(spec),
        "task": task,
        "image_size": sides,
        "resize": resize.rule,
        "sampling": resize.sampling,
        "resolution": resolution,
        "tiles": view.tiles,
        "scales": list(view.scales),
        "flip": view.flip,
        "batch_size": batch_size,
        "model": settings.model.name,
        "head": settings.model.head,
        "hierarchical": settings.model.hierarchical,
        "decode": decoding,
        "metrics": list(metrics),
    }
    return evaluation, description

"""The training loop: from settings and a folder to a trained, evaluated, resumable run."""

import contextlib
import functools
import math
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from tqdm import tqdm

from hierseg_jax.checkpoint import CheckpointWriter
from hierseg_jax.data.batches import Batch
from hierseg_jax.data.read.members import names_code
from hierseg_jax.evaluation.evaluate import evaluate_batches
from hierseg_jax.evaluation.result import Evaluation
from hierseg_jax.evaluation.shown_pictures import SampleScores
from hierseg_jax.evaluation.tally import Measures
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.compiling import told_of_compilation
from hierseg_jax.system.devices.hosts import (
    agree,
    count_hosts,
    host_number,
    is_main,
    note_once,
    say,
)
from hierseg_jax.system.devices.parallel import cpu_threads
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.memory import give_back_small_blocks
from hierseg_jax.system.paths import as_path
from hierseg_jax.system.stop import Stopped, StopSignals
from hierseg_jax.system.wording import counted
from hierseg_jax.train.first_epoch import FirstEpoch
from hierseg_jax.train.initial import network_begun_from
from hierseg_jax.train.lock import lock_workdir
from hierseg_jax.train.phases import seconds_left
from hierseg_jax.train.progress import Progress, end_line, epoch_line, stand_in_note, start_note
from hierseg_jax.train.record import Recorder
from hierseg_jax.train.run import Run, describe
from hierseg_jax.train.saving import open_writer, save
from hierseg_jax.train.set_up import set_up
from hierseg_jax.train.workdir import check_workdir, claim_workdir, restore

# Losses are read this many steps late, so that the device always has work queued: while it
# computes a step, the next batch is copied to it and the next step waits behind that.
READ_DELAY = 2


class DivergedError(HiersegError):
    """The loss is not a finite number."""


def train(
    settings: Settings,
    workdir: str,
    on_epoch: Callable[[Progress], None] | None = None,
    keep_steps: bool = False,
) -> Progress:
    """Trains a network, or continues where the last checkpoint in `workdir` ended.

    Leaves there: `checkpoints/`, `run.json`, `history.json`, `metrics.csv`, `loss.png`,
    `metrics.png`, `samples.png`, `tensorboard/`.

    Args:
      settings: of the run, as `read_settings` gives them.
      workdir: a folder of its own; made where it does not exist.
      on_epoch: told of every epoch once it is saved; what it raises ends the run, which may be
        continued.
      keep_steps: whether the next process is to find the compiled training steps; not in a
        process that has changed what this package's functions do.

    Returns:
      The run's history.

    Raises:
      ValueError, OSError: one sentence for a mistake in the settings, the data or the
        folder; `DivergedError` for a loss that is not finite.
      SystemExit: after SIGTERM or SIGINT, once the state is saved.
    """
    run = set_up(settings, as_path(workdir), keep_steps)
    settings = run.settings
    with contextlib.ExitStack() as resources:
        if is_main():
            still_held = resources.enter_context(lock_workdir(run.workdir))
            check_workdir(run.workdir, settings, run.hierarchy)
        stop = resources.enter_context(StopSignals())
        say(describe(run))
        if is_main():
            resources.enter_context(told_of_compilation(tqdm.write))
        state, progress = restore(
            run.workdir, settings, run.hierarchy, run.inventories, run.initial_state, cpu_threads()
        )
        if is_main():
            claim_workdir(run.workdir, run.kept_settings, run.hierarchy, run.inventories)
        writer = resources.enter_context(open_writer(run, still_held)) if is_main() else None
        if progress.step:
            say(f"Continuing after step {progress.step} (epoch {progress.epoch} finished).")
            say_new_rate(run, progress)
        elif run.weights is not None:
            say(run.weights.report)
        elif settings.freeze_epochs:
            say("note: freeze_epochs keeps a backbone of fresh weights, which has learned nothing.")
        recorder = None
        if is_main():
            recorder = Recorder(
                run.workdir, run.kept_settings, run.hierarchy, progress.step, still_held
            )
            resources.callback(recorder.close)
        if run.lessons is not None:
            workers = settings.data.worker_count
            run.lessons.prepare(run.drawn_source, run.parallel, workers, stop)
        state = run.parallel.put_state(state)
        reading = contextlib.closing(run.train_batches(start_step=first_batch(run, progress)))
        batches: Iterator[Batch] = resources.enter_context(reading)
        first_epoch = None
        if run.seen_labels is not None:
            first_epoch = FirstEpoch(run.hierarchy, run.seen_labels, run.cache.labels_in)
            batches = first_epoch.watch(batches)
        saved, begun = progress.step, progress.epoch
        while not progress.finished(settings.epochs, settings.patience):
            started, first = time.perf_counter(), progress.step
            state, progress = train_epoch(run, state, progress, batches, stop)
            seconds = time.perf_counter() - started
            try:
                if len(progress.epoch_losses) < run.steps_per_epoch:
                    raise Stopped
                if first_epoch is not None and not progress.epoch and first_epoch.lacks_classes():
                    # Whatever comes of it, the epoch's training is not lost.
                    save(run, writer, state, progress)
                    saved = progress.step
                    say(f"note: {first_epoch.check(run.train_source, settings.data.named, stop)}")
                state = reestimate(run, state, progress, stop)
                evaluation, samples = validate(run, state, stop)
            except Stopped:
                if progress.step > saved:
                    save(run, writer, state, progress)
                what = f"saved step {progress.step} in {run.workdir}"
                end_by_signal(stop, writer, recorder, what)
            if not evaluation.confusion_cc.any():
                raise HiersegError(
                    f"No mask of the validation split of {settings.data.named} holds a labelled "
                    "pixel, so that no epoch can be told from another; mend the masks, or the "
                    "`labels` of the data.yaml."
                )
            if not math.isfinite(evaluation.loss):
                what = f"The validation loss is {evaluation.loss} after epoch {progress.epoch + 1}"
                raise diverged(run, progress, what)
            images = (progress.step - first) * settings.batch_size
            progress = progress.with_epoch(
                evaluation,
                float(run.recipe.schedule(progress.step - 1)),
                seconds,
                images,
                settings.metric_names,
                run.criterion,
            )
            left = 0.0
            # The first one compiles, and decodes pictures; frozen ones are faster than others.
            if progress.epoch > max(begun, settings.freeze_epochs) + 1:
                whole = time.perf_counter() - started
                left = seconds_left(whole, progress.epoch, settings.epochs, run.phases)
            say(epoch_line(progress, settings.epochs, left))
            note_once(stand_in_note(progress, run.criterion))
            save(run, writer, state, progress)
            saved = progress.step
            if recorder is not None:
                recorder.write_epoch(
                    progress,
                    functools.partial(run.gallery.samples, samples.by_index),
                    last=progress.finished(settings.epochs, settings.patience),
                )
            if on_epoch is not None:
                on_epoch(progress)
            give_back_small_blocks()
            stop.learn(agree(stop.requested))
            if stop.learned and not progress.finished(settings.epochs, settings.patience):
                what = f"saved epoch {progress.epoch} in {run.workdir}"
                end_by_signal(stop, writer, recorder, what)
    named = settings.data.named
    given = [f"--checkpoint={run.workdir}"] + [f"--data={named}"] * names_code(named)
    say(
        f"{end_line(progress, settings.epochs, run.criterion)}\n"
        f"{start_note(progress, network_begun_from(settings))}"
        f"Next: hierseg evaluate {shlex.join(given)}"
    )
    return progress


def say_new_rate(run: Run, progress: Progress) -> None:
    """Where data that have changed make epochs longer or shorter, and so move the schedule."""
    if not progress.rows or progress.rows[-1]["step"] == progress.epoch * run.steps_per_epoch:
        return
    before, now = progress.rows[-1]["learning_rate"], float(run.recipe.schedule(progress.step))
    say(
        f"note: an epoch has {counted(run.steps_per_epoch, 'step')} now, and schedules count "
        f"steps: the learning rate goes from {before:.3g} to {now:.3g}."
    )


def end_by_signal(
    stop: StopSignals, writer: CheckpointWriter | None, recorder: Recorder | None, what: str
) -> None:
    """Ends the program once the last checkpoint is written, and what is known is drawn."""
    if writer is not None:
        writer.wait()
    if recorder is not None:
        recorder.draw_rest()
    stop.end(what)


def first_batch(run: Run, progress: Progress) -> int:
    """Of all epochs' batches the next one; the steps done, unless the data have changed since."""
    in_epoch = min(len(progress.epoch_losses), run.steps_per_epoch)
    return progress.epoch * run.steps_per_epoch + in_epoch


def train_epoch(
    run: Run, state: Any, progress: Progress, batches: Iterator[Batch], stop: StopSignals
) -> tuple[Any, Progress]:
    """Does the rest of an epoch, or as much of it as a stop signal allows."""
    done = len(progress.epoch_losses)
    losses: list[float] = []
    pending: list[dict[str, jax.Array]] = []
    alone = run.parallel.axis_name is None
    frozen = progress.epoch < run.settings.freeze_epochs
    train_step = run.frozen_step if frozen else run.train_step
    bar = tqdm(
        total=run.steps_per_epoch,
        initial=done,
        desc=f"epoch {progress.epoch + 1}/{run.settings.epochs}",
        unit="img",
        unit_scale=run.settings.batch_size,
        leave=False,
        disable=None if is_main() else True,
    )

    def read() -> None:
        metrics = jax.device_get(pending.pop(0))
        losses.append(float(metrics["loss"]))
        if not math.isfinite(losses[-1]):
            step = progress.step + len(losses)
            what = f"The loss is {losses[-1]} at step {step}, in epoch {progress.epoch + 1}"
            raise diverged(run, progress, what)
        if not alone:
            stop.learn(int(metrics["stop"]))

    with bar:
        for _ in range(run.steps_per_epoch - done):
            given = run.put_batch(next(batches), stop.received)
            state, metrics = train_step(state, given)
            start_reading(metrics)
            pending.append(metrics)
            if len(pending) > READ_DELAY:
                read()
                bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            bar.update()
            if stop.received if alone else stop.learned:
                break
        while pending:
            read()
    return state, progress.with_steps(losses)


def start_reading(metrics: dict[str, jax.Array]) -> None:
    """Has numbers copied to the host as soon as they are there, and does not wait for it."""
    for value in metrics.values():
        value.copy_to_host_async()


def diverged(run: Run, progress: Progress, what: str) -> DivergedError:
    """The error for a loss that is not finite, naming the last checkpoint."""
    saved = (
        f"the checkpoint of epoch {progress.epoch} is kept"
        if progress.epoch
        else "no epoch had been finished"
    )
    return DivergedError(
        f"{what}; {saved} in {run.workdir}. Try a smaller learning_rate in another --workdir."
    )


def reestimate(run: Run, state: Any, progress: Progress, stop: StopSignals) -> Any:
    """At the end of an epoch the state with its average's own batch statistics, if asked for."""
    if run.reestimation is None:
        return state
    following = (progress.epoch + 1) * run.steps_per_epoch
    frozen = progress.epoch < run.settings.freeze_epochs
    average = run.reestimation.of_average(state.average, following, frozen, stop)
    return state.replace(average=average)


def validate(run: Run, state: Any, stop: StopSignals) -> tuple[Evaluation, SampleScores]:
    """Evaluates the current weights on the validation split; `Stopped` where a signal comes.

    Returns:
      The evaluation, and the scores of samples of what this process validates.
    """
    places = run.sample_places() if is_main() else []
    samples = SampleScores(places, host_number(), count_hosts())
    with contextlib.closing(run.val_batches()) as batches:
        evaluation = evaluate_batches(
            run.eval_step,
            state.evaluated,
            batches,
            run.hierarchy,
            run.settings.batch_size,
            run.parallel,
            measures=Measures("boundary_iou" in run.settings.metric_names),
            stop=stop,
            samples=samples,
            num_batches=-(-len(run.val_source) // run.settings.batch_size),
        )
    return evaluation, samples

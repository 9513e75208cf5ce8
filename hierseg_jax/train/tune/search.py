"""The search: trial after trial, until as many are done as were asked for."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import jax
import optuna
from optuna.trial import FrozenTrial, TrialState

from hierseg_jax.settings import Settings
from hierseg_jax.settings.checks import check_values
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import StopSignals
from hierseg_jax.system.wording import counted, one_line
from hierseg_jax.train.loop import DivergedError, train
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.tune.objective import (
    Metric,
    UndefinedError,
    check_comparable,
    check_one_size,
)
from hierseg_jax.train.tune.outcome import (
    COMPLETE,
    DIVERGED,
    FAILED,
    OUT_OF_MEMORY,
    PRUNED,
    RUNNING,
    UNDEFINED,
    Outcome,
    best_outcome,
)
from hierseg_jax.train.tune.space import Space, format_values
from hierseg_jax.train.tune.study import claim_trial, open_study, workdir_of, working_elsewhere

Train = Callable[[Settings, str, Callable[[Progress], None]], Progress]
_STATES = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.RUNNING: RUNNING,
    TrialState.WAITING: RUNNING,
}
_STATE, _NOTE = "state", "note"


def tune(
    settings: Settings,
    space: Space,
    metric: Metric,
    folder: Path,
    trials: int,
    *,
    startup_trials: int = 5,
    warmup_epochs: int = 1,
    report: Callable[[list[Outcome]], object] = lambda outcomes: None,
    train: Train = train,
) -> list[Outcome]:
    """Searches, or goes on with a search, alone or beside other processes.

    Args:
      settings: of every trial, but for what is searched.
      space: from `read_space`.
      metric: what is minimized or maximized.
      folder: of the study; made where it does not exist.
      trials: by all processes together, now and before; failed ones don't count.
      startup_trials: complete ones before any may be pruned.
      warmup_epochs: of a trial before it may be pruned.
      report: told of all trials after each one.
      train: as `hierseg_jax.train.loop.train`.

    Returns:
      All trials of the study, in their order.

    Raises:
      ValueError: one sentence for a mistake in the config, the data, the space or the folder.
        The trial that met it is failed.
      OSError: from the file system. The trial that met it goes on with the next call.
      SystemExit: after SIGTERM or SIGINT; a trial that was at work goes on with the next call.
    """
    check_comparable(space, metric)
    check_one_size(space, settings)
    pruner = optuna.pruners.MedianPruner(startup_trials, warmup_epochs)
    study = open_study(folder, settings, space, metric, pruner)
    ended = f"the study is in {folder}"
    with StopSignals(at_once=ended) as stop:
        while not stop.received:
            with claim_trial(study, folder, space, trials, settings.seed) as trial:
                if trial is None:
                    break
                workdir = workdir_of(folder, trial.number)
                begun = "Going on with trial" if workdir.exists() else "Trial"
                say(f"{begun} {trial.number} (of {trials}): {format_values(trial.params)}")
                run_trial(study, trial, settings, metric, workdir, train)
            outcomes = list_outcomes(study)
            say(describe(outcomes[trial.number], best_outcome(outcomes, metric.maximized), metric))
            report(outcomes)
            # Every trial compiles programs of its own, which the next one has no use for.
            jax.clear_caches()
        if stop.received:
            stop.end(ended)
    for number, process in working_elsewhere(study, folder).items():
        say(f"Trial {number} is still at work in {process}.")
    return list_outcomes(study)


def run_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    settings: Settings,
    metric: Metric,
    workdir: Path,
    train: Train,
) -> None:
    """Trains with a trial's values and tells the study what came of it."""
    settings = settings.replace(trial.params)
    # Of an earlier process that had the same trial.
    reported = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def tell_epochs(progress: Progress) -> None:
        for row in progress.rows:
            if row["epoch"] not in reported:
                with contextlib.suppress(UndefinedError):  # as early ones may be
                    trial.report(metric.of_epoch(row), row["epoch"])
                reported.add(row["epoch"])

    def on_epoch(progress: Progress) -> None:
        tell_epochs(progress)
        # What has had its last epoch is complete, whatever it is worth.
        if not progress.finished(settings.epochs, settings.patience) and trial.should_prune():
            raise optuna.TrialPruned

    def end(state: TrialState, error: Exception, kind: str = "") -> None:
        trial.set_user_attr(_STATE, kind)
        trial.set_user_attr(_NOTE, one_line(error, 500))
        study.tell(trial, state=state)

    try:
        check_values(settings)
        progress = train(settings, str(workdir), on_epoch)
        tell_epochs(progress)  # a process may have ended between an epoch and its report
        result = metric.of_run(progress)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except DivergedError as error:
        # Pruned rather than failed: the sampler learns from those that it is bad there.
        end(TrialState.PRUNED, error, DIVERGED)
    except UndefinedError as error:
        end(TrialState.PRUNED, error, UNDEFINED)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            end(TrialState.FAIL, error)
            raise
        end(TrialState.PRUNED, error, OUT_OF_MEMORY)
    except OSError:
        raise
    except HiersegError as error:
        end(TrialState.FAIL, error)
        raise HiersegError(
            f"Trial {trial.number} ({format_values(trial.params)}): {error}"
        ) from error
    except Exception as error:
        end(TrialState.FAIL, error)
        raise
    else:
        study.tell(trial, result)


def list_outcomes(study: optuna.Study) -> list[Outcome]:
    """All trials, in their order."""
    return [_outcome(trial) for trial in study.get_trials(deepcopy=False)]


def describe(outcome: Outcome, best: Outcome | None, metric: Metric) -> str:
    """A line about a trial that has ended."""
    shown = "" if outcome.result is None else f", {metric.name} {outcome.result:.4f}"
    epochs = counted(outcome.epochs, "epoch")
    line = f"Trial {outcome.number}: {outcome.state} after {epochs}{shown}"
    if best is None:
        return f"{line}."
    return f"{line}; best is trial {best.number} with {best.result:.4f}."


def say(text: str) -> None:
    """To the screen, with the time, for processes that share a study write beside one another."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _outcome(trial: FrozenTrial) -> Outcome:
    last = trial.last_step
    result = trial.value if trial.state == TrialState.COMPLETE else None
    if result is None and last is not None:
        result = trial.intermediate_values[last]
    return Outcome(
        number=trial.number,
        state=trial.user_attrs.get(_STATE) or _STATES[trial.state],
        values=trial.params,
        result=result,
        epochs=last or 0,
        seconds=trial.duration.total_seconds() if trial.duration else None,
        note=trial.user_attrs.get(_NOTE, ""),
    )

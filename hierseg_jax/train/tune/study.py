"""A study in a folder: a SQLite file that several processes of one machine share.

`study.db` has the trials, `trials/0007` is the workdir of number 7, `trials/0007.lock` is held by
the process that trains it, and `study.lock` while trials are given out.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.trial import TrialState

from hierseg_jax.settings import Settings, read_stored
from hierseg_jax.settings.settings import FREE_KEYS
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.errors import HiersegError, HiersegOSError
from hierseg_jax.system.locks import NoLocksError, hold, holder
from hierseg_jax.system.wording import one_line
from hierseg_jax.train.same_run import differing_keys, flags_of
from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.space import Space

_FILE, _LOCK, _TRIALS = "study.db", "study.lock", "trials"
_NAME = "hierseg_jax"
_MADE_OF = "made_of"
# Trials of different lengths could not be compared, nor pruned by one another.
_FREE_KEYS = FREE_KEYS - {"epochs", "patience", "data.on_error"}
# That SQLite waits for another process to finish writing.
_SECONDS = 60


def open_study(
    folder: Path, settings: Settings, space: Space, metric: Metric, pruner: Any
) -> optuna.Study:
    """The study of a folder, new or begun before.

    One in which all trials have failed goes on with another config.

    Raises:
      ValueError: if the folder holds something else, or a study of another config, space or
        metric.
      OSError: if it can't be written.
    """
    file = folder / _FILE
    if folder.is_dir() and not file.exists():
        others = sorted(e.name for e in folder.iterdir() if e.name not in (_LOCK, _TRIALS))
        if others:
            raise HiersegError(
                f"{folder} holds {others[0]} and no study; choose a folder of its own for a study."
            )
    make_folder(folder / _TRIALS)
    with lock_study(folder):
        try:
            storage = optuna.storages.RDBStorage(
                sqlalchemy.URL.create("sqlite", database=str(file)).render_as_string(),
                engine_kwargs={"connect_args": {"timeout": _SECONDS}},
            )
            study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction="maximize" if metric.maximized else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
        except (RuntimeError, optuna.exceptions.OptunaError, sqlalchemy.exc.SQLAlchemyError) as e:
            reason = one_line(e, 200)
            raise HiersegError(
                f"{file} can't be read as a study ({reason}); choose another --study_dir."
            ) from e
        made_of = {
            "config": settings.to_dict(),
            "space": {key: of.to_json() for key, of in space.items()},
            "metric": metric.name,
        }
        before = study.user_attrs.get(_MADE_OF)
        same = before and all(before[key] == made_of[key] for key in ("space", "metric"))
        if before is None or (same and _has_only_failed(study)):
            study.set_user_attr(_MADE_OF, made_of)
        else:
            _check_same(before, made_of, settings, folder)
    return study


def _has_only_failed(study: optuna.Study) -> bool:
    """Whether nothing is known of any values: a mistake in the config ended every trial."""
    states = {trial.state for trial in study.get_trials(deepcopy=False)}
    return states == {TrialState.FAIL}


def lock_study(folder: Path) -> contextlib.AbstractContextManager[bool]:
    """While entered, this process alone gives out trials or writes reports."""
    return _hold(folder / _LOCK, wait=True)


@contextlib.contextmanager
def _hold(file: Path, *, wait: bool) -> Iterator[bool]:
    with contextlib.ExitStack() as lock:
        try:
            held = lock.enter_context(hold(file, wait=wait))
        except NoLocksError as error:
            raise HiersegOSError(
                f"{error}, so processes could not share the study; choose a --study_dir on a local "
                "disk."
            ) from error
        yield held is not None


def workdir_of(folder: Path, number: int) -> Path:
    """Where a trial trains."""
    return folder / _TRIALS / f"{number:04d}"


@contextlib.contextmanager
def claim_trial(
    study: optuna.Study, folder: Path, space: Space, trials: int, seed: int
) -> Iterator[optuna.Trial | None]:
    """A trial for this process alone, while entered; None where no more are wanted.

    One whose process has ended in the middle comes first, with its values and its workdir; then a
    new one, until there are `trials` in all. Failed ones don't count.

    Args:
      study: from `open_study`, of the same space.
      folder: the study's.
      space: what is searched.
      trials: by all processes together.
      seed: with the number of the trial, that of the sampler; two processes that begin with the
        same seed would try the same values.
    """
    with contextlib.ExitStack() as held:
        with lock_study(folder):
            number = _choose(study, folder, trials, held)
            trial = None
            if number is not None:
                words = np.random.SeedSequence([seed, number]).generate_state(1)
                study.sampler = optuna.samplers.TPESampler(seed=int(words[0]))
                trial = _trial(study, number)
                for key, of in space.items():
                    of.suggest(trial, key)  # the same again for one that was begun before
        yield trial


def working_elsewhere(study: optuna.Study, folder: Path) -> dict[int, str]:
    """The numbers of trials that other processes train, and what those processes are."""
    return {
        trial.number: holder(_lock_of(folder, trial.number))
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    }


def _choose(
    study: optuna.Study, folder: Path, trials: int, held: contextlib.ExitStack
) -> int | None:
    """The number of the trial, whose lock is then held."""
    known = study.get_trials(deepcopy=False)
    for number in (trial.number for trial in known if trial.state == TrialState.RUNNING):
        with contextlib.ExitStack() as lock:
            if not lock.enter_context(_hold(_lock_of(folder, number), wait=False)):
                continue
            # Its process may have completed it, and let go of it, since `known` was read.
            if study.get_trials(deepcopy=False)[number].state == TrialState.RUNNING:
                held.push(lock.pop_all())
                return number
    if sum(trial.state != TrialState.FAIL for trial in known) >= trials:
        return None
    number = study.ask().number
    held.enter_context(_hold(_lock_of(folder, number), wait=True))
    return number


def _lock_of(folder: Path, number: int) -> Path:
    return folder / _TRIALS / f"{number:04d}.lock"


def _trial(study: optuna.Study, number: int) -> optuna.Trial:
    """A trial that may have been begun by another process."""
    # Optuna hands out trials that are new alone; the numbers below are its storage's public ones.
    storage = study._storage
    study_id = storage.get_study_id_from_name(study.study_name)
    return optuna.Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def _check_same(
    before: Mapping[str, Any], now: Mapping[str, Any], settings: Settings, folder: Path
) -> None:
    """Refuses to go on with a study of something else."""
    try:
        stored, asked = read_stored(before["config"]).flat(), settings.flat()
    except HiersegError as error:
        raise HiersegError(
            f"{folder} holds a study whose config can't be read ({error}); choose another "
            "--study_dir."
        ) from error
    changed = []
    if before["metric"] != now["metric"]:
        changed.append(f"its metric is {before['metric']}, now {now['metric']}")
    for key in sorted(before["space"].keys() | now["space"].keys()):
        was, given = before["space"].get(key, "not searched"), now["space"].get(key, "not searched")
        if was != given:
            changed.append(f"in its space {key} is {was}, now {given}")
    keys = differing_keys(stored, asked, _FREE_KEYS)
    changed += [
        f"in its config {key} is {stored.get(key)!r}, now {asked.get(key)!r}" for key in keys
    ]
    if changed:
        raise HiersegError(
            f"{folder} holds another study: {'; '.join(changed)}. Continue it with its own"
            f"{flags_of(stored, keys)}, or choose another --study_dir."
        )

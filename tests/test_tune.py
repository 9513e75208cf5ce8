"""The search: pruning, faults, processes that share a study, and what is reported."""

import os
import signal
import sqlite3
import sys

import jax.numpy as jnp
import pytest

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import StopSignals
from hierseg_jax.train.loop import DivergedError
from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.outcome import best_outcome
from hierseg_jax.train.tune.space import Choice
from tests.runs import (
    start,
    wait_until,
)
from tests.tuning import PART_MIOU, SPACE, base_settings, make_train, needs_optuna, search


def states(outcomes):
    return [outcome.state for outcome in outcomes]


@needs_optuna
def test_a_search_has_as_many_trials_as_asked_for_and_finds_the_best(tmp_path):
    reports = []
    outcomes = search(tmp_path, 3, report=reports.append)
    assert states(outcomes) == ["complete"] * 3
    assert [len(report) for report in reports] == [1, 2, 3]
    assert best_outcome(outcomes, maximized=False).number == 2  # by the stand-in's losses
    assert outcomes[2].result == 1 / (1 + 2 + 3)
    for outcome in outcomes:
        assert 1e-4 <= outcome.values["learning_rate"] <= 1e-2
        assert outcome.values["data.figures_train"] in (8, 16)
        assert outcome.epochs == 3
    assert len({outcome.values["learning_rate"] for outcome in outcomes}) == 3
    assert len(search(tmp_path, 3)) == 3  # nothing is left to do
    assert search(tmp_path, 4)[:3] == outcomes


@needs_optuna
def test_a_metric_of_a_level_is_maximized(tmp_path):
    outcomes = search(tmp_path, 2, metric=Metric(PART_MIOU))
    assert best_outcome(outcomes, maximized=True).result == pytest.approx(1 - 0.1 / 5)
    # Better than the first one's 0.5 at its first epoch, or it would have been pruned.
    worse = make_train(lambda number, epoch: [0.1, 0.5, 5][number] / epoch)
    outcomes = search(tmp_path / "b", 3, worse, metric=Metric(PART_MIOU), startup_trials=2)
    assert states(outcomes) == ["complete", "complete", "pruned"]


@needs_optuna
def test_a_bad_trial_is_stopped_early_and_no_good_one(tmp_path):
    losses = [1.0, 1.2, 0.9, 3.0, 0.5]
    train = make_train(lambda number, epoch: losses[number] / epoch)
    outcomes = search(tmp_path, 5, train, startup_trials=3)
    assert states(outcomes) == ["complete"] * 3 + ["pruned", "complete"]
    assert (outcomes[3].epochs, outcomes[3].result) == (1, 3.0)
    later = search(tmp_path / "later", 5, train, startup_trials=3, warmup_epochs=2)
    assert [outcome.epochs for outcome in later] == [3, 3, 3, 2, 3]
    never = search(tmp_path / "never", 5, train, startup_trials=5)
    assert states(never) == ["complete"] * 5


@needs_optuna
def test_a_trial_that_has_had_its_last_epoch_is_complete(tmp_path):
    def loss_of(number, epoch):
        return 9.0 if (number, epoch) == (3, 3) else 1 / epoch

    outcomes = search(tmp_path, 4, make_train(loss_of), startup_trials=3)
    assert states(outcomes) == ["complete"] * 4


@needs_optuna
def test_a_trial_that_diverges_or_fills_the_memory_does_not_end_the_search(tmp_path):
    def loss_of(number, epoch):
        if (number, epoch) == (0, 2):
            raise DivergedError("The loss is nan.")
        if number == 1:
            jnp.zeros(1 << 50).block_until_ready()
        return 1.0

    outcomes = search(tmp_path, 3, make_train(loss_of))
    assert states(outcomes) == ["diverged", "out of memory", "complete"]
    assert (outcomes[0].epochs, outcomes[0].note) == (1, "The loss is nan.")
    assert "RESOURCE_EXHAUSTED" in outcomes[1].note


@needs_optuna
def test_a_trial_whose_metric_is_undefined_does_not_end_the_search(tmp_path):
    losses = [(10, 5, 4), (10, 10, 10), (10, 3, 2)]
    train = make_train(lambda number, epoch: losses[number][epoch - 1])
    outcomes = search(tmp_path, 3, train, metric=Metric(PART_MIOU))
    assert states(outcomes) == ["complete", "undefined", "complete"]
    assert [outcomes[0].result, outcomes[2].result] == [0.6, 0.8]
    assert "is undefined: no class of that level" in outcomes[1].note


@needs_optuna
def test_a_mistake_ends_the_search_with_its_sentence_and_its_trial(tmp_path):
    def loss_of(number, epoch):
        if number == 1:
            raise HiersegError("data.yaml names no images.")
        return 1.0

    train = make_train(loss_of)
    with pytest.raises(ValueError, match=r"^Trial 1 \(learning_rate=.*\): data\.yaml names no"):
        search(tmp_path, 3, train)
    # It is not counted, and the search goes on without it.
    outcomes = search(tmp_path, 3, train)
    assert states(outcomes) == ["complete", "failed", "complete", "complete"]
    assert outcomes[1].note == "data.yaml names no images."


@needs_optuna
def test_values_that_no_run_can_have_together_fail_their_trial(tmp_path):
    space = {"loss": Choice(("tree_min", "tree_min_focal"))}  # of hierarchical heads
    with pytest.raises(HiersegError, match=r"^Trial 0 \(loss=tree_min.*: .*hierarchical"):
        search(tmp_path, 1, space=space, metric=Metric(PART_MIOU))
    assert not list(tmp_path.glob("trials/*/"))


@needs_optuna
def test_a_trial_cut_off_by_the_file_system_goes_on(tmp_path):
    full = tmp_path / "full"

    def loss_of(number, epoch):
        if (number, epoch) == (1, 2) and not full.exists():
            full.touch()
            raise OSError("no space left")
        return 1 / epoch

    with pytest.raises(OSError, match="no space left"):
        search(tmp_path / "study", 2, make_train(loss_of))
    epochs = []
    train = make_train(loss_of, lambda number, epoch, workdir: epochs.append((number, epoch)))
    assert states(search(tmp_path / "study", 2, train)) == ["complete"] * 2
    assert epochs == [(1, 2), (1, 3)]


@needs_optuna
def test_a_killed_process_leaves_its_trial_to_the_next_one(tmp_path):
    command = [sys.executable, "-m", "tests.tuning", str(tmp_path), "1", "hang"]
    first = start(command)
    hangs = tmp_path / "trials/0000/hangs"
    wait_until(hangs.exists, first)
    # While it lives its trial is its own.
    [elsewhere] = search(tmp_path, 1)
    assert elsewhere.state == "running"
    first.kill()
    first.wait()
    epochs = []
    train = make_train(after=lambda number, epoch, workdir: epochs.append((number, epoch)))
    [outcome] = search(tmp_path, 1, train)
    assert outcome.state == "complete"
    assert outcome.epochs == 3
    assert outcome.values == elsewhere.values
    assert epochs == [(0, 3)]  # the first two were saved


@needs_optuna
def test_processes_share_a_study_and_no_trial(tmp_path):
    command = [sys.executable, "-m", "tests.tuning", str(tmp_path), "6", "wait_for_company"]
    both = [start(command), start(command)]
    outputs = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    done = [
        [int(line.split()[2].rstrip(":")) for line in output.splitlines() if "complete" in line]
        for output in outputs
    ]
    assert all(done), outputs
    assert sorted(done[0] + done[1]) == list(range(6))
    outcomes = search(tmp_path, 6)
    assert states(outcomes) == ["complete"] * 6
    assert len({outcome.values["learning_rate"] for outcome in outcomes}) == 6


@needs_optuna
def test_a_trial_that_ends_while_another_process_looks_for_one_is_not_taken(tmp_path, monkeypatch):
    from hierseg_jax.train.tune import study as study_module

    begun = study_module.open_study(tmp_path, base_settings(), SPACE, Metric("val_loss"), None)
    number, hold = begun.ask().number, study_module.hold

    def hold_late(file, *, wait):
        if file.name == f"{number:04d}.lock":
            begun.tell(number, 0.5)  # as its own process does, just before it lets go
        return hold(file, wait=wait)

    monkeypatch.setattr(study_module, "hold", hold_late)
    outcomes = search(tmp_path, 2)
    assert states(outcomes) == ["complete"] * 2
    assert outcomes[number].result == 0.5
    assert outcomes[number].epochs == 0  # nobody trained it again


@needs_optuna
def test_the_same_seed_gives_the_same_trials_however_often_cut_off(tmp_path):
    values = [outcome.values for outcome in search(tmp_path / "a", 4)]
    for trials in (1, 3, 4):
        again = search(tmp_path / "b", trials)
    assert [outcome.values for outcome in again] == values
    other = search(tmp_path / "c", 2, settings=base_settings(seed=1))
    assert other[0].values != values[0]


@needs_optuna
def test_a_signal_ends_the_search_after_the_trial_it_could_not_stop(tmp_path):
    def loss_of(number, epoch):
        if epoch == 3:  # too late for the run to be stopped
            with StopSignals():
                os.kill(os.getpid(), signal.SIGTERM)
        return 1.0

    with pytest.raises(SystemExit) as error:
        search(tmp_path, 3, make_train(loss_of))
    assert error.value.code == 128 + signal.SIGTERM
    assert states(search(tmp_path, 1)) == ["complete"]


def test_signals_reach_the_search_around_a_run_and_the_run_within_it():
    with StopSignals() as outer:
        with StopSignals() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.received == outer.received == signal.SIGTERM
        with StopSignals() as later:
            assert later.received == signal.SIGTERM
    with StopSignals() as fresh:
        assert fresh.received == 0


@needs_optuna
def test_a_study_of_something_else_is_refused(tmp_path):
    search(tmp_path, 1)
    for changes, sentence in (
        ({"metric": Metric(PART_MIOU)}, f"its metric is val_loss, now {PART_MIOU}"),
        (
            {"space": SPACE | {"data.figures_train": Choice((8, 32))}},
            r"in its space data.figures_train is {'choice': \[8, 16\]}, now {'choice': \[8, 32\]}",
        ),
        (
            {"space": {"learning_rate": SPACE["learning_rate"]}},
            r"in its space data.figures_train is {'choice': \[8, 16\]}, now not searched",
        ),
        ({"settings": base_settings(decay=0.1)}, r"in its config decay is 0\.7, now 0\.1"),
    ):
        with pytest.raises(ValueError, match=f"holds another study: {sentence}. Continue it"):
            search(tmp_path, 2, **changes)
    # What keeps trials comparable may change.
    assert len(search(tmp_path, 2, settings=base_settings(keep_last=3))) == 2


@needs_optuna
def test_a_study_that_has_only_failed_goes_on_with_what_was_mended(tmp_path):
    def mistaken(number, epoch):
        raise HiersegError("data.yaml names no images.")

    with pytest.raises(HiersegError, match=r"^Trial 0 "):
        search(tmp_path, 1, make_train(mistaken))
    # Optuna holds a study to the values that were searched first.
    with pytest.raises(ValueError, match="holds another study: in its space data"):
        search(tmp_path, 1, space={"learning_rate": SPACE["learning_rate"]})
    outcomes = search(tmp_path, 1, settings=base_settings(decay=0.1))
    assert states(outcomes) == ["failed", "complete"]
    with pytest.raises(ValueError, match=r"decay is 0\.1, now 0\.7"):
        search(tmp_path, 2)


@needs_optuna
def test_a_folder_that_holds_no_study_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes\.txt and no study"):
        search(tmp_path, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "text").mkdir()
    (tmp_path / "text/study.db").write_text("no database, and longer than its header" * 9)
    with pytest.raises(ValueError, match=r"study\.db can't be read as a study \(.*database"):
        search(tmp_path / "text", 1)
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other/study.db") as database:
        database.execute("CREATE TABLE studies (a)")
    database.close()
    with pytest.raises(ValueError, match=r"study\.db can't be read as a study"):
        search(tmp_path / "other", 1)


@needs_optuna
def test_any_name_of_a_folder_will_do(tmp_path):
    folder = tmp_path / "a ?b%20{c}#ü"
    assert len(search(folder, 1)) == 1
    assert (folder / "study.db").is_file()
    assert len(search(folder, 2)) == 2

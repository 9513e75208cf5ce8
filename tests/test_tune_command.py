"""`hierseg tune` with real trials: killed, stopped, diverging; without Optuna a sentence."""

import signal
import subprocess
import sys

import pytest

from hierseg_jax.checkpoint import checkpoint_steps
from hierseg_jax.train.loop import train
from hierseg_jax.train.tune.outcome import best_outcome
from tests.conftest import ROOT
from tests.runs import (
    assert_bit_identical,
    run,
    small_keys,
    small_settings,
    start,
    train_here,
    wait_until,
)
from tests.tuning import PART_MIOU, needs_optuna


def tune_command(folder, space, trials, *flags, **changes):
    overrides = [f"--config.{key}={value}" for key, value in small_keys(changes).items()]
    return [
        sys.executable,
        "launch/tune.py",
        "--config=configs/figures.py",
        f"--space={space}",
        f"--study_dir={folder}",
        f"--trials={trials}",
        *(flag for flag in overrides if not flag.startswith("--config.learning_rate")),
        *flags,
    ]


def test_without_optuna_the_command_says_how_to_get_it():
    code = (
        "import sys; sys.modules['optuna'] = None; sys.argv = ['tune.py', "
        "'--config=configs/figures.py', '--space=a', '--study_dir=b', '--trials=1']; "
        "import runpy; runpy.run_path('launch/tune.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: tuning needs Optuna: pip install '.[tune]' in the project's folder."
    )


@pytest.mark.slow
@needs_optuna
def test_real_trials_go_on_after_a_kill_diverge_and_end_as_a_run_of_its_own(tmp_path):
    space, folder = tmp_path / "space.yaml", tmp_path / "study"
    space.write_text("learning_rate: {choice: [1e-3, 3e-3, 1e30]}\n")
    command = tune_command(folder, space, 4, epochs=6)
    process = start(command)
    wait_until(lambda: checkpoint_steps(folder / "trials/0000"), process)
    process.kill()
    process.wait()
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert "Going on with trial 0" in done.stdout
    assert "Continuing after step" in done.stdout
    found = search_outcomes(folder)
    assert {outcome.state for outcome in found} == {"complete", "diverged"}
    best = best_outcome(found, maximized=True)
    assert f"--config.learning_rate={best.values['learning_rate']}" in done.stdout
    alone = train_here(tmp_path / "alone", epochs=6, learning_rate=best.values["learning_rate"])
    assert best.result == max(row["levels"]["part"]["miou"] for row in alone.rows)
    assert "<svg" in (folder / "report.html").read_text()


def search_outcomes(folder):
    import optuna

    from hierseg_jax.train.tune.search import list_outcomes

    storage = f"sqlite:///{folder / 'study.db'}"
    return list_outcomes(optuna.load_study(study_name=None, storage=storage))


@pytest.mark.slow
@needs_optuna
def test_a_real_search_stopped_by_a_signal_saves_and_goes_on(tmp_path):
    space, folder = tmp_path / "space.yaml", tmp_path / "study"
    space.write_text("learning_rate: {log_uniform: [1e-3, 1e-2]}\n")
    command = tune_command(folder, space, 1, f"--metric={PART_MIOU}", epochs=4)
    process = start(command)
    for line in process.stdout:
        if line.startswith("epoch 1/4"):
            process.send_signal(signal.SIGTERM)
            break
    output = process.stdout.read()
    assert process.wait() == 128 + signal.SIGTERM
    assert "Give the same command to go on." in output
    done = run(command)
    assert done.returncode == 0, done.stderr
    [outcome] = search_outcomes(folder)
    assert (outcome.state, outcome.epochs) == ("complete", 4)


@pytest.mark.slow
def test_what_on_epoch_raises_ends_a_run_that_may_be_continued(tmp_path):
    told = []

    def stop(progress):
        told.append(progress.epoch)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train(small_settings(), str(tmp_path / "cut"), stop)
    progress = train(small_settings(), str(tmp_path / "cut"), lambda p: told.append(p.epoch))
    assert told == [1, 2]
    assert progress.epoch == 2
    train_here(tmp_path / "whole")
    assert_bit_identical(tmp_path / "cut", tmp_path / "whole")

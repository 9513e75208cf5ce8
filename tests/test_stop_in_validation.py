"""A signal ends a run within a step, in validation too, and nothing is lost by it."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import hierseg_jax.data.batches as batches_module
from hierseg_jax.checkpoint import CheckpointWriter, checkpoint_steps, last_whole_checkpoint
from hierseg_jax.checkpoint.choose import FOLDER, SUPERSEDED
from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.system.stop import StopSignals
from hierseg_jax.train import loop
from tests.conftest import ROOT
from tests.runs import assert_bit_identical, train_here
from tests.test_hosts import end, start_two
from tests.worker_sources import Signalling, be_signalled

# 4 steps an epoch, 5 batches of validation.
KEYS = {"epochs": 1, "data__figures_val": 33}


def history(workdir):
    rows = json.loads((workdir / "history.json").read_text())["epochs"]
    return [row | {"images_per_second": None} for row in rows]


@pytest.fixture(scope="module")
def in_a_thread(tmp_path_factory):
    """A run left alone, in a thread, and the warnings it gave."""
    workdir, outcome = tmp_path_factory.mktemp("thread") / "run", []

    def in_thread():
        thread = threading.Thread(
            target=lambda: outcome.append(train_here(workdir, **KEYS)), daemon=True
        )
        thread.start()
        thread.join()

    with pytest.warns(RuntimeWarning) as warnings:
        in_thread()
    return workdir, outcome, [str(warning.message) for warning in warnings]


def test_a_run_in_a_thread_trains_and_says_that_signals_are_not_caught(in_a_thread):
    _, (progress,), warnings = in_a_thread
    assert progress.epoch == 1
    assert len([text for text in warnings if "Signals are not caught in a thread" in text]) == 1


def train_with_a_signal(workdir, monkeypatch, part, number):
    """Sends SIGTERM as a part of the run is called for the nth time; returns how often it was."""
    calls = []

    def set_up(config, folder, *rest):
        run = real_set_up(config, folder, *rest)
        real = getattr(run, part)

        def watched(*arguments):
            calls.append(part)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(*arguments)

        return dataclasses.replace(run, **{part: watched})

    real_set_up = loop.set_up
    with monkeypatch.context() as patch:
        patch.setattr(loop, "set_up", set_up)
        with pytest.raises(SystemExit) as ended:
            train_here(workdir, **KEYS)
    assert ended.value.code == 128 + signal.SIGTERM
    return len(calls)


def test_a_run_stopped_in_validation_goes_on_to_the_same_bits(
    in_a_thread, tmp_path, monkeypatch, capsys
):
    workdir = tmp_path / "run"
    assert train_with_a_signal(workdir, monkeypatch, "eval_step", 2) == 2
    assert "SIGTERM: saved step 4" in capsys.readouterr().err
    assert not (workdir / "history.json").exists()
    # Stopped again before anything new was done: nothing is written twice.
    written = (workdir / FOLDER / "4" / "files.json").stat().st_mtime_ns
    assert train_with_a_signal(workdir, monkeypatch, "eval_step", 1) == 1
    assert (workdir / FOLDER / "4" / "files.json").stat().st_mtime_ns == written
    train_here(workdir, **KEYS)
    assert "epoch 1/1: loss" in capsys.readouterr().out
    assert sorted(entry.name for entry in (workdir / FOLDER).iterdir()) == ["4"]
    assert_bit_identical(workdir, in_a_thread[0])
    assert history(workdir) == history(in_a_thread[0])


@pytest.mark.slow  # so do runs that are stopped in validation, and killed
def test_a_run_stopped_in_mid_epoch_goes_on_to_the_same_bits(
    in_a_thread, tmp_path, monkeypatch, capsys
):
    workdir = tmp_path / "run"
    assert train_with_a_signal(workdir, monkeypatch, "train_step", 2) == 2
    assert "SIGTERM: saved step 2" in capsys.readouterr().err
    assert checkpoint_steps(workdir) == [2]
    train_here(workdir, **KEYS)
    assert_bit_identical(workdir, in_a_thread[0])
    assert history(workdir) == history(in_a_thread[0])


def test_a_signal_in_the_last_step_of_an_epoch_skips_its_validation(tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"
    assert train_with_a_signal(workdir, monkeypatch, "train_step", 4) == 4
    output = capsys.readouterr()
    assert "SIGTERM: saved step 4" in output.err
    assert "epoch 1/1: loss" not in output.out


def save(workdir, value, score):
    with CheckpointWriter(workdir, keep_last=1, keep_best=1, keep_every=None) as writer:
        array = {"x": np.full(3, value, np.float32)}
        writer.save(4, array, array, {"step": 4, "epoch": None, "val_loss": None}, score)


def test_the_checkpoint_of_one_step_is_replaced_only_by_a_whole_one(tmp_path):
    """Killed between the two, a run finds the earlier one again."""
    folder = tmp_path / FOLDER
    save(tmp_path, 1, None)
    (folder / "4").rename(folder / f"4{SUPERSEDED}")
    assert last_whole_checkpoint(tmp_path) == folder / "4"
    save(tmp_path, 2, 0.5)
    assert [entry.name for entry in folder.iterdir()] == ["4"]
    (folder / f"4{SUPERSEDED}").mkdir()
    assert last_whole_checkpoint(tmp_path) == folder / "4"
    assert [entry.name for entry in folder.iterdir()] == ["4"]


def test_where_nothing_is_to_be_saved_a_signal_ends_the_program_at_once(capsys):
    stop = StopSignals(at_once="the study is in runs/x")
    with stop, pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert "the study is in runs/x" in capsys.readouterr().err


def test_a_second_ctrl_c_interrupts_unless_it_is_an_echo_of_the_first():
    with StopSignals() as outer:
        signal.raise_signal(signal.SIGINT)
        outer.since += 60  # however long this machine takes for the next line
        with StopSignals() as inner:  # as a run of a search, which begins with what that received
            signal.raise_signal(signal.SIGINT)
            assert inner.received == outer.received == signal.SIGINT
            inner.since -= 120  # as if a minute had passed
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_an_inner_handler_saves_first_and_the_outer_one_learns_of_it():
    with contextlib.suppress(SystemExit), StopSignals(at_once="ended") as outer:
        with StopSignals() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.received == signal.SIGTERM
        assert outer.received == signal.SIGTERM


@pytest.mark.slow
def test_a_search_ends_at_once_while_no_run_has_anything_to_save(tmp_path):
    pytest.importorskip("optuna")
    from tests.tuning import make_train, search

    train = make_train()

    def reading_masks(config, workdir, on_epoch):  # as a run does before its first step
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on")

    with pytest.raises(SystemExit) as ended:
        search(tmp_path, 2, reading_masks)
    assert ended.value.code == 128 + signal.SIGTERM
    assert [outcome.state for outcome in search(tmp_path, 1, train)] == ["complete"]


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, 1))],
)
def test_processes_that_read_data_leave_signals_to_the_run(number):
    """A SLURM step's or a terminal's come to all of them."""
    batches = eval_batches(Signalling(number), size=(8, 8), batch_size=1, worker_count=1)
    with contextlib.closing(batches):
        assert len(list(batches)) == 4


def test_processes_that_are_about_to_read_data_leave_signals_to_the_run(monkeypatch):
    """Starting, they import for a second before they can ignore any."""
    monkeypatch.setattr(batches_module, "_start_worker", be_signalled)
    batches = eval_batches(Signalling(0), size=(8, 8), batch_size=1, worker_count=2)
    with contextlib.closing(batches):
        assert len(list(batches)) == 4


def test_devices_hear_of_a_signal_with_the_results_of_the_batch():
    script = """
import jax, numpy as np
from hierseg_jax.system.devices.parallel import all_devices
parallel = all_devices()
step = parallel.compile_eval_step(lambda v, b: {"loss": b["x"].sum(), "x": b["x"] + v})
v = parallel.put_state(np.float32(1))
for stop in (0, 15):
    batch = {"x": np.zeros(4, np.float32), "stop": np.array([0, 0, stop, 0], np.int32)}
    result = step(v, parallel.put_batch(batch))
    assert result["x"].shape == (4,)
    print(int(result["stop"]))
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["0", "15"], done.stderr


TWO = """
import dataclasses, os, signal, sys
import jax
from hierseg_jax.train import loop
from hierseg_jax.system.devices.hosts import join_hosts
from tests.runs import train_here
address, count, index = (flag.split("=")[1] for flag in sys.argv[2:])
join_hosts(address, int(count), int(index))
calls, set_up = [], loop.set_up

def watched_set_up(config, folder, *rest):
    run = set_up(config, folder, *rest)

    def eval_step(*arguments):
        calls.append(0)
        if index == "1" and len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return run.eval_step(*arguments)

    return dataclasses.replace(run, eval_step=eval_step)

loop.set_up = watched_set_up
try:
    train_here(sys.argv[1], epochs=1, model__dropout=False, data__figures_val=65)
finally:
    print("batches", len(calls), flush=True)
"""


@pytest.mark.slow
def test_two_processes_stop_at_one_batch_of_the_validation(tmp_path):
    processes, logs = start_two([sys.executable, "-c", TWO, str(tmp_path / "run")], tmp_path)
    try:
        codes = [process.wait(240) for process in processes]
    finally:
        end(processes)
    texts = [log.read_text() for log in logs]
    assert codes == [128 + signal.SIGTERM] * 2, texts
    first, second = (text.split("batches ")[1].split()[0] for text in texts)
    assert first == second
    assert int(first) < 9
    assert checkpoint_steps(tmp_path / "run") == [4]

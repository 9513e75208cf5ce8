"""A run from the command line: what it leaves, and that it goes on where it ended."""

import csv
import json
import shutil
import signal
import time

import cv2
import numpy as np
import pytest

from hierseg_jax.checkpoint import checkpoint_steps
from tests.conftest import ROOT
from tests.runs import assert_bit_identical, run, start, train_command


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run left alone; other tests look at it and copy it, none changes it."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    done = run(train_command(workdir))
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_a_run_leaves_tables_curves_pictures_and_checkpoints(finished):
    workdir, done = finished
    assert "1 device (cpu)" in done.stdout
    assert "epoch 2/2: loss" in done.stdout
    history = json.loads((workdir / "history.json").read_text())
    assert [row["epoch"] for row in history["epochs"]] == [1, 2]
    assert [row["step"] for row in history["epochs"]] == [4, 8]
    rates = [row["learning_rate"] for row in history["epochs"]]
    np.testing.assert_allclose(rates, [3e-3, 2.7e-3], rtol=1e-6)
    assert set(history["epochs"][0]["levels"]) == {"body", "upper_lower", "part"}
    with (workdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["val_loss"]) == history["epochs"][1]["val_loss"]
    assert "levels.part.reference_miou" in rows[0]
    for name in ("loss.png", "metrics.png", "samples.png"):
        assert cv2.imread(str(workdir / name)) is not None, name
    assert list((workdir / "tensorboard").iterdir())
    assert checkpoint_steps(workdir)[-1] == 8


def test_evaluate_gives_the_numbers_of_training(finished, tmp_path):
    workdir, _ = finished
    history = json.loads((workdir / "history.json").read_text())["epochs"]
    best = min(history, key=lambda row: row["val_loss"])
    command = ["launch/evaluate.py", f"--checkpoint={workdir}", "--batch_size=8"]
    done = run([train_command("")[0], *command, f"--output={tmp_path / 'out'}"])
    assert done.returncode == 0, done.stderr
    assert "upper_body" in done.stdout
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["images"] == 10
    assert metrics["epoch"] == best["epoch"]
    np.testing.assert_allclose(metrics["loss"], best["val_loss"], rtol=1e-6)
    for name, level in metrics["levels"].items():
        assert set(level) >= {"miou", "reference_miou", "iou", "pixel_accuracy"}
        for key in ("miou", "reference_miou"):
            assert level[key] == best["levels"][name][key]
    assert set(metrics["levels"]["upper_lower"]["iou"]) == {
        "background",
        "upper_body",
        "lower_body",
    }


def test_a_finished_run_continues_with_more_epochs_as_if_never_stopped(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    more = run(train_command(workdir, epochs=3))
    assert more.returncode == 0, more.stderr
    assert "Continuing after step 8 (epoch 2 finished)" in more.stdout
    at_once = tmp_path / "at_once"
    assert run(train_command(at_once, epochs=3)).returncode == 0
    assert_bit_identical(workdir, at_once)
    rows = [json.loads((w / "history.json").read_text())["epochs"] for w in (workdir, at_once)]
    for a, b in zip(*rows, strict=True):
        assert a | {"images_per_second": 0} == b | {"images_per_second": 0}


def test_worker_processes_change_nothing(finished, tmp_path):
    workdir = tmp_path / "run"
    done = run(train_command(workdir, data__worker_count=2))
    assert done.returncode == 0, done.stderr
    assert_bit_identical(workdir, finished[0])


@pytest.mark.parametrize("delay", [0.0, 0.4])
def test_a_killed_run_resumes_bit_identically(finished, tmp_path, delay):
    """SIGKILL in the first epoch, then in the second."""
    workdir = tmp_path / "run"
    for marker in ("an epoch", "epoch 1/2"):
        process = start(train_command(workdir))
        kill_after(process, marker, signal.SIGKILL, delay)
        assert process.returncode in (-signal.SIGKILL, 0)
    done = run(train_command(workdir))
    assert done.returncode == 0, done.stderr
    assert_bit_identical(workdir, finished[0])


def test_sigterm_saves_in_mid_epoch_and_the_run_resumes_bit_identically(tmp_path):
    long_epochs = {"data__figures_train": 160, "epochs": 1}
    process = start(train_command(tmp_path / "run", **long_epochs))
    output = kill_after(process, "an epoch", signal.SIGTERM, 0.0, wait_for_compilation=True)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "SIGTERM: saved step" in output
    (step,) = checkpoint_steps(tmp_path / "run")
    assert 0 < step < 20
    assert run(train_command(tmp_path / "run", **long_epochs)).returncode == 0
    assert run(train_command(tmp_path / "alone", **long_epochs)).returncode == 0
    assert_bit_identical(tmp_path / "run", tmp_path / "alone")
    losses = [
        json.loads((tmp_path / name / "history.json").read_text())["epochs"][0]["train_loss"]
        for name in ("run", "alone")
    ]
    assert losses[0] == losses[1]


def kill_after(process, marker, number, delay, wait_for_compilation=False):
    """Sends a signal once the process has printed `marker`; returns what it printed."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if marker in line:
            break
    time.sleep(delay + 2.0 * wait_for_compilation)
    process.send_signal(number)
    rest, _ = process.communicate()
    return "".join(lines) + rest


def test_a_loss_that_is_not_finite_stops_the_run_with_a_sentence(tmp_path):
    done = run(train_command(tmp_path / "run", learning_rate=1e30))
    assert done.returncode == 1
    assert done.stderr.startswith("error: The loss is nan at step ")
    assert "Try a smaller learning_rate" in done.stderr


def test_early_stopping_compares_with_the_best_loss(tmp_path):
    done = run(train_command(tmp_path / "run", epochs=30, patience=1, learning_rate=0.05))
    assert done.returncode == 0, done.stderr
    losses = [
        row["val_loss"]
        for row in json.loads((tmp_path / "run" / "history.json").read_text())["epochs"]
    ]
    assert len(losses) < 30
    assert losses[-1] >= min(losses[:-1])
    assert all(b < min(losses[: i + 1]) for i, b in enumerate(losses[1:-1]))
    assert "stopped early" in done.stdout


def test_best_periodic_and_last_checkpoints_are_kept(tmp_path):
    keys = {"epochs": 5, "save_period": 2, "patience": 0, "learning_rate": 0.02}
    assert run(train_command(tmp_path / "run", **keys)).returncode == 0
    history = json.loads((tmp_path / "run" / "history.json").read_text())["epochs"]
    best = min(history, key=lambda row: row["val_loss"])["step"]
    assert set(checkpoint_steps(tmp_path / "run")) == {best, 8, 16, 20}


def test_bfloat16_trains(tmp_path):
    done = run(train_command(tmp_path / "run", model__dtype="bfloat16", epochs=1))
    assert done.returncode == 0, done.stderr


def test_four_devices_train_and_evaluate(tmp_path):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = run(train_command(tmp_path / "run", epochs=1), **flags)
    assert done.returncode == 0, done.stderr
    assert "4 devices (cpu)" in done.stdout
    evaluate = [train_command("")[0], "launch/evaluate.py", f"--checkpoint={tmp_path / 'run'}"]
    one = run([*evaluate, "--batch_size=8"])
    four = run([*evaluate, "--batch_size=8"], **flags)
    assert one.returncode == four.returncode == 0, four.stderr
    assert one.stdout == four.stdout
    odd = run(train_command(tmp_path / "odd", batch_size=6), **flags)
    assert odd.returncode == 1
    assert "batch_size is 6, which 4 devices cannot share evenly; choose 4 or 8" in odd.stderr


def test_every_config_loads():
    for file in sorted((ROOT / "configs").glob("*.py")):
        done = run(train_command("/proc/nowhere", config=f"configs/{file.name}", batch_size=0))
        assert "batch_size is 0" in done.stderr, file

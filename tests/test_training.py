"""A run: what it leaves, and that it goes on where it ended."""

import csv
import json
import shutil
import signal

import cv2
import jax
import numpy as np
import pytest

from configs import default
from hierseg_jax.checkpoint import checkpoint_steps, find_checkpoint, load_checkpoint
from hierseg_jax.evaluation.compare import compare
from hierseg_jax.evaluation.picture_counts import read_counts
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.train.loop import DivergedError
from tests.commands import run_quickly
from tests.conftest import flags_of_users, xla_flags
from tests.runs import (
    assert_bit_identical,
    evaluate_command,
    run,
    start,
    train_command,
    train_here,
    wait_until,
)
from tests.webpages import Page, assert_stands_alone


def epochs_of(workdir):
    return json.loads((workdir / "history.json").read_text())["epochs"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run left alone, from the command line; nobody changes it."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    metrics = (*default.get_config().metrics, "reference_miou")
    done = run(train_command(workdir, tensorboard=True, samples=2, metrics=metrics))
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_a_run_leaves_tables_curves_pictures_and_checkpoints(finished):
    workdir, done = finished
    assert "1 device (cpu)" in done.stdout
    assert "epoch 2/2: loss" in done.stdout
    rows = epochs_of(workdir)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in rows] == [4, 8]
    np.testing.assert_allclose([row["learning_rate"] for row in rows], [3e-3, 2.1e-3], rtol=1e-6)
    assert set(rows[0]["levels"]) == {"body", "upper_lower", "part"}
    with (workdir / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["val_loss"]) == rows[1]["val_loss"]
    assert "levels.part.reference_miou" in table[0]
    for name in ("loss.png", "metrics.png", "samples.png"):
        assert cv2.imread(str(workdir / name)) is not None, name
    assert list((workdir / "tensorboard").iterdir())
    assert checkpoint_steps(workdir)[-1] == 8


def curve_numbers(row):
    levels = row["levels"].values()
    metrics = next(iter(levels))
    return [
        row["train_loss"],
        row["val_loss"],
        *(level[metric] for metric in metrics for level in levels),
    ]


def test_evaluate_gives_the_numbers_of_training(finished, tmp_path):
    workdir, _ = finished
    best = max(epochs_of(workdir), key=lambda row: row["levels"]["part"]["miou"])
    command = evaluate_command(workdir, "--batch_size=8", f"--output={tmp_path / 'out'}")
    done = run_quickly(*command[1:])
    assert done.returncode == 0, done.stderr
    assert "upper_body" in done.stdout
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["images"] == 10
    assert metrics["epoch"] == best["epoch"]
    np.testing.assert_allclose(metrics["loss"], best["val_loss"], rtol=1e-6)
    kept = read_counts(tmp_path / "out" / "counts.npz")
    assert len(kept) == 10
    same = compare(kept, kept, redraws=1)
    means = {row.level: row.first for row in same.rows if not row.name}
    mious = {name: level["miou"] for name, level in metrics["levels"].items()}
    assert means == pytest.approx(mious, rel=1e-12)  # classes are added up in another order
    for name, level in metrics["levels"].items():
        for key in ("miou", "reference_miou", "pixel_accuracy"):
            assert level[key] == best["levels"][name][key]
    assert list(metrics["levels"]["upper_lower"]["iou"]) == [
        "background",
        "upper_body",
        "lower_body",
    ]
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert_stands_alone(page)
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 4 * 8  # the best and worst four
    numbers = ["2", *(f"{x:.4f}" for x in curve_numbers(epochs_of(workdir)[1]))]
    assert numbers in page.rows
    test = run_quickly("evaluate", workdir, "--task=test", "--which=last", f"--output={tmp_path}")
    assert test.returncode == 0, test.stderr
    assert json.loads((tmp_path / "metrics.json").read_text())["images"] == 120


@pytest.mark.slow
def test_a_finished_run_goes_on_with_more_epochs_as_if_never_stopped(finished, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    metrics = (*default.get_config().metrics, "reference_miou")
    train_here(workdir, epochs=3, metrics=metrics)
    assert "Continuing after step 8 (epoch 2 finished)" in capsys.readouterr().out
    train_here(tmp_path / "at_once", epochs=3, metrics=metrics)
    assert_bit_identical(workdir, tmp_path / "at_once")
    for a, b in zip(epochs_of(workdir), epochs_of(tmp_path / "at_once"), strict=True):
        assert a | {"images_per_second": 0} == b | {"images_per_second": 0}


@pytest.mark.slow
def test_worker_processes_change_nothing(finished, tmp_path):
    train_here(tmp_path / "run", data__worker_count=2)
    assert_bit_identical(tmp_path / "run", finished[0])


def signal_after(process, marker, number):
    """Sends a signal once the process has printed `marker`; returns all it printed."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if marker in line:
            break
    process.send_signal(number)
    rest, _ = process.communicate()
    return "".join(lines) + rest


def test_a_killed_run_resumes_bit_identically(tmp_path):
    """SIGKILL once there is a checkpoint to go on from; compiled as users' programs are.

    What resumes it is told the folder alone, and what is to change.
    """
    workdir, flags = tmp_path / "run", {"XLA_FLAGS": flags_of_users()}
    process = start(train_command(workdir, epochs=100_000, patience=0), **flags)
    wait_until(lambda: checkpoint_steps(workdir), process)
    process.kill()
    process.communicate()
    epochs = checkpoint_steps(workdir)[-1] // 4 + 1
    resume = ["launch/train.py", f"--workdir={workdir}"]
    whole = train_command(tmp_path / "whole", patience=0)[1:]
    for command in (resume, whole):
        done = run_quickly(*command, f"--config.epochs={epochs}", **flags)
        assert done.returncode == 0, done.stderr
    assert_bit_identical(workdir, tmp_path / "whole")


def test_sigterm_to_a_process_saves_and_is_told(tmp_path):
    workdir = tmp_path / "run"
    process = start(train_command(workdir, epochs=100_000, patience=0))
    output = signal_after(process, "an epoch", signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "SIGTERM: saved " in output
    saved = load_checkpoint(find_checkpoint(workdir, "last"))
    assert saved.meta["step"] == checkpoint_steps(workdir)[-1] > 0


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path):
    with pytest.raises(DivergedError, match=r"The loss is nan at step .*smaller learning_rate"):
        train_here(tmp_path / "run", learning_rate=1e30)
    assert checkpoint_steps(tmp_path / "run") == []


@pytest.mark.slow
def test_best_periodic_and_last_checkpoints_are_kept(tmp_path):
    progress = train_here(tmp_path / "run", epochs=5, save_period=2, patience=0, learning_rate=0.02)
    assert set(checkpoint_steps(tmp_path / "run")) == {progress.best_row["step"], 8, 16, 20}


@pytest.mark.slow
def test_bfloat16_trains_with_float32_parameters(tmp_path):
    train_here(tmp_path / "run", model__dtype="bfloat16", epochs=1)
    loaded = load_checkpoint(find_checkpoint(tmp_path / "run", "last"))
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded.variables)} == {np.dtype(np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pmap", "jit"])
def test_four_devices_train_and_evaluate_as_one_does(tmp_path, way):
    flags = {"XLA_FLAGS": xla_flags("--xla_force_host_platform_device_count=4")}
    done = run(train_command(tmp_path / "run", epochs=1, parallel=way), **flags)
    assert done.returncode == 0, done.stderr
    assert "4 devices (cpu)" in done.stdout
    command = evaluate_command(tmp_path / "run", "--batch_size=8")
    one, four = run(command), run(command, **flags)
    assert one.returncode == four.returncode == 0, four.stderr
    assert one.stdout == four.stdout


@pytest.mark.slow
def test_a_run_over_devices_goes_on_in_the_other_way(tmp_path):
    """With the same dropped channels: they follow from the step and the device."""
    flags = {"XLA_FLAGS": xla_flags("--xla_force_host_platform_device_count=8")}
    losses = []
    for ways in (("pmap", "pmap"), ("jit", "jit"), ("pmap", "jit"), ("jit", "pmap")):
        workdir = tmp_path / "-".join(ways)
        for epochs, way in enumerate(ways, start=1):
            done = run(train_command(workdir, epochs=epochs, parallel=way), **flags)
            assert done.returncode == 0, done.stderr
        rows = json.loads((workdir / "history.json").read_text())["epochs"]
        losses.append([row["train_loss"] for row in rows])
    for found in losses[1:]:
        np.testing.assert_allclose(found, losses[0], rtol=1e-4)


def test_a_batch_that_devices_cannot_share_is_refused():
    parallel = Parallel(("a", "b", "c", "d"), ("a", "b"))
    parallel.check_batch_size(8)
    with pytest.raises(ValueError, match="batch_size is 6, which 4 devices cannot share evenly"):
        parallel.check_batch_size(6)

"""Two processes train one network, and what becomes of a run when one of them fails."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

import numpy as np
import pytest

from hierseg_jax.checkpoint import checkpoint_steps
from hierseg_jax.system.devices.hosts import is_cluster, join_hosts
from tests.conftest import ROOT
from tests.runs import evaluate_command, run, train_command, train_here, wait_until
from tests.test_exported_weights import export

KEYS = {"model__dropout": False, "epochs": 3, "keep_last": 3}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_two(command, folder):
    """Two processes of one command, and their logs."""
    port, processes, logs = free_port(), [], []
    for index in range(2):
        logs.append(folder / f"process{index}.log")
        flags = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={index}"]
        with logs[-1].open("w") as stream:
            process = subprocess.Popen(
                [*command, *flags],
                cwd=ROOT,
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"NPROC": "1"},
            )
        processes.append(process)
    return processes, logs


def wait_for(log, text):
    wait_until(lambda: text in log.read_text())


def end(processes):
    for process in processes:
        process.kill()
        process.wait()


def losses(workdir):
    rows = json.loads((workdir / "history.json").read_text())["epochs"]
    return np.array([[row["train_loss"], row["val_loss"]] for row in rows])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    done = run(train_command(workdir, **KEYS), NPROC="1")
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.mark.parametrize("way", ["pmap", pytest.param("jit", marks=pytest.mark.slow)])
def test_two_processes_train_and_one_goes_on_as_if_alone(tmp_path, way):
    """One step an epoch: its loss is that of the weights before it, before rounding has grown."""
    keys = KEYS | {"data__figures_train": 8, "learning_rate": 1e-3, "parallel": way}
    train_here(tmp_path / "alone", **keys | {"epochs": 2})
    processes, logs = start_two(train_command(tmp_path / "run", **keys | {"epochs": 1}), tmp_path)
    try:
        assert [process.wait(600) for process in processes] == [0, 0], logs[0].read_text()
    finally:
        end(processes)
    assert "2 devices (cpu) in 2 processes" in logs[0].read_text()
    assert "epoch" not in logs[1].read_text()
    train_here(tmp_path / "run", **keys | {"epochs": 2})
    found, wanted = losses(tmp_path / "run"), losses(tmp_path / "alone")
    # In validation the biases before a norm count, which Adam moves by rounding alone.
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], rtol=1e-3)


@pytest.mark.slow
def test_two_processes_killed_and_resumed_as_one_train_as_one_does(alone, tmp_path):
    """At the same place in the data: 33 pictures, 10 to validate on, in batches of 8."""
    workdir = tmp_path / "run"
    processes, logs = start_two(
        train_command(workdir, **KEYS | {"epochs": 1000, "keep_last": 9}), tmp_path
    )
    try:
        wait_for(logs[0], "epoch 3/1000")  # the first is on the disk by now
    finally:
        end(processes)
    assert "2 devices (cpu) in 2 processes" in logs[0].read_text()
    assert "epoch" not in logs[1].read_text()
    steps = checkpoint_steps(workdir)
    for step in steps[1:]:  # go on from the first epoch's end
        (workdir / "checkpoints" / str(step)).rename(tmp_path / str(step))
    done = run(train_command(workdir, **KEYS), NPROC="1")
    assert done.returncode == 0, done.stderr
    assert "Continuing after step 4 (epoch 1 finished)" in done.stdout
    np.testing.assert_allclose(losses(workdir), losses(alone), rtol=2e-2)
    np.testing.assert_allclose(losses(workdir)[0], losses(alone)[0], rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pmap", "jit"])
def test_two_processes_evaluate_every_example_once(alone, tmp_path, way):
    workdir = alone
    if way == "jit":
        workdir = tmp_path / "run"
        shutil.copytree(alone, workdir)
        done = run(train_command(workdir, **KEYS | {"epochs": 4, "parallel": way}), NPROC="1")
        assert done.returncode == 0, done.stderr
    command = evaluate_command(workdir, "--batch_size=8", "--which=last")
    processes, logs = start_two([*command, f"--output={tmp_path / 'two'}"], tmp_path)
    assert [process.wait(600) for process in processes] == [0, 0], logs[0].read_text()
    one = run([*command, f"--output={tmp_path / 'one'}"])
    assert one.returncode == 0, one.stderr
    first, second = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")
    )
    assert second["images"] == first["images"] == 10
    assert second["levels"] == first["levels"]
    np.testing.assert_allclose(second["loss"], first["loss"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("index", [0, 1])
def test_the_other_process_ends_within_a_minute(tmp_path, number, index):
    command = train_command(tmp_path / "run", **KEYS | {"epochs": 1000})
    processes, logs = start_two(command, tmp_path)
    try:
        wait_for(logs[0], "epoch 2/1000")
        processes[index].send_signal(number)
        assert processes[1 - index].wait(60) != 0
    finally:
        end(processes)
    message = logs[1 - index].read_text()
    assert re.search("Another process of this run has ended|another task died", message)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_one_step(tmp_path):
    command = train_command(tmp_path / "run", **KEYS | {"epochs": 1000})
    processes, logs = start_two(command, tmp_path)
    try:
        wait_for(logs[0], "epoch 1/1000")
        processes[1].send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in processes] == [128 + signal.SIGTERM] * 2
    finally:
        end(processes)
    assert "SIGTERM: saved " in logs[0].read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((None, 2, 0), "--coordinator is missing"),
        (("host:1", None, None), "--num_processes and --process_id is missing"),
        (("host", 2, 0), "--coordinator is 'host'; give host:port"),
        (("host:99999", 2, 0), "give host:port"),
        (("host:1", 2, 2), "--process_id is 2 of --num_processes=2"),
        (("host:1", 0, 0), "--process_id is 0 of --num_processes=0"),
    ],
)
def test_mistakes_in_the_flags_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        join_hosts(*arguments)


def test_one_process_needs_no_others():
    join_hosts("127.0.0.1:1", 1, 0)


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"JOB_COMPLETION_INDEX": "0", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
    ],
)
def test_clusters_are_recognised(environment, several):
    assert is_cluster(environment) == several


@pytest.mark.slow
def test_two_processes_begin_at_the_weights_of_an_exported_file(tmp_path):
    file = tmp_path / "model.onnx"
    export(file, "float32")
    keys = {"model__name": "effunet", "model__backbone": "lite0_short", "epochs": 1}
    keys |= {"model__pretrained": str(file), "model__dropout": False}
    processes, logs = start_two(train_command(tmp_path / "both", **keys), tmp_path)
    try:
        assert [process.wait(600) for process in processes] == [0, 0], logs[0].read_text()
    finally:
        end(processes)
    done = run(train_command(tmp_path / "alone", **keys), NPROC="1")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(losses(tmp_path / "both"), losses(tmp_path / "alone"), rtol=1e-3)

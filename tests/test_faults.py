"""What a run does when its data, its workers or its parent fail under it."""

import contextlib
import errno
import multiprocessing.resource_tracker
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hierseg_jax.data.pipeline import eval_batches, train_batches
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.system.errors import HiersegError
from tests.conftest import ROOT
from tests.runs import train_command, train_here, wait_until
from tests.test_training_mistakes import mistake, write_data


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def spoil(data, name):
    (data.parent / name).write_bytes(b"no picture")


def test_an_image_that_goes_bad_is_named(data, tmp_path):
    train_here(tmp_path / "run", data__spec=str(data), epochs=1)
    spoil(data, "train/images/3.jpg")
    keys = {"epochs": 2, "data__allow_changed": True}
    assert "train/images/3.jpg" in mistake(tmp_path / "run", data__spec=data, **keys)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_training_goes_on_without_a_bad_image_where_it_may(data, tmp_path, capfd, workers):
    train_here(tmp_path / "run", data__spec=str(data), epochs=1)
    spoil(data, "train/images/3.jpg")
    spoil(data, "val/images/1.jpg")
    keys = {"data__on_error": "skip", "data__worker_count": workers, "data__allow_changed": True}
    progress = train_here(tmp_path / "run", data__spec=str(data), epochs=3, **keys)
    assert progress.epoch == 3
    message = capfd.readouterr().err
    assert "warning: skipped, " in message
    assert "train/images/3.jpg" in message
    assert "val/images/1.jpg" in message


def test_batches_stay_full_and_what_is_evaluated_is_counted(data):
    spoil(data, "train/images/3.jpg")
    spoil(data, "val/images/1.jpg")
    train, val = (FolderSource(data.parent / split / "images", 4) for split in ("train", "val"))
    batches = train_batches(
        SkippingSource(train, replace=True), size=(32, 32), batch_size=8, seed=0, augment=False
    )
    batch = next(batches)
    batches.close()
    assert batch["valid"].all()
    (batch,) = eval_batches(SkippingSource(val, replace=False), size=(32, 32), batch_size=4)
    assert batch["valid"].tolist() == [True, False, True, False]


def test_a_disk_that_is_gone_is_no_bad_file(data):
    source = FolderSource(data.parent / "train" / "images", 4)
    for file in (data.parent / "train" / "images").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="No example can be read any more: "):
        SkippingSource(source, replace=True)[0]


def test_another_word_for_on_error_is_refused(tmp_path):
    sentence = mistake(tmp_path / "run", data__on_error="ignore")
    assert "data.on_error is 'ignore'; it must be fail or skip" in sentence


def text_of(file):
    """Of a file in /proc; of a process or thread that has ended since it was found, nothing.

    One that ends before its file is opened is a FileNotFoundError, one that ends between that and
    the reading a ProcessLookupError.
    """
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    """Of all threads."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in text_of(file).split()]


def workers_of(process):
    """Ids of the processes that read data, once there are two."""

    def found():
        command_lines = {child: Path(f"/proc/{child}/cmdline") for child in children(process.pid)}
        workers = [child for child, line in command_lines.items() if "spawn_main" in text_of(line)]
        return workers if len(workers) == 2 else []

    return wait_until(found, process)


def shared_memory():
    return {entry.name for entry in Path("/dev/shm").iterdir()}


def mapped_names():
    """Of all files that some process has mapped; tests beside this one have some of their own."""
    names = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            names |= {Path(line.split()[-1]).name for line in maps.read_text().splitlines()}
    return names


@pytest.fixture
def with_workers(tmp_path):
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        train_command(tmp_path / "run", epochs=1000, data__worker_count=2),
        cwd=ROOT,
        stdout=log,
        stderr=log,
    )
    yield process
    process.kill()
    process.wait()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.mark.skipif(sys.platform == "win32", reason="starts no such process")
def test_processes_that_cannot_be_started_are_told_of(data, monkeypatch):
    def refuse():
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.resource_tracker, "ensure_running", refuse)
    source = FolderSource(data.parent / "val" / "images", 4)
    batches = eval_batches(source, size=(32, 32), batch_size=2, worker_count=1)
    with (
        contextlib.closing(batches),
        pytest.raises(
            HiersegError, match=r"can.t be started .Resource temporarily unavailable.*shm"
        ),
    ):
        next(batches)


@linux
def test_a_worker_that_dies_ends_the_run_in_a_sentence(with_workers, tmp_path):
    os.kill(workers_of(with_workers)[0], signal.SIGKILL)
    assert with_workers.wait(600) == 1
    log = (tmp_path / "log").read_text()
    assert "error: A process that reads data has ended (exit code -9" in log
    assert "Traceback" not in log


@linux
def test_a_killed_run_leaves_no_workers_and_no_shared_memory(tmp_path, request):
    before = shared_memory()
    process = request.getfixturevalue("with_workers")
    workers = workers_of(process)
    wait_until(lambda: "epoch 1/" in (tmp_path / "log").read_text(), process)
    process.kill()
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    wait_until(lambda: shared_memory() - before <= mapped_names())

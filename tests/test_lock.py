"""A second run in a workdir is refused; a dead one does not hold it."""

import errno
import signal
import subprocess
import sys

import pytest

from hierseg_jax.system import locks
from hierseg_jax.train.lock import LOCK, MARKER, lock_workdir
from tests.conftest import ROOT
from tests.runs import train_here

HOLD = """
import sys, time
from pathlib import Path
from hierseg_jax.train.lock import lock_workdir
with lock_workdir(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_and_told_whose_the_first_is(holder, tmp_path):
    with pytest.raises(ValueError, match=f"Another run is at work .* \\(process {holder.pid} on"):
        train_here(tmp_path / "run")


def test_a_killed_owner_holds_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock_workdir(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / LOCK).exists()


def test_a_folder_that_was_moved_away_is_noticed_before_anything_is_written(tmp_path):
    run = tmp_path / "run"
    with lock_workdir(run) as check:
        check()
        run.rename(tmp_path / "moved")
        with pytest.raises(ValueError, match="run is no longer this run's folder: it was moved"):
            check()
        run.mkdir()  # as for a checkpoint that was being written
        with pytest.raises(ValueError, match="is no longer this run's folder"):
            check()
        (run / LOCK).write_text("process 1 on elsewhere\n")
        with pytest.raises(ValueError, match="is no longer this run's folder"):
            check()
        (run / LOCK).unlink()  # as tidy people do
        (run / MARKER).touch()
        check()


def test_a_run_may_begin_where_one_ended_before_it_wrote_anything(tmp_path):
    with lock_workdir(tmp_path / "run"):
        pass
    train_here(tmp_path / "run", epochs=1)


def test_a_folder_without_locks_is_told_by_what_the_run_has_written_there(
    tmp_path, monkeypatch, capsys
):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "lock_descriptor", refuse)
    assert train_here(tmp_path / "run", epochs=1).epoch == 1
    assert ".lock can't be locked (No locks available)" in capsys.readouterr().err
    with lock_workdir(tmp_path / "run") as check:
        check()
        (tmp_path / "run").rename(tmp_path / "moved")
        with pytest.raises(ValueError, match="is no longer this run's folder"):
            check()

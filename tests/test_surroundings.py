"""Runs whose clock is set back, and whose folders may not be written."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from tests.runs import assert_bit_identical, run, start, train_command
from tests.test_training_mistakes import write_data

# An hour back once the file $SET_BACK is there, as when a machine's time is set anew. (The
# kernel's own clock can't be set for one process: time-outs that it keeps stay as they were.)
SET_BACK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(clock, now);
  if (clock == CLOCK_REALTIME && !access(getenv("SET_BACK"), F_OK)) now->tv_sec -= 3600;
  return status;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec precise;
  int status = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return status;
}

time_t time(time_t *now) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (now) *now = precise.tv_sec;
  return precise.tv_sec;
}
"""


@pytest.fixture
def clock(tmp_path):
    """What to set in the environment, and the file that sets the clock back."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux, to stand between a process and its clock")
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(SET_BACK)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"], check=True
    )
    set_back = tmp_path / "set_back"
    return {"LD_PRELOAD": str(library), "SET_BACK": str(set_back)}, set_back


@pytest.mark.slow
def test_a_clock_that_is_set_back_changes_nothing(clock, tmp_path):
    environment, set_back = clock
    assert run(train_command(tmp_path / "steady", epochs=3)).returncode == 0
    process = start(train_command(tmp_path / "run", epochs=2), **environment)
    for line in process.stdout:
        if "epoch 1/2" in line:
            break
    set_back.touch()
    # That the fault is there: the clock of such a process goes back as the file appears.
    other = tmp_path / "other"
    look = (
        f"import time; before = time.time(); open({str(other)!r}, 'w'); print(time.time() < before)"
    )
    assert (
        run([sys.executable, "-c", look], **environment | {"SET_BACK": str(other)}).stdout
        == "True\n"
    )
    output, _ = process.communicate()
    assert process.returncode == 0, output
    # The run goes on an hour before it began.
    done = run(train_command(tmp_path / "run", epochs=3), **environment)
    assert done.returncode == 0, done.stderr
    assert "Continuing after step 8" in done.stdout
    assert_bit_identical(tmp_path / "run", tmp_path / "steady")


def run_with_read_only(folder, command):
    """On a real file system mounted for reading alone, in a mount namespace of its own."""
    namespace = shutil.which("unshare")
    # Only root may mount, and root may write wherever the file system lets it.
    if namespace is None or os.geteuid() != 0:
        pytest.skip("needs root and unshare, to mount a folder for reading alone")
    mount = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    probe = run([namespace, "-m", "bash", "-c", f"{mount} && ! touch {folder}/written"])
    if probe.returncode:
        pytest.skip("this system lets nobody mount a folder for reading alone")
    return run([namespace, "-m", "bash", "-c", f"{mount} && {shlex.join(map(str, command))}"])


def test_data_that_may_not_be_written_trains_and_evaluates(tmp_path):
    data = write_data(tmp_path / "data")
    command = train_command(tmp_path / "run", data__spec=data, epochs=1)
    done = run_with_read_only(data.parent, command)
    assert done.returncode == 0, done.stderr
    evaluation, _ = evaluate_checkpoint(tmp_path / "run", task="val")
    assert evaluation.levels


def test_a_workdir_that_may_not_be_written_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "runs").mkdir()
    done = run_with_read_only(tmp_path / "runs", train_command(tmp_path / "runs" / "a"))
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert str(tmp_path / "runs" / "a") in done.stderr
    assert "Traceback" not in done.stderr

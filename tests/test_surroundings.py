"""A run whose clock goes backwards, and one whose data may not be written."""

import os
import shlex
import shutil
import subprocess

import pytest

from hierseg_jax.evaluate import evaluate_checkpoint
from tests.runs import assert_bit_identical, run, train_command
from tests.test_training_mistakes import write_data

# Every look at the calendar is ten seconds earlier than the one before; clocks that measure
# how long something took are left alone, as when a machine's time is set anew.
BACKWARDS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

static atomic_long looks;

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec -= 10 * ++looks;
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
def backwards(tmp_path):
    """The path of a library for LD_PRELOAD."""
    compiler = shutil.which("cc")
    if compiler is None or os.uname().sysname != "Linux":
        pytest.skip("needs a C compiler on Linux, to stand between a process and its clock")
    source, library = tmp_path / "backwards.c", tmp_path / "backwards.so"
    source.write_text(BACKWARDS)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(library), "-ldl"], check=True
    )
    return str(library)


def test_a_clock_that_goes_backwards_changes_nothing(backwards, tmp_path):
    look = "import time; a = time.time(); b = time.time(); print(b < a - 5)"
    assert run(["python3", "-c", look], LD_PRELOAD=backwards).stdout == "True\n"
    assert run(train_command(tmp_path / "steady", epochs=3)).returncode == 0
    for epochs in (2, 3):
        done = run(train_command(tmp_path / "run", epochs=epochs), LD_PRELOAD=backwards)
        assert done.returncode == 0, done.stderr
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

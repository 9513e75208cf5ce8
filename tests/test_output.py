"""Where what is printed goes: terminals and readers that leave, disks that are full."""

import os
import signal
import subprocess
import sys

import pytest

from hierseg_jax.system.console import SIGPIPE
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither signals nor terminals")


def python(script, *arguments, **keys):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, check=False, timeout=300, **keys
    )


HUNG_UP = """
import pathlib, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # not ignored, as where the tests run under nohup
from hierseg_jax.system.stop import StopSignals
with StopSignals() as stop:
    print("ready", flush=True)
    while not stop.received:
        time.sleep(0.01)
    print("into the void", flush=True)
    pathlib.Path(sys.argv[1]).write_text("saved")
    stop.end("saved")
"""


def start_at_a_terminal(script, *arguments, **keys):
    """Starts Python with a terminal, which is gone once the script has printed a line."""
    ours, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdout=terminal,
        stderr=terminal,
        **keys,
    )
    os.close(terminal)
    line = b""
    while b"\n" not in line:  # the end of a line comes by itself now and then
        line += os.read(ours, 100)
    os.close(ours)  # whatever is printed from here on is an error
    return process


def test_a_terminal_that_goes_ends_a_run_as_a_signal_does(tmp_path):
    process = start_at_a_terminal(HUNG_UP, tmp_path / "a")
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 128 + signal.SIGHUP
    assert (tmp_path / "a").read_text() == "saved"


IN_THE_BACKGROUND = """
import sys
from hierseg_jax.system.output import print_anything
print_anything()
print("epoch 1")
sys.stdin.read()  # until the terminal has gone
for stream in (sys.stdout, sys.stderr):
    print("epoch 2", file=stream, flush=True)
"""


def test_a_run_in_the_background_outlives_its_terminal():
    """As after `hierseg train ... &` and `exit`: no signal comes."""
    process = start_at_a_terminal(IN_THE_BACKGROUND, stdin=subprocess.PIPE)
    process.communicate()
    assert process.returncode == 0


PIPED = """
import signal, sys
from hierseg_jax.system.output import print_anything
from hierseg_jax.system.stop import StopSignals
print_anything()
with StopSignals() as stop:
    print("epoch 1", flush=True)
    sys.stdin.read()  # until the reader has gone
    number = int(sys.argv[1])
    if number:
        signal.raise_signal(number)
    print("epoch 2", flush=True)
    assert stop.received
    open(sys.argv[2], "x").close()
    stop.end("saved")
"""


@pytest.mark.parametrize(("number", "received"), [(0, SIGPIPE), (signal.SIGINT, signal.SIGINT)])
def test_a_run_whose_reader_goes_saves_first(tmp_path, number, received):
    """As in `hierseg train 2>&1 | tee log`, where Ctrl-C ends `tee`, too."""
    process = subprocess.Popen(
        [sys.executable, "-c", PIPED, str(int(number)), tmp_path / "saved"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout.readline() == b"epoch 1\n"
    process.stdout.close()
    process.stdin.close()
    assert process.wait() == 128 + received
    assert (tmp_path / "saved").exists()


INTERRUPTED_BY_HAND = """
import sys
from hierseg_jax.system.console import end_interrupted
from hierseg_jax.system.output import print_anything
print_anything()
sys.stdin.read()  # until the reader has gone
end_interrupted()
"""


def test_ctrl_c_ends_a_program_whose_reader_it_ended_too():
    """As in `hierseg predict 2>&1 | tee log`."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED_BY_HAND],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    process.stdout.close()
    process.stdin.close()
    assert process.wait() == 128 + signal.SIGINT


full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no disk that is always full")

STOPPED = """
import signal
from hierseg_jax.system.output import print_anything
from hierseg_jax.system.stop import StopSignals
print_anything()
with StopSignals() as stop:
    print("epoch 1", flush=True)
    signal.raise_signal(signal.SIGTERM)
    stop.end("saved")
"""


@full
def test_a_full_disk_of_a_log_keeps_no_run_from_saving():
    with open("/dev/full", "w") as log:
        assert python(STOPPED, stdout=log, stderr=log).returncode == 128 + signal.SIGTERM


@full
def test_what_a_full_disk_refused_is_told_at_the_end():
    line = (
        "import sys; from hierseg_jax.commands.hierseg import main; sys.argv[0] = 'hierseg'; main()"
    )
    with open("/dev/full", "w") as report:
        done = python(line, "models", stdout=report, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: not all of the output could be printed (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_that_never_waits_gets_all_that_is_printed(stream):
    """As of a program of Node's; the pipe is full before anything is read."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    script = (
        "import sys; from hierseg_jax.system.output import print_anything; print_anything(); "
        f"[print('x' * 99, file=sys.{stream}) for _ in range(3000)]"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **{stream: writing})
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert len(pipe.read()) == 300_000
    assert process.wait() == 0


SIGNALLED_AS_IT_PRINTS = """
import io, signal, sys
from hierseg_jax.system.stop import StopSignals

class Interrupting(io.FileIO):
    def write(self, data):
        if not stop.received:
            signal.raise_signal(signal.SIGTERM)
        return super().write(data)

sys.stderr = io.TextIOWrapper(io.BufferedWriter(Interrupting(2, "w")), line_buffering=True)
with StopSignals() as stop:
    print("a line", file=sys.stderr)
    stop.end("saved")
"""


def test_a_signal_may_come_while_a_line_is_printed():
    done = python(SIGNALLED_AS_IT_PRINTS, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "SIGTERM: saving, then ending." in done.stderr
    assert "a line\n" in done.stderr


STALLED = """
import signal, sys
from hierseg_jax.system.output import print_anything
from hierseg_jax.system.stop import StopSignals
print_anything()
with StopSignals() as stop:
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    while not stop.received:
        print("x" * 1000, flush=True)
    open(sys.argv[1], "x").close()
    stop.end("saved")
"""


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_reads_nothing_keeps_no_run_from_saving(tmp_path, blocking):
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    saved = str(tmp_path / "saved")
    done = python(STALLED, saved, stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    assert done.returncode == 128 + signal.SIGTERM
    assert os.path.exists(saved)

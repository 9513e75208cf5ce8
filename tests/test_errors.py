"""The project's own errors end in a sentence; whatever else is raised keeps its traceback."""

import gc
import os
import signal
import subprocess
import sys
from collections import deque
from mmap import mmap

import grain
import numpy as np
import pytest

import hierseg_jax
from hierseg_jax.checkpoint import writer
from hierseg_jax.data.batches import iterate
from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.pytorch.files import read_torch_file
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, wants_tracebacks
from tests.conftest import ROOT
from tests.worker_sources import Broken, filled_example

MAIN = """
from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
import numpy as np

def main():
    {line}

run(main)
"""


def run_main(line, **environment):
    return subprocess.run(
        [sys.executable, "-c", MAIN.format(line=line)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("raise HiersegError('a.yaml lacks names.')", "error: a.yaml lacks names.\n"),
        ("raise HiersegFileNotFoundError('a.jpg is gone.')", "error: a.jpg is gone.\n"),
        ("open('/nonexistent')", "error: [Errno 2] No such file or directory: '/nonexistent'\n"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_traceback_comes_where_asked_for(line, sentence):
    done = run_main(line, HIERSEG_JAX_TRACEBACK="")
    assert (done.returncode, done.stderr) == (1, sentence)
    shown = run_main(line, HIERSEG_JAX_TRACEBACK="1")
    assert shown.returncode == 1
    assert "in main" in shown.stderr


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("np.zeros(3).reshape(2)", "ValueError: cannot reshape array of size 3"),
        ("int('x')", "ValueError: invalid literal"),
        ("raise OSError('of a library')", "OSError: of a library"),
    ],
)
def test_a_defect_keeps_its_traceback(line, error):
    done = run_main(line, HIERSEG_JAX_TRACEBACK="")
    assert done.returncode == 1
    assert "in main" in done.stderr
    assert error in done.stderr


def test_a_second_interrupt_ends_at_once_in_a_sentence():
    done = run_main("raise KeyboardInterrupt", HIERSEG_JAX_TRACEBACK="")
    assert done.returncode == 130
    assert done.stderr == "\nerror: interrupted; what was not saved before is lost.\n"


def test_ctrl_c_while_modules_are_read_ends_in_a_sentence():
    line = (
        "import importlib, sys; from hierseg_jax.commands import hierseg; "
        "importlib.import_module = lambda name: (_ for _ in ()).throw(KeyboardInterrupt); "
        "sys.argv = ['hierseg', 'models']; hierseg.main()"
    )
    for shown, status in (("", 130), ("1", -signal.SIGINT)):
        done = subprocess.run(
            [sys.executable, "-c", line],
            cwd=ROOT,
            env=os.environ | {"HIERSEG_JAX_TRACEBACK": shown},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
        assert ("Traceback" in done.stderr) == bool(shown)
        assert ("error: interrupted; what was not saved" in done.stderr) == (not shown)


@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.slow) for one in (">&-", "2>&-")), ">&- 2>&-"]
)
def test_a_program_without_an_output_works_and_ends_well(tmp_path, closed):
    line = (
        "import sys; from hierseg_jax.commands import hierseg; "
        "sys.argv = ['hierseg', 'models', '--model=esnet']; hierseg.main()"
    )
    file = tmp_path / "opened"
    line += f"; open({str(file)!r}, 'w').write('mine')"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, line],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_letters_that_an_encoding_lacks_end_nothing():
    done = run_main("print('K\\u00f6rper')", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "K?rper\n"


def test_the_variable_can_be_switched_off_too():
    for value, wanted in (("1", True), ("yes", True), ("0", False), ("false", False), ("", False)):
        assert wants_tracebacks({"HIERSEG_JAX_TRACEBACK": value}) == wanted
    assert not wants_tracebacks({})


def test_users_of_the_library_find_the_class_where_they_look():
    assert issubclass(hierseg_jax.HiersegError, ValueError)
    assert issubclass(HiersegFileNotFoundError, FileNotFoundError)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("mistake", [True, False])
def test_errors_come_out_of_threads_and_worker_processes_as_they_are(workers, mistake):
    batches = eval_batches(Broken(mistake), size=(8, 8), batch_size=1, worker_count=workers)
    with pytest.raises(ValueError, match=r"gone|defect") as raised:
        list(batches)
    batches.close()
    assert raised.type is (HiersegFileNotFoundError if mistake else ValueError)
    assert str(raised.value) == ("b.jpg is gone." if mistake else "defect")
    assert "stumble" in str(raised.getrepr())


def test_arrays_of_worker_processes_do_not_wait_for_the_garbage_collector():
    """Two threads would close what does, which takes another file's number away."""
    gc.collect()
    gc.disable()
    before = _mapped()
    try:
        batches = iterate(grain.MapDataset.source(range(6)).map(filled_example), 2)
        deque(batches, maxlen=0)
        batches.close()
        assert len(_mapped()) == len(before)
    finally:
        gc.enable()


def _mapped():
    arrays = [found for found in gc.get_objects() if isinstance(found, np.ndarray)]
    return [array for array in arrays if isinstance(array.base, mmap)]


def test_a_defect_while_a_checkpoint_is_written_is_not_taken_for_a_full_disk(tmp_path, monkeypatch):
    def stumble(folder):
        raise TypeError("defect")

    monkeypatch.setattr(writer, "seal", stumble)
    array = {"x": np.zeros(1, np.float32)}
    with pytest.raises(TypeError, match="defect"):
        writer.save_checkpoint(tmp_path / "converted", array, {"step": 1})
    own = writer.CheckpointWriter(tmp_path, keep_last=1, keep_best=1, keep_every=None)
    own.save(1, array, array, {"step": 1}, None)
    with pytest.raises(TypeError, match="defect"):
        own.wait()


def test_a_sentence_tells_the_traceback_what_it_stems_from(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"none")
    with pytest.raises(HiersegError) as raised:
        read_torch_file(file)
    assert raised.value.__cause__ is not None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_notes_that_find_no_room_end_nothing():
    text = "from hierseg_jax.system.notes import note\nnote('a')\nprint('done')"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=full, cwd=ROOT, check=False
        )
    assert done.stdout == b"done\n"


NO_ROOM = """
import pathlib, resource, signal, sys
import numpy as np
from hierseg_jax.runtime.outputs import write_new_image
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_new_image(pathlib.Path(sys.argv[1]), np.random.default_rng(0).integers(0, 256, (99, 99)))
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_picture_that_finds_no_room_is_named_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", NO_ROOM, tmp_path / "a.png"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == f"{tmp_path / 'a.png'} could not be written: File too large.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_a_reader_that_wants_nothing_ends_the_overview_quietly(flag):
    reads, writes = os.pipe()
    os.close(reads)
    text = "from hierseg_jax.commands.hierseg import main; main()"
    command = [sys.executable, "-c", text, flag]
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_reader_that_has_read_enough_ends_a_command_quietly():
    text = MAIN.format(line="print('x' * 10**6)")
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE

"""Linux, macOS and Windows: what only some of them have is asked for where it may be missing."""

import ast
import ctypes
import errno
import functools
import os
import subprocess
import sys

import pytest

from hierseg_jax.runtime.outputs import folder_name
from hierseg_jax.system.atomic_writing import bring, link
from hierseg_jax.system.console import is_end_of_pipe
from hierseg_jax.system.machine_memory import machine_memory
from hierseg_jax.system.paths import slashed, stored_name
from tests.conftest import ROOT

MODULES = {"fcntl", "grp", "posix", "pwd", "resource", "termios", "tty"}
NAMES = {
    "SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGSTOP", "SIGUSR1",
    "fork", "getpgid", "getuid", "killpg", "mkfifo", "nice", "sched_getaffinity", "setsid",
    "sysconf", "wait4", "waitpid",
}  # fmt: skip
# Each of them behind a question that the system answers.
ASKED_FIRST = {
    ("compiler.py", "getuid"),
    ("kept_bytes.py", "getuid"),
    ("machine_memory.py", "sysconf"),
}


@functools.cache
def all_nodes():
    """Of all sources, each with its file."""
    files = sorted((ROOT / "hierseg_jax").rglob("*.py"))
    return [(file, n) for file in files for n in ast.walk(ast.parse(file.read_text("utf-8")))]


def nodes(*kinds):
    return [(file, node) for file, node in all_nodes() if isinstance(node, kinds)]


def test_names_that_only_posix_has_are_in_known_places():
    found = {
        (file.name, node.attr)
        for file, node in nodes(ast.Attribute)
        if node.attr in NAMES and getattr(node.value, "id", "") in ("os", "signal")
    }
    assert found == ASKED_FIRST


def test_modules_that_only_posix_has_are_imported_where_that_may_fail():
    tried = {inner for _, outer in nodes(ast.Try) for inner in ast.walk(outer)}
    for file, node in nodes(ast.Import, ast.ImportFrom):
        names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        posix = {name.partition(".")[0] for name in names} & MODULES
        assert not posix or node in tried, f"{file}:{node.lineno}"


def test_text_files_are_read_and_written_in_a_named_encoding():
    """That of the system is not UTF-8 everywhere."""
    unnamed = []
    for file, node in nodes(ast.Call):
        keywords = {keyword.arg for keyword in node.keywords}
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        owner = getattr(getattr(node.func, "value", None), "id", "")
        if name == "read_text":
            bad = not node.args and "encoding" not in keywords
        elif name == "write_text":
            bad = len(node.args) < 2 and "encoding" not in keywords
        elif name == "open" and owner not in ("capture", "gzip", "os"):
            mode = next((text for text in texts if isinstance(text, str)), "r")
            bad = "b" not in mode and "encoding" not in keywords
        else:
            values = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            bad = values.get("text") is True or values.get("universal_newlines") is True
        if bad:
            unnamed.append(f"{file.name}:{node.lineno}")
    assert unnamed == []


# A process that has its packages, and then finds itself on a system with less.
ELSEWHERE = f"""
import sys, os, signal, subprocess, threading, queue, socket, uuid, tempfile, shutil, pathlib
import absl.app, cv2, numpy, onnxruntime, tqdm, yaml, concurrent.futures, importlib.metadata
for module in {sorted(MODULES - {"posix"})!r}:
    sys.modules[module] = None
for module in (os, signal):
    for name in {sorted(NAMES)!r}:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "win32"
from hierseg_jax.commands.hierseg import main
main()
"""


def run_elsewhere(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )


def test_predict_runs_without_what_windows_lacks(tmp_path):
    pytest.importorskip("onnx")
    import cv2
    import numpy as np

    from tests.test_runtime import reference_file

    file = reference_file(tmp_path / "a.onnx", contract="reference")
    folder = tmp_path / "头 →"
    folder.mkdir()
    picture = cv2.imencode(".png", np.full((20, 30, 3), 99, np.uint8))[1]
    (folder / "π.png").write_bytes(picture.tobytes())
    given = [f"--onnx_file={file}", f"--source={folder}", f"--output={folder / 'out'}"]
    done = run_elsewhere("predict", *given, "--masks", "--level=all", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode("cp1252").splitlines()[-1].startswith("Written to ")
    assert "? ?" in done.stdout.decode("cp1252")
    assert len(list((folder / "out").rglob("π.png"))) == 4


def test_what_is_invalid_without_a_file_is_the_end_of_a_pipe_on_windows(monkeypatch):
    invalid = OSError(errno.EINVAL, "Invalid argument")
    assert not is_end_of_pipe(invalid)
    monkeypatch.setattr(sys, "platform", "win32")
    assert is_end_of_pipe(invalid)
    assert not is_end_of_pipe(OSError(errno.EINVAL, "Invalid argument", "a?.png"))
    assert is_end_of_pipe(BrokenPipeError())


def test_a_file_that_can_t_be_linked_is_copied(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"1")

    def refused(*paths):
        raise OSError(errno.EPERM, "a privilege is not held")

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "symlink", refused)
    assert link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"1"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_moved_between_disks_is_flushed_by_a_stream_that_may_write(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"1")
    fsync = os.fsync

    def across(*paths):
        raise OSError(errno.EXDEV, "another disk")

    def windows_fsync(descriptor):
        os.write(descriptor, b"")  # Windows flushes what may be written
        fsync(descriptor)

    monkeypatch.setattr(os, "rename", across)
    monkeypatch.setattr(os, "fsync", windows_fsync)
    assert bring(tmp_path / "a", tmp_path / "b", move=True)
    assert [file.name for file in tmp_path.iterdir()] == ["b"]


def test_memory_is_known_on_every_system_or_said_to_be_unknown(monkeypatch):
    assert machine_memory() > 1e8

    def fill(reference):
        reference._obj.total = 3
        return 1

    class Kernel:
        GlobalMemoryStatusEx = staticmethod(fill)

    class Windll:
        kernel32 = Kernel

    monkeypatch.setattr(ctypes, "windll", Windll, raising=False)
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        assert machine_memory() == 3
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert machine_memory() == 0


def test_names_are_compared_as_the_system_compares_them(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert stored_name("Part") != stored_name("part")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert stored_name("Part") == stored_name("part")
    assert [folder_name(name) for name in ("con", "COM1", "a:b", "cone")] == [
        "con_", "COM1_", "a_b", "cone",
    ]  # fmt: skip


def test_paths_of_a_data_set_have_slashes(monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    assert slashed("train\\images") == "train/images"
    monkeypatch.setattr(os, "sep", "/")
    assert slashed("train\\images") == "train\\images"


def test_a_c_library_without_malloc_s_functions_is_left_alone(monkeypatch):
    pytest.importorskip("jaxlib")
    from hierseg_jax.system.memory import give_back_small_blocks, share_heaps

    def no_such_library(name):
        raise TypeError("bad argument type for built-in operation")  # as on Windows

    monkeypatch.setattr(ctypes, "CDLL", no_such_library)
    share_heaps()
    give_back_small_blocks()


def test_no_file_of_the_package_has_a_name_that_windows_refuses():
    for file in (ROOT / "hierseg_jax").rglob("*"):
        assert not set(file.name) & set(':*?"<>|\\'), file

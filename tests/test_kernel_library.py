"""The library of the CPU kernels is compiled once and kept; what hinders that is said."""

import concurrent.futures
import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from hierseg_jax.models.kernels import library
from hierseg_jax.system.compiler import compiled_library
from tests.commands import run_quickly

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)

PROBLEM = """
from hierseg_jax.models.kernels import library

def main():
    print(library.problem())
"""


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PATH": "/nonexistent", "CXX": ""}, "no C++ compiler was found"),
        ({"CXX": "false"}, "false failed: exit code 1"),
        ({"CXX": "env false"}, "env failed: exit code 1"),
        ({"HIERSEG_JAX_CACHE": "/proc/no/folder"}, "/proc/no"),
        ({"HIERSEG_JAX_KERNEL_FLAGS": "-march=none-such"}, "failed: "),
        ({"HIERSEG_JAX_KERNEL_FLAGS": "-O3 '"}, "HIERSEG_JAX_KERNEL_FLAGS is"),
    ],
)
def test_why_there_are_no_kernels_is_said(tmp_path, environment, sentence):
    script = tmp_path / "problem.py"
    script.write_text(PROBLEM)
    done = run_quickly(script, **{"HIERSEG_JAX_CACHE": str(tmp_path)} | environment)
    assert done.returncode == 0, done.stderr
    assert sentence in done.stdout
    assert not list(tmp_path.rglob("*.so"))


MOMENTS = """
import os, sys
import jax, jax.numpy as jnp
from hierseg_jax.models.kernels import library
from hierseg_jax.system.command_line import run

def main():
    assert not isinstance(library._bindings("float32"), str)
    os.environ.update(of.split("=") for of in changes)
    print(jax.jit(library.call("hierseg_moments", (1,), (1,)))(jnp.full((1, 2, 2, 1), 2.0))[0])

changes = sys.argv[1:]
sys.argv[1:] = []
run(main)
"""
COMPILER = """#!/bin/sh
case "$*" in *" -c bindings.cc"* | *-shared*) exec c++ "$@" ;; esac
echo "cut off" >&2
exit 1
"""


def moments_where_the_environment_is(tmp_path, *changes, **environment):
    """Of a process whose bindings are there before the environment changes."""
    return subprocess.run(
        [sys.executable, "-c", MOMENTS, *changes],
        env=os.environ
        | {"HIERSEG_JAX_CACHE": str(tmp_path), "HIERSEG_JAX_KERNEL_FLAGS": "-O0"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a compiler of that name")
def test_a_compiler_that_fails_in_the_background_is_told_of_in_a_sentence(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    done = moments_where_the_environment_is(tmp_path / "cache", CXX=str(compiler))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: This project's CPU kernels can't be used: {compiler}")
    assert "cut off" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a compiler of that name")
def test_a_compiler_hears_nothing_of_a_terminal_s_ctrl_c(tmp_path, monkeypatch):
    """A run that is asked to save computes its step first, with the kernels."""
    compiler, group = tmp_path / "compiler", tmp_path / "group"
    compiler.write_text(f'#!/bin/sh\nps -o pgid= -p $$ > {group}\nexec c++ "$@"\n')
    compiler.chmod(0o755)
    (tmp_path / "answer.cc").write_text('extern "C" int answer() { return 42; }')
    monkeypatch.setenv("CXX", str(compiler))
    compiled_library(tmp_path, {"answer.cc": ()}, cache=tmp_path / "cache")
    assert int(group.read_text()) != os.getpgrp()


@pytest.mark.slow
def test_kernels_that_cannot_be_kept_are_compiled_for_the_process(tmp_path):
    done = moments_where_the_environment_is(tmp_path, "HIERSEG_JAX_CACHE=/proc/no/folder")
    assert done.stdout.strip() == "[2.]", done.stderr


def test_several_compile_into_one_folder_at_once(tmp_path):
    (tmp_path / "answer.cc").write_text('extern "C" int answer() { return 42; }')
    cache = tmp_path / "cache"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = [
            pool.submit(compiled_library, tmp_path, {"answer.cc": ()}, cache=cache)
            for _ in range(4)
        ]
    (file,) = {future.result() for future in made}
    assert [*cache.rglob("*")] == [file.parent, file]
    assert ctypes.CDLL(str(file)).answer() == 42


def test_a_damaged_library_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("HIERSEG_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "answer.cc").write_text('extern "C" int answer() { return 42; }')
    file = compiled_library(tmp_path / "source", {"answer.cc": ()})
    whole = file.read_bytes()
    for damaged in (whole[:1000], whole[:-1] + b"?", b""):
        file.write_bytes(damaged)
        assert compiled_library(tmp_path / "source", {"answer.cc": ()}) == file
        assert file.stat().st_size == len(whole)
    assert ctypes.CDLL(str(file)).answer() == 42

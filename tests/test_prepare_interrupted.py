"""Preparing a data set: however often it is cut off, it completes and nothing is lost."""

import os
import re
import shutil
import signal

import pytest

from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.system import atomic_writing as transfer
from tests.raw_data import arrived, contents, data_of, make_raw, run_prepare

KILLED_BEFORE_RENAMING = """
import os, runpy, signal, sys
def watcher(left, kill=os.kill, process=os.getpid(), how=signal.SIGKILL):
    def watch(event, arguments):  # of nothing global: runpy clears this module
        nonlocal left
        if event == "os.rename" and "out" in str(arguments):
            left -= 1
            if left < 0:
                kill(process, how)
    return watch
sys.addaudithook(watcher(int(sys.argv[1])))
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("other_disk", [False, True])
def test_cut_off_between_any_two_steps_it_completes_when_run_again(
    tmp_path, monkeypatch, move, other_disk
):
    """Every call that changes the disk fails once, in turn, with the calls before it done."""
    raw, out = make_raw(tmp_path), tmp_path / "out"
    expected = arrived(raw)
    steps = {"left": 0}

    def guarded(function):
        def call(*args, **kwargs):
            if steps["left"] == 0:
                raise KeyboardInterrupt
            steps["left"] -= 1
            return function(*args, **kwargs)

        return call

    def rename(source, target):
        raise OSError(18, "Invalid cross-device link", str(source))

    monkeypatch.setattr(transfer.os, "rename", rename if other_disk else guarded(os.rename))
    monkeypatch.setattr(transfer.os, "replace", guarded(os.replace))
    monkeypatch.setattr(transfer.pathlib.Path, "unlink", guarded(type(raw).unlink))
    monkeypatch.setattr(transfer.shutil, "copyfile", guarded(shutil.copyfile))
    cuts = 0
    while not (out / "data.yaml").exists():
        steps["left"] = 1 + cuts % 3
        try:
            prepare(raw, out, move=move)
        except KeyboardInterrupt:
            assert not (out / "data.yaml").exists()
        cuts += 1
        assert cuts < 100
    assert cuts > 3
    assert data_of(out) == expected


@pytest.mark.parametrize("move", [False, True])
def test_killed_in_the_middle_it_completes_when_run_again(tmp_path, move):
    raw, out = make_raw(tmp_path), tmp_path / "out"
    expected = arrived(raw)
    options = (f"--raw_dir={raw}", f"--out_dir={out}", f"--move={move}")
    there = 0
    for renames in (3, 4):
        done = run_prepare(*options, python=("-c", KILLED_BEFORE_RENAMING, str(renames)))
        assert done.returncode == -signal.SIGKILL, done.stderr
        there += renames
        final = {name for name in data_of(out) if not name.endswith(".partial")}
        assert len(final) == there
        assert not (out / "data.yaml").exists()
    done = run_prepare(*options)
    assert done.returncode == 0, done.stderr
    assert re.search(f"3 files (copied|moved), {there} were there already", done.stdout)
    assert data_of(out) == expected
    assert load_spec(out / "data.yaml").splits == ("train", "val")
    assert (contents(raw).keys() == {"train_id.txt", "val_id.txt"}) == move

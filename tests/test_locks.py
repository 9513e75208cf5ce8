"""A lock of one process keeps the others out, says whose it is, and may not be to be had."""

import errno

import pytest

from hierseg_jax.system import locks
from hierseg_jax.system.locks import NoLocksError, hold, holder
from hierseg_jax.train.lock import LOCK, lock_workdir


def test_a_held_lock_is_refused_to_others_and_names_its_process(tmp_path):
    file = tmp_path / "a.lock"
    with hold(file, wait=False) as first:
        assert first
        with hold(file, wait=False) as second:
            assert not second
        assert holder(file).startswith("process ")
    with hold(file, wait=True) as again:
        assert again
    assert "can't be read" in holder(tmp_path / "none")


def test_without_locks_a_run_warns_and_what_is_shared_is_refused(tmp_path, monkeypatch, capsys):
    def no_locks(descriptor, *, blocking):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "lock_descriptor", no_locks)
    with pytest.raises(NoLocksError, match=r"can't be locked \(No locks available\)"):
        hold(tmp_path / "a.lock", wait=True).__enter__()
    with lock_workdir(tmp_path / "run"):
        pass
    assert "warning: " in (said := capsys.readouterr().err)
    assert "a second process in this folder would not be noticed" in said


def test_a_folder_that_can_t_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"none/a\.lock can't be written: No such file"):
        hold(tmp_path / "none" / "a.lock", wait=False).__enter__()


def test_a_study_without_locks_names_its_flag(tmp_path, monkeypatch):
    study = pytest.importorskip("hierseg_jax.train.tune.study", reason="needs Optuna")

    def no_locks(descriptor, *, blocking):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "lock_descriptor", no_locks)
    with pytest.raises(OSError, match=r"can't be locked \(No locks available\)") as error:
        study.lock_study(tmp_path).__enter__()
    assert str(error.value).endswith(
        "so processes could not share the study; choose a --study_dir on a local disk."
    )


def test_a_workdir_whose_lock_can_t_be_opened_is_named(tmp_path):
    (tmp_path / LOCK).mkdir()  # which even the superuser can't open for writing
    with pytest.raises(OSError, match=r"^The workdir ") as error:
        lock_workdir(tmp_path).__enter__()
    assert str(error.value) == f"The workdir {tmp_path} can't be written: Is a directory"

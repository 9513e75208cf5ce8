"""A bucket for all that a run reads and writes, on a store of its own on loopback."""

import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from hierseg_jax.checkpoint import (
    CheckpointWriter,
    checkpoint_steps,
    find_checkpoint,
    load_checkpoint,
)
from hierseg_jax.checkpoint.folders import is_there, move, remove
from hierseg_jax.checkpoint.seal import SEAL, DamagedCheckpointError
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.evaluation.evaluation_files import FILES
from hierseg_jax.system import bucket_path, leases
from hierseg_jax.system.errors import HiersegError, HiersegOSError
from hierseg_jax.system.paths import as_path, place_of
from tests.bucket_server import needs_server, served_bucket
from tests.conftest import ROOT
from tests.figure_folder import write_figures
from tests.runs import train_command, wait_until

pytestmark = needs_server
RUN = "s3://bucket/runs/a"
DATA = "s3://bucket/data/data.yaml"


@pytest.fixture(scope="module")
def store():
    with served_bucket() as environment:
        yield environment


@pytest.fixture(scope="module")
def data(store, tmp_path_factory):
    """A folder of this machine, and the same in the bucket."""
    here = tmp_path_factory.mktemp("data")
    write_figures(here)
    there = as_path(DATA).parent
    files = [file for file in here.rglob("*") if file.is_file()]
    bucket_path.send({file: there / file.relative_to(here).as_posix() for file in files})
    return here


def command(script, *flags):
    return [sys.executable, str(ROOT / "launch" / f"{script}.py"), *flags]


@pytest.fixture(scope="module")
def story(store, data, tmp_path_factory):
    """Training, killed and resumed; evaluation; export. Of each process what it printed."""
    root = tmp_path_factory.mktemp("machine")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(root / "home")}
    for name in ("home", "work", "tmp", "tmp_of_the_killed"):
        (root / name).mkdir()
    train = train_command(
        RUN, data__spec=DATA, epochs=3, tensorboard=True, samples=2, keep_last=2, decay=0.9
    )
    train[1:3] = [str(ROOT / train[1]), f"--config={ROOT / 'configs/figures.py'}"]

    def start(args, tmp="tmp"):
        return subprocess.Popen(
            args,
            cwd=root / "work",
            env={**environment, "TMPDIR": str(root / tmp)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    killed = start(train, "tmp_of_the_killed")
    wait_until(lambda: checkpoint_steps(as_path(RUN)), killed)
    killed.kill()
    said = {"killed": killed.communicate()[0]}
    for name, args in {
        "resumed": train,
        "evaluated": command("evaluate", f"--checkpoint={RUN}"),
        "exported": command(
            "export", f"--checkpoint={RUN}", "--onnx_file=s3://bucket/out/net.onnx"
        ),
    }.items():
        process = start(args)
        said[name] = process.communicate()[0]
        assert process.returncode == 0, said[name]
    return root, said


def test_a_killed_run_goes_on_from_its_bucket(story):
    _, said = story
    assert "Continuing after step" in said["resumed"]
    assert "Done after 3 epochs" in said["resumed"]
    assert "no lock in a bucket ends with its process" in said["resumed"]
    assert len(checkpoint_steps(as_path(RUN))) in (2, 3)  # the two newest, and the best
    assert not (as_path(RUN) / ".lock").exists()


def test_all_that_a_run_leaves_is_in_the_bucket(story):
    names = {entry.name for entry in as_path(RUN).scan()}
    assert names == {
        *("checkpoints", "evaluation", "history.json", "loss.png", "metrics.csv", "metrics.png"),
        *("run.json", "samples.png", "tensorboard", "train_files.gz", "val_files.gz"),
    }
    evaluation = as_path(RUN) / "evaluation" / "val"
    assert {file.name for file in evaluation.iterdir()} == {*FILES}
    out = as_path("s3://bucket/out")
    assert {file.name for file in out.iterdir()} == {"net.json", "net.onnx"}


def test_nothing_but_caches_is_left_on_the_machine(story):
    root, _ = story
    left = [file for name in ("home", "work", "tmp") for file in (root / name).rglob("*")]
    # Caches, and what onnxruntime numbers its sessions by.
    own = (root / "home" / ".cache", root / "tmp" / ".ses")
    assert not [f for f in left if f.is_file() and not any(map(f.is_relative_to, own))]


def test_pictures_are_those_of_the_folder(data):
    here, there = (open_split(str(spec), "val", 32, {}) for spec in (data / "data.yaml", DATA))
    assert there.names == here.names
    assert list(there.inventory()) == list(here.inventory())
    sent = pickle.loads(pickle.dumps(there))
    for key in ("image", "label"):
        np.testing.assert_array_equal(sent[3][key], here[3][key])


def test_splits_share_a_folder_of_masks_there_too(data):
    root = as_path("s3://bucket/shared")
    for split, name in (("train", "a"), ("val", "b")):
        for kind in ("images", "masks"):
            file = next((data / "train" / kind).iterdir())
            folder = split if kind == "images" else "masks"
            (root / folder / f"{name}{file.suffix}").write_bytes(file.read_bytes())
    text = (data / "data.yaml").read_text()
    text = text.replace("train/images", "train").replace("val/images", "val")
    (root / "data.yaml").write_bytes(text.encode())
    assert open_split(str(root / "data.yaml"), "val", 32, {}).names == ("b",)


def test_a_checkpoint_is_there_while_its_seal_is(story):
    whole = find_checkpoint(RUN, "last")
    folder = as_path("s3://bucket/moved/checkpoints/7")
    for file in whole.files():
        if file.name != SEAL:
            file.copy_to(folder / file.relative_to(whole))
    assert not checkpoint_steps(as_path("s3://bucket/moved"))
    (whole / SEAL).copy_to(folder / SEAL)
    assert checkpoint_steps(as_path("s3://bucket/moved")) == [7]
    move(folder, folder.with_name("9"))
    assert checkpoint_steps(as_path("s3://bucket/moved")) == [9]
    found = load_checkpoint(folder.with_name("9"))
    assert found.meta == load_checkpoint(whole).meta
    one = next(file for file in folder.with_name("9").files() if "/variables/" in str(file))
    one.write_bytes(one.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedCheckpointError, match="s3://bucket/moved/checkpoints/9 is damaged"):
        load_checkpoint(folder.with_name("9"))
    remove(folder.with_name("9"))
    assert not is_there(folder.with_name("9"))
    assert not as_path("s3://bucket/moved").exists()


def test_of_a_bucket_those_worth_keeping_are_kept(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workdir = as_path("s3://bucket/kept")
    arrays = {"a": np.arange(3.0)}

    def write(*scores):
        keep = {"keep_last": 1, "keep_best": 1, "keep_every": None}
        with CheckpointWriter(workdir, **keep) as writer:
            for step, score in scores:
                writer.save(step, arrays, arrays, {"score": score}, score)
        return checkpoint_steps(workdir)

    assert write((1, 1.0), (2, 2.0), (3, None)) == [1, 3]
    assert write((3, 3.0)) == [1, 3]
    assert (workdir / "checkpoints" / "3" / "metrics" / "metrics").exists()
    half = workdir / "checkpoints" / "4" / "variables" / "x"
    half.write_bytes(b"")
    assert write((5, 4.0)) == [1, 5]
    assert not half.exists()
    assert write((6, 0.5)) == [6]
    assert {entry.name for entry in (workdir / "checkpoints").scan()} == {"6"}
    assert not list(tmp_path.iterdir())


def test_objects_are_paths(store):
    file = as_path("s3://bucket/paths/a b/c.txt")
    assert not file.exists()
    assert not file.parent.is_dir()
    assert file.create("grün".encode())
    assert not file.create(b"")
    assert (file.read_text(), file.stat().st_size) == ("grün", 5)
    assert file.is_file()
    assert file.parent.is_dir()
    assert not file.is_dir()
    assert [str(path) for path in file.parent.iterdir()] == ["s3://bucket/paths/a b/c.txt"]
    assert list(file.parent.parent.glob("a*")) == [file.parent]
    assert not list(file.glob("*/x"))
    assert pickle.loads(pickle.dumps(file)) == file
    assert str(place_of("../d", file.parent)) == "s3://bucket/paths/d"
    for outside in ("/etc", "../../../x"):
        with pytest.raises(HiersegError, match="no place in the bucket"):
            place_of(outside, file.parent)
    with pytest.raises(TypeError, match="this machine's files alone"):
        os.stat(file)
    with pytest.raises(HiersegOSError, match="s3://nobody/x"):
        as_path("s3://nobody/x").write_bytes(b"")
    file.unlink()
    assert not file.exists()


def test_a_lock_is_kept_while_it_is_renewed(store):
    file = as_path("s3://bucket/locks/renewed")
    with leases.hold(file, renewal=0.05) as held:
        held.check()
        assert leases.holder(file).startswith(f"process {os.getpid()} on ")
        with leases.hold(file, renewal=0.05, patience=600) as second:
            assert second is None
    assert not file.exists()


def test_a_lock_that_nobody_renews_is_taken_and_its_holder_learns_of_it(store):
    file = as_path("s3://bucket/locks/left")
    with (
        leases.hold(file, renewal=600) as first,
        leases.hold(file, renewal=0.05, patience=0.1) as second,
    ):
        second.check()
        with pytest.raises(HiersegError, match="no longer this process's"):
            first.check()
    assert not file.exists()


def test_a_lock_of_a_process_that_has_ended_is_taken_at_once(store):
    file = as_path("s3://bucket/locks/ended")
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from hierseg_jax.system import leases\n"
            "from hierseg_jax.system.paths import as_path\n"
            "lease = leases.hold(as_path(sys.argv[1])); lease.__enter__(); time.sleep(600)",
            str(file),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wait_until(file.exists, child)
    child.kill()
    child.wait()
    with leases.hold(file, renewal=600) as held:
        held.check()


def test_a_bucket_loses_nothing_that_orbax_has_not_dropped(store, tmp_path, monkeypatch):
    """Neither what another process has brought there, nor where scratch is cleaned up meanwhile."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workdir = as_path("s3://bucket/guarded")
    arrays, held = {"a": np.arange(3.0)}, [True]

    def check():
        if not held[0]:
            raise HiersegError("the lock is lost")

    keep = {"keep_last": 1, "keep_best": 2, "keep_every": None, "before": check}
    with CheckpointWriter(workdir, **keep) as writer:
        for step in (1, 2):
            writer.save(step, arrays, arrays, {"score": 1.0}, float(step))
        writer.wait()
        move(workdir / "checkpoints" / "2", workdir / "checkpoints" / "9")
        move(workdir / "checkpoints" / "1", workdir / "checkpoints" / "2")
        shutil.rmtree(next(tmp_path.glob("*/checkpoints/2")))
        writer.wait()
        assert checkpoint_steps(workdir) == [2, 9]
        held[0] = False
        with pytest.raises(HiersegError, match="the lock is lost"):
            writer.wait()
        held[0] = True

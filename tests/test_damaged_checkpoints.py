"""A file of a checkpoint that was cut, lost or changed is found, named and passed over."""

import json
import shutil

import orbax.checkpoint as ocp
import pytest

from hierseg_jax.checkpoint import (
    DamagedCheckpointError,
    checkpoint_steps,
    find_checkpoint,
    load_checkpoint,
    open_checkpoint,
)
from hierseg_jax.checkpoint.seal import SEAL, check_seal
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from tests.runs import assert_bit_identical, train_here


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Checkpoints of steps 4, 8 and 12."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    train_here(workdir, epochs=3, keep_last=3)
    return workdir


@pytest.fixture
def workdir(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def delete(file):
    file.unlink()


DAMAGES = [flip, cut, delete]


def files(folder):
    """All files of a checkpoint's items, the largest first."""
    found = [f for f in folder.rglob("*") if f.is_file() and f.parent != folder]
    return sorted(found, key=lambda file: -file.stat().st_size)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_found_and_named(workdir, tmp_path, damage):
    folder = find_checkpoint(workdir, "last")
    assert check_seal(folder)
    for file in files(folder):
        name = file.relative_to(folder)
        shutil.copytree(folder, tmp_path / "copy")
        damage(tmp_path / "copy" / name)
        with pytest.raises(DamagedCheckpointError, match=f"its file {name} ") as error:
            check_seal(tmp_path / "copy")
        assert "\n" not in str(error.value)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize(
    "damage", [pytest.param(of, marks=() if of == "flip" else pytest.mark.slow) for of in DAMAGES]
)
def test_training_goes_on_from_the_newest_whole_checkpoint(finished, workdir, capfd, damage):
    (workdir / "note.txt").write_text("of the user's own")
    damaged = files(workdir / "checkpoints" / "12")[0]
    damage(damaged)
    train_here(workdir, epochs=3, keep_last=3)
    printed = capfd.readouterr()
    assert "Continuing after step 8 (epoch 2 finished)" in printed.out
    assert damaged.name in printed.err
    assert "12.damaged" in printed.err
    assert (workdir / "checkpoints" / "12.damaged" / SEAL).is_file()
    assert checkpoint_steps(workdir) == [4, 8, 12]
    assert_bit_identical(workdir, finished)


def test_a_damaged_best_checkpoint_is_set_aside_too(workdir, capfd):
    flip(files(workdir / "checkpoints" / "4")[0])
    train_here(workdir, epochs=3, keep_last=3)
    assert "4.damaged" in capfd.readouterr().err
    assert checkpoint_steps(workdir) == [8, 12]


def test_metrics_that_are_lost_are_noticed(workdir, capfd):
    """orbax would then count the checkpoint among those that were never evaluated."""
    shutil.rmtree(workdir / "checkpoints" / "8" / "metrics")
    train_here(workdir, epochs=3, keep_last=3)
    assert "its file metrics/metrics is missing" in capfd.readouterr().err


def test_a_run_without_a_whole_checkpoint_is_left_as_it_is(workdir):
    for step in (4, 8, 12):
        cut(files(workdir / "checkpoints" / str(step))[0])
    with pytest.raises(DamagedCheckpointError, match="checkpoints/12 is damaged"):
        train_here(workdir, epochs=4, keep_last=3)
    assert checkpoint_steps(workdir) == [4, 8, 12]


@pytest.mark.parametrize("which", ["best", "last"])
def test_evaluation_takes_the_next_best_and_says_so(workdir, capfd, which):
    meant = find_checkpoint(workdir, which)
    largest = max(
        (f for f in files(meant) if "variables" in f.parts), key=lambda f: f.stat().st_size
    )
    flip(largest)
    _, description = evaluate_checkpoint(workdir, task="val", which=which)
    assert description["checkpoint"] != str(meant)
    message = capfd.readouterr().err
    assert f"The checkpoint {meant} is damaged" in message
    assert f"Using {description['checkpoint']}." in message


def test_nothing_stands_for_a_certain_epoch(workdir):
    flip(files(workdir / "checkpoints" / "8" / "variables")[0])
    with pytest.raises(DamagedCheckpointError, match="checkpoints/8 is damaged"):
        open_checkpoint(workdir, "2")
    with pytest.raises(DamagedCheckpointError, match="checkpoints/8 is damaged"):
        open_checkpoint(workdir / "checkpoints" / "8")


def test_a_damaged_meta_loses_its_place_among_the_best(workdir, capfd):
    best = find_checkpoint(workdir)
    cut(best / "meta" / "metadata")
    assert find_checkpoint(workdir) != best
    assert f"{best} is damaged" in capfd.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "5", "{}", '{"sha256": {}}', "[" * 100_000])
def test_a_damaged_seal_is_damage(workdir, content):
    folder = find_checkpoint(workdir)
    (folder / SEAL).write_text(content)
    with pytest.raises(DamagedCheckpointError, match=f"its file {SEAL} can't be read"):
        load_checkpoint(folder)


def test_arrays_are_checked_where_there_is_no_seal(workdir):
    """As in checkpoints of earlier versions."""
    folder = find_checkpoint(workdir)
    (folder / SEAL).unlink()
    variables = load_checkpoint(folder).variables
    # Whether a flipped bit is noticed by what decompresses them depends on the bit.
    variables["params"]["encoder_head"]["bias"] = variables["params"]["encoder_head"]["bias"] + 1
    shutil.rmtree(folder / "variables")
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        checkpointer.save((folder / "variables").absolute(), args=ocp.args.StandardSave(variables))
    with pytest.raises(DamagedCheckpointError, match="its item variables does not have the hash"):
        load_checkpoint(folder)


def test_meta_is_checked_where_there_is_no_seal(workdir):
    folder = find_checkpoint(workdir)
    (folder / SEAL).unlink()
    file = folder / "meta" / "metadata"
    meta = json.loads(file.read_text())
    meta["progress"]["step"] = 99
    for content in (json.dumps(meta), "[]", "5", "{}"):
        file.write_text(content)
        with pytest.raises(DamagedCheckpointError, match="item meta"):
            load_checkpoint(folder)
    shutil.rmtree(file.parent)
    with pytest.raises(DamagedCheckpointError, match="can't be read"):
        load_checkpoint(folder)

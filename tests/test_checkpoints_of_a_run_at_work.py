"""A checkpoint that its run takes away while it is read is not damaged."""

import shutil

import pytest

from hierseg_jax.checkpoint import (
    DamagedCheckpointError,
    checkpoint_steps,
    find_checkpoint,
    load_checkpoint,
    open_checkpoint,
)
from hierseg_jax.checkpoint.choose import ReplacedError
from hierseg_jax.checkpoint.seal import SEAL, lacks_files
from hierseg_jax.system.errors import HiersegFileNotFoundError
from tests.scored_checkpoints import save_scores


@pytest.fixture
def workdir(tmp_path):
    """Checkpoints 1 to 3 of the epochs 1 to 3, of which 2 is the best, then 3."""
    save_scores(tmp_path / "run", [-0.1, -0.5, -0.3], keep_last=3)
    return tmp_path / "run"


def folder_of(workdir, step):
    return workdir / "checkpoints" / str(step)


class Replacing:
    """Reads checkpoints, each of which the run takes away once it has been chosen.

    Args:
      remove: does that to a folder.
      times: how often it happens.
    """

    def __init__(self, remove, times=1):
        self.remove, self.times, self.chosen = remove, times, []

    def __call__(self, folder):
        self.chosen.append(folder.name)
        if len(self.chosen) <= self.times:
            self.remove(folder)
        return load_checkpoint(folder)


@pytest.mark.parametrize(("which", "chosen"), [("best", ["2", "3"]), ("last", ["3", "2"])])
def test_the_best_of_what_is_there_now_is_read(workdir, capfd, which, chosen):
    load = Replacing(shutil.rmtree)
    assert open_checkpoint(workdir, which, load).path == folder_of(workdir, chosen[1])
    assert load.chosen == chosen
    assert "damaged" not in capfd.readouterr().err


def test_a_newer_checkpoint_takes_the_place_of_the_one_that_is_gone(workdir, capfd):
    def rotate(folder):
        shutil.copytree(folder, folder.with_name("new"))
        shutil.rmtree(folder)
        folder.with_name("new").rename(folder.with_name("9"))

    assert open_checkpoint(workdir, "best", Replacing(rotate)).path == folder_of(workdir, 9)
    assert capfd.readouterr().err == ""


def test_one_that_is_half_removed_was_not_damaged(workdir, capfd):
    """orbax removes file by file; the reader finds some missing, and soon the folder."""

    class Half(Replacing):
        def __call__(self, folder):
            try:
                return super().__call__(folder)
            except DamagedCheckpointError:
                assert lacks_files(folder)
                shutil.rmtree(folder)
                raise

    load = Half(lambda folder: shutil.rmtree(folder / "variables"))
    assert open_checkpoint(workdir, "best", load).path == folder_of(workdir, 3)
    assert capfd.readouterr().err == ""


def test_a_run_that_is_always_faster_is_told_in_a_sentence(workdir):
    def rotate(folder):
        shutil.move(folder, folder.with_name(f"{int(folder.name) + 10}"))

    load = Replacing(rotate, times=1000)
    with pytest.raises(ReplacedError, match="Wait for the end of the run"):
        open_checkpoint(workdir, "best", load)
    assert len(load.chosen) < 100


def test_a_checkpoint_that_was_named_and_is_gone_is_said_to_be_gone(workdir):
    folder = folder_of(workdir, 2)
    with pytest.raises(HiersegFileNotFoundError, match=f"Give its workdir, {workdir}"):
        open_checkpoint(folder, load=Replacing(shutil.rmtree))
    with pytest.raises(HiersegFileNotFoundError, match=f"Give its workdir, {workdir}"):
        find_checkpoint(folder)


def test_an_epoch_that_is_gone_is_answered_with_those_that_are_left(workdir):
    with pytest.raises(ValueError, match=r"no checkpoint '2'; there are best, last and .* 1, 3"):
        open_checkpoint(workdir, "2", Replacing(shutil.rmtree))


def test_what_is_missing_and_stays_so_is_damage(workdir, capfd):
    shutil.rmtree(folder_of(workdir, 2) / "variables")
    assert open_checkpoint(workdir).path == folder_of(workdir, 3)
    assert f"{folder_of(workdir, 2)} is damaged" in capfd.readouterr().err


def test_a_checkpoint_that_is_being_written_is_none(workdir):
    """orbax writes under another name, and the seal is in there before the name is right."""
    shutil.copytree(folder_of(workdir, 3), workdir / "checkpoints" / "4.orbax-checkpoint-tmp-0")
    assert checkpoint_steps(workdir) == [1, 2, 3]
    assert find_checkpoint(workdir, "last") == folder_of(workdir, 3)
    assert (folder_of(workdir, 3) / SEAL).is_file()

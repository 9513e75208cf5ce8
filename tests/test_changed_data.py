"""A run that is continued notices that its data are not those that it began with."""

import json
import shutil
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.bridge.rounding import open_splits
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint, read_meta
from hierseg_jax.checkpoint.contents import completed_meta
from hierseg_jax.checkpoint.other_data import listing_file
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.inventory import (
    Inventory,
    describe_change,
    in_both,
    read_listing,
    write_listing,
)
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.view_name import evaluation_name
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train import loop
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.same_data import take_inventories
from hierseg_jax.train.same_run import check_same_run
from tests.figure_folder import write_figures
from tests.runs import assert_bit_identical, small_settings, train_here


def continue_run(workdir, data, epochs=2, **changes):
    return train_here(workdir, data__spec=str(data), epochs=epochs, **changes)


def refusal(workdir, data, **changes):
    with pytest.raises(HiersegError) as error:
        continue_run(workdir, data, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Data, and a run of one epoch on them."""
    root = tmp_path_factory.mktemp("begun")
    continue_run(root / "run", write_figures(root / "data"), epochs=1)
    return root


@pytest.fixture
def copied(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "copy")
    return tmp_path / "copy" / "run", tmp_path / "copy" / "data" / "data.yaml"


@pytest.mark.slow
def test_the_same_data_at_another_path_go_on_to_the_same_bits(begun, copied, tmp_path):
    workdir, data = copied
    moved = tmp_path / "moved"
    shutil.copytree(data.parent, moved)
    shutil.rmtree(data.parent)
    continue_run(workdir, moved / "data.yaml")
    continue_run(tmp_path / "at_once", begun / "data" / "data.yaml")
    assert_bit_identical(workdir, tmp_path / "at_once")
    assert read_meta(find_checkpoint(workdir, "last"))["config"]["data"]["spec"].startswith(
        str(moved)
    )


def test_an_evaluation_tells_of_other_data_at_the_same_path(begun, tmp_path, monkeypatch, capsys):
    """A run that was given `--data=data/data.yaml`, seen from another project's folder."""
    monkeypatch.chdir(begun)
    workdir = tmp_path / "run"
    continue_run(workdir, "data/data.yaml", epochs=1)
    capsys.readouterr()
    evaluate_checkpoint(workdir, task="val")
    assert "trained with" not in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(begun / "data", other / "data")
    for folder in ("images", "masks"):
        first, *_ = sorted((other / "data" / "val" / folder).iterdir())
        first.unlink()
    monkeypatch.chdir(other)
    evaluate_checkpoint(workdir, task="val")
    said = capsys.readouterr().err
    assert "val of data/data.yaml is not what the run was trained with" in said
    assert "give the run's own with --data" in said
    loaded = load_checkpoint(find_checkpoint(workdir))
    open_splits(loaded, None, "int8")
    said = capsys.readouterr().err
    assert "val of data/data.yaml is not what the run was trained with" in said
    assert "train of" not in said  # of which nothing was taken away
    # Who names the data knows what they are.
    evaluate_checkpoint(workdir, task="val", data="data/data.yaml")
    open_splits(loaded, "data/data.yaml", "float16")
    assert "trained with" not in capsys.readouterr().err
    # From where nothing lies at that path, the data beside the run are meant.
    project = tmp_path / "project"
    shutil.copytree(begun / "data", project / "data")
    shutil.copytree(workdir, project / "runs/mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    _, content = evaluate_checkpoint("../project/runs/mine", task="val")
    assert content["data"] == str(project / "data/data.yaml")
    loaded = load_checkpoint(find_checkpoint(Path("../project/runs/mine")))
    assert evaluation_name(content, loaded.settings) == "val"
    assert "trained with" not in capsys.readouterr().err
    shutil.rmtree(project / "data")
    with pytest.raises(FileNotFoundError, match="say where it is now with --data"):
        evaluate_checkpoint("../project/runs/mine", task="val")


def test_an_evaluation_tells_of_pictures_that_the_run_was_trained_on(copied, tmp_path, capsys):
    workdir, data = copied
    other = tmp_path / "other"
    shutil.copytree(data.parent, other)
    evaluate_checkpoint(workdir, task="val", data=str(other / "data.yaml"))
    assert "trained on" not in capsys.readouterr().err
    for folder in ("images", "masks"):
        for number in (1, 5):
            name = f"{number}.png"
            shutil.copy(other / "train" / folder / name, other / "val" / folder / name)
    evaluate_checkpoint(workdir, task="val", data=str(other / "data.yaml"))
    said = capsys.readouterr().err
    assert f"val of {other / 'data.yaml'} has 2 pictures of the names and sizes of those" in said
    assert "the first 1.png: its figures are too good" in said
    evaluate_checkpoint(workdir, task="train", data=str(other / "data.yaml"))
    assert "trained on" not in capsys.readouterr().err  # who asks for these knows it
    listing_file(workdir, "train").unlink()  # nothing is known of it
    evaluate_checkpoint(workdir, task="val", data=str(other / "data.yaml"))
    assert "trained on" not in capsys.readouterr().err


def test_files_added_removed_and_changed_are_told_and_allowed_by_a_key(copied, capsys):
    workdir, data = copied
    images, masks = data.parent / "train" / "images", data.parent / "train" / "masks"
    for folder in (images, masks):
        (folder / "0.png").rename(folder / "new.png")
    cv2.imwrite(str(images / "1.png"), np.zeros((32, 64, 3), np.uint8))
    sentence = refusal(workdir, data)
    assert f"{data} is not what the run in {workdir} has trained on: train has 24 examples" in (
        sentence
    )
    for part in (
        "before 24",
        "2 files added (first images/new.png)",
        "2 files gone (first images/0.png)",
        "1 file of another size (first images/1.png)",
        "--config.data.allow_changed=True",
    ):
        assert part in sentence
    assert "val has" not in sentence
    assert refusal(workdir, data) == sentence  # asking changed nothing

    continue_run(workdir, data, data__allow_changed=True)
    assert "warning: " in capsys.readouterr().err
    continue_run(workdir, data, epochs=3)  # from here on they are the run's own
    stored = read_meta(find_checkpoint(workdir, "last"))["data"]["train"]
    listing = read_listing(listing_file(workdir, "train"), stored["sha256"])
    assert listing is not None
    assert b" images/new.png\0" in listing


def test_a_run_that_has_ended_is_told_of_another_one(copied):
    workdir, data = copied
    cv2.imwrite(str(data.parent / "train" / "images" / "1.png"), np.zeros((32, 64, 3), np.uint8))
    sentence = refusal(workdir, data, epochs=1)
    assert sentence.endswith(
        f"It has ended. Begin another one at its weights, with --config.init={workdir} and another "
        "--name or --workdir."
    )


def test_a_learning_rate_that_moves_with_the_length_of_an_epoch_is_told(capsys):
    progress = Progress(step=20, rows=({"step": 20, "learning_rate": 7e-4},))
    for steps_per_epoch, said in ((20, ""), (5, "goes from 0.0007 to 2e-05")):
        recipe = types.SimpleNamespace(
            schedule=lambda step, n=steps_per_epoch: 1e-4 * n / (step + 5)
        )
        run = types.SimpleNamespace(steps_per_epoch=steps_per_epoch, recipe=recipe)
        loop.say_new_rate(run, progress)
        assert said in capsys.readouterr().out


def test_another_validation_split_is_noticed_too(copied):
    workdir, data = copied
    (data.parent / "val" / "masks" / "3.png").unlink()
    (data.parent / "val" / "images" / "3.png").unlink()
    assert "val has 8 examples" in refusal(workdir, data)


def test_without_the_names_the_numbers_are_told(copied):
    workdir, data = copied
    listing_file(workdir, "train").write_bytes(b"no gzip")
    for folder in ("images", "masks"):
        (data.parent / "train" / folder / "5.png").unlink()
    sentence = refusal(workdir, data)
    assert "train has 23 examples (" in sentence
    assert "gone" not in sentence


def test_a_run_from_before_fingerprints_goes_on_at_its_own_path_alone():
    settings = small_settings(data__spec="a/data.yaml")
    moved = small_settings(data__spec="b/data.yaml")
    check_same_run(settings, settings, "run")
    with pytest.raises(HiersegError, match=r"data\.spec was 'a/data.yaml'"):
        check_same_run(settings, moved, "run")
    check_same_run(settings, moved, "run", data_known=True)


def test_a_tree_file_may_move_but_not_come_or_go():
    settings = small_settings(data__hierarchy="a/tree.yaml")
    check_same_run(settings, small_settings(data__hierarchy="b/tree.yaml"), "run")
    with pytest.raises(HiersegError, match=r"data\.hierarchy was 'a/tree.yaml', now ''"):
        check_same_run(settings, small_settings(), "run")


def test_embedded_figures_are_known_by_what_they_follow_from():
    from hierseg_jax.data.figures.render import FiguresSource

    def known(seed, size, count=5):
        sources = (FiguresSource(split, size, count, seed) for split in ("train", "val"))
        return {split: of.fingerprint for split, of in take_inventories(*sources).items()}

    assert known(0, 32) == known(0, 32)
    assert len({json.dumps(known(*of)) for of in [(0, 32), (1, 32), (0, 64), (0, 32, 6)]}) == 4


def test_files_that_no_example_reads_change_nothing(tmp_path):
    folder = write_figures(tmp_path).parent / "train" / "images"
    before = Inventory.of(24, FolderSource(folder, 7).inventory())
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "broken").symlink_to("nowhere")
    source = SkippingSource(FolderSource(folder, 7), replace=True)
    assert Inventory.of(len(source), source.inventory()) == before


names = st.text(st.characters(blacklist_characters="\0/", blacklist_categories=("Cs",)), min_size=1)


@given(st.dictionaries(names, st.integers(0, 2**40), max_size=6), st.data())
def test_changes_are_told_by_their_kind(sizes, data):
    before = Inventory.of(len(sizes), sizes.items())
    again = Inventory.of(len(sizes), dict(sizes).items())
    assert again.fingerprint == before.fingerprint
    assert before.fingerprint["bytes"] == sum(sizes.values())
    if not sizes:
        return
    name = data.draw(st.sampled_from(sorted(sizes)))
    fewer = {other: size for other, size in sizes.items() if other != name}
    larger = sizes | {name: sizes[name] + 1}
    for now, kind in ((fewer, "gone"), (larger, "of another size")):
        inventory = Inventory.of(len(now), now.items())
        assert inventory.fingerprint != before.fingerprint
        told = describe_change(before.fingerprint, before.listing, inventory)
        assert f": 1 file {kind} (first " in told
        assert told.isprintable()


def test_a_kept_listing_is_read_back_or_not_used(tmp_path):
    inventory = Inventory.of(1, [("images/ä b\n.png", 3)])
    write_listing(tmp_path / "files.gz", inventory)
    digest = inventory.fingerprint["sha256"]
    assert read_listing(tmp_path / "files.gz", digest) == inventory.listing
    assert read_listing(tmp_path / "files.gz", "0" * 64) is None
    cut = (tmp_path / "files.gz").read_bytes()[:-9]
    (tmp_path / "files.gz").write_bytes(cut)
    assert read_listing(tmp_path / "files.gz", digest) is None
    assert read_listing(tmp_path / "none.gz", digest) is None


@pytest.mark.parametrize("data", [5, {"train": 5}, {"train": {"examples": "5"}}])
def test_a_fingerprint_that_is_none_is_no_checkpoints(begun, data):
    meta = read_meta(find_checkpoint(begun / "run", "last"))
    completed_meta(meta)
    with pytest.raises(HiersegError, match="data"):
        completed_meta(meta | {"data": data})


def test_pictures_of_a_name_and_size_are_the_same_unless_that_is_by_chance():
    def inventory(*names, examples=None, sizes=(7, 9)):
        entries = [("ignore: 255", 0)]
        for name in names:
            entries += [(name, sizes[0]), (name.replace("images", "masks"), sizes[1])]
        return Inventory.of(examples or len(names), entries)

    old = inventory("images/a.jpg", "2/images/x/b.PNG", "images/c.bmp").listing
    assert in_both(old, inventory("1/images/a.jpg", "images/b.PNG")) == ["a.jpg", "b.PNG"]
    assert in_both(old, inventory("images/c.bmp", "images/d.jpg")) == []
    assert in_both(old, inventory("images/a.jpg", examples=199)) == ["a.jpg"]
    assert in_both(old, inventory("images/a.jpg", examples=201)) == []
    assert in_both(old, inventory("images/a.jpg", sizes=(8, 9))) == []
    assert in_both(old, inventory("images/a.jpg", sizes=(7, 8))) == []
    # Where every picture has a folder of its own, their names tell nothing.
    same = inventory("images/p/image.png", "images/q/image.png").listing
    assert in_both(same, inventory("images/r/image.png")) == []
    alone = inventory("images/r/image.png").listing
    assert in_both(alone, inventory("images/p/image.png", "images/q/image.png")) == []

"""Pictures that show none of the classes: no masks, and all of them is background."""

import contextlib
import dataclasses
import re
import shutil

import cv2
import jax
import numpy as np
import pytest

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.checkpoint.other_data import other_data
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.settings.building import with_folders
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.run import describe
from hierseg_jax.train.same_data import fingerprints, what_changed
from hierseg_jax.train.set_up import set_up
from tests.inspection_data import make_data
from tests.runs import small_settings

LITTLE = {"augment": "modern", "epochs": 1, "data__figures_train": 8, "data__figures_val": 2}


@pytest.fixture
def folder(tmp_path):
    """Eight pictures, half of them in a folder below."""
    rng = np.random.default_rng(0)
    for index in range(8):
        file = tmp_path / "nobody" / ("deep" if index % 2 else ".") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), rng.integers(0, 256, (30 + index, 40, 3), np.uint8))
    return tmp_path / "nobody"


def test_a_run_draws_each_of_them_once_an_epoch_as_background(folder, tmp_path):
    settings = small_settings(**LITTLE, data__negatives=str(folder), batch_size=16)
    run = set_up(settings, tmp_path / "run")
    assert run.steps_per_epoch == 1
    assert f"8 of the 8 of figures, 8 of the 8 of data.negatives, {folder}" in describe(run)
    with contextlib.closing(run.train_batches()) as batches:
        batch = next(batches)
    assert (batch["label"] == 0).all((1, 2)).sum() == 8
    assert not (batch["label"] == 255).any()


def test_a_batch_of_them_alone_has_finite_losses_and_weights(folder, tmp_path):
    loss = "crossentropy + dice + lovasz + focal + boundary"
    settings = small_settings(**LITTLE, data__negatives=str(folder), loss=loss)
    run = set_up(settings, tmp_path / "run")
    with contextlib.closing(run.train_batches()) as batches:
        batch = next(batches)
    batch["label"] = np.zeros_like(batch["label"])
    state, metrics = run.train_step(
        run.parallel.put_state(run.initial_state()), run.parallel.put_batch(batch)
    )
    assert np.isfinite(metrics["loss"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_they_stand_beside_pictures_that_a_teacher_alone_knows(folder):
    source = FiguresSource("train", 32, 3)
    data = small_settings(**LITTLE).data
    assert with_folders(source, data, 0) is source
    unknown = folder.with_name("unknown")
    (folder / "deep").rename(unknown)
    of_both = {"negatives": str(folder), "unlabelled": str(unknown)}
    drawn = with_folders(source, dataclasses.replace(data, **of_both), 0)
    assert [len(of) for of in drawn.sources] == [3, 4, 4]
    assert {int(drawn[index]["label"].max()) for index in range(3, 7)} == {0}
    assert {int(drawn[index]["label"].min()) for index in range(7, 11)} == {255}
    names = [name for name, _ in drawn.inventory()]
    assert any("negatives/2.png" in name for name in names)
    assert any("unlabelled/1.png" in name for name in names)
    of_sum = Mixture(["a", "b"], [source, FiguresSource("train", 32, 4)], [1.0, 2.0])
    drawn = with_folders(of_sum, dataclasses.replace(data, **of_both), 0)
    assert drawn.draws == (3, 8, 4, 4)


def test_files_of_the_data_or_of_both_folders_are_refused(folder, tmp_path):
    spec = make_data(tmp_path / "data")
    settings = small_settings(**LITTLE).data
    train, val = (open_split(str(spec), split, 32, {}) for split in ("train", "val"))
    for where, sentence in (
        (
            "train/images",
            r"data\.negatives: .*train.images.* is one of the data, with a mask; leave",
        ),
        ("val/images", r"data\.negatives: .*val.images.* is one of the data, with a mask; leave"),
        ("linked", r"data\.negatives: .*linked.* is one of the data, with a mask; leave"),
    ):
        given = tmp_path / "data" / where
        if where == "linked":
            given.symlink_to(tmp_path / "data" / "val" / "images")
        data = dataclasses.replace(settings, negatives=str(given))
        with pytest.raises(ValueError, match=sentence):
            with_folders(SkippingSource(train, replace=True), data, 0, others=(val,))
    both = dataclasses.replace(settings, negatives=str(folder), unlabelled=str(folder / "deep"))
    with pytest.raises(
        ValueError, match=r"data\.unlabelled: .*deep.* is one of data\.negatives, too"
    ):
        with_folders(train, both, 0)
    masks = tmp_path / "data" / "train" / "masks"
    for mask in masks.iterdir():  # a mask that could be a picture
        cv2.imwrite(str(mask.with_suffix(".png")), np.load(mask))
        mask.unlink()
    train = open_split(str(spec), "train", 32, {})
    for key in ("negatives", "unlabelled"):
        data = dataclasses.replace(settings, **{key: str(masks)})
        with pytest.raises(ValueError, match=rf"data\.{key}: .*png is a mask of the data; leave"):
            with_folders(train, data, 0)


def test_what_is_not_read_of_them_is_told_as_of_any_picture(folder, tmp_path, capsys):
    cv2.imwrite(str(folder / "clear.png"), np.full((30, 40, 4), 128, np.uint8))
    set_up(small_settings(**LITTLE, data__negatives=str(folder)), tmp_path / "run")
    assert "transparency" in capsys.readouterr().err


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_pictures_of_other_kinds_are_told_of_and_no_examples(folder, tmp_path, capsys, on_error):
    (folder / "deep/9.HEIC").write_bytes(b"")
    settings = small_settings(**LITTLE, data__negatives=str(folder), data__on_error=on_error)
    assert "8 of the 8 of data.negatives" in describe(set_up(settings, tmp_path / "run"))
    sentence = f"{folder}/deep/9.HEIC is a picture of a kind that is not read; save it as PNG"
    assert sentence in capsys.readouterr().err
    (folder / "9.gif").write_bytes(b"")
    set_up(settings, tmp_path / "other")
    assert "2 pictures are of kinds that are not read, such as" in capsys.readouterr().err


def test_class_weights_and_missing_classes_go_by_the_masks_alone(folder, tmp_path):
    weighted = {"loss": "crossentropy", "loss_options__class_weights": "median_frequency"}
    plain = set_up(small_settings(**LITTLE, **weighted), tmp_path / "plain")
    run = set_up(
        small_settings(**LITTLE, **weighted, data__negatives=str(folder)), tmp_path / "run"
    )
    assert run.recipe.class_weights == plain.recipe.class_weights
    assert len(run.train_source) == len(plain.train_source) == 8
    np.testing.assert_array_equal(run.seen_labels, plain.seen_labels)


def test_a_run_does_not_go_on_where_they_have_changed_without_being_asked(folder, tmp_path):
    settings = small_settings(**LITTLE, data__negatives=str(folder))
    before = fingerprints(set_up(settings, tmp_path / "run").inventories)
    assert what_changed(before, set_up(settings, tmp_path / "run").inventories, tmp_path) == ""
    (folder / "0.png").unlink()
    after = set_up(settings, tmp_path / "run").inventories
    assert "train has 15 examples" in what_changed(before, after, tmp_path)


def test_an_export_knows_that_a_run_has_trained_on_them_too(folder, tmp_path):
    settings = small_settings(**LITTLE, data__negatives=str(folder))
    run = set_up(settings, tmp_path / "run")
    meta = {"data": fingerprints(run.inventories)}
    loaded = Checkpoint(tmp_path, {}, None, meta, run.settings, run.hierarchy)
    assert other_data(loaded, "train", run.train_source, "figures") == ""
    (folder / "0.png").unlink()
    assert "it has 15 examples" in other_data(loaded, "train", run.train_source, "figures")
    shutil.rmtree(folder)
    assert other_data(loaded, "train", run.train_source, "figures") == ""


def test_their_files_are_known_by_names_below_the_folder(folder):
    source = FiguresSource("train", 32, 3)
    data = small_settings(**LITTLE, data__negatives=str(folder)).data
    before = dict(with_folders(source, data, 0).inventory())
    moved = folder.rename(folder.with_name("elsewhere"))
    data = dataclasses.replace(data, negatives=str(moved))
    assert dict(with_folders(source, data, 0).inventory()) == before
    (moved / "0.png").unlink()
    assert dict(with_folders(source, data, 0).inventory()) != before


def test_what_can_not_be_is_refused_in_a_sentence(folder, tmp_path):
    data = small_settings(**LITTLE, data__negatives=str(folder)).data
    source = FiguresSource("train", 32, 3)
    sentence = f"data.negatives is {folder}, whose pictures are all background, and the classes"
    with pytest.raises(HiersegError, match=re.escape(sentence)):
        with_folders(source, data, None)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match=r"data\.negatives: .*bare and the folders below it hold"):
        with_folders(source, dataclasses.replace(data, negatives=str(tmp_path / "bare")), 0)
    with pytest.raises(FileNotFoundError, match=r"data\.negatives: .*nowhere does not exist;"):
        with_folders(source, dataclasses.replace(data, negatives=str(tmp_path / "nowhere")), 0)
    with pytest.raises(FileNotFoundError, match=r"data\.negatives: .*0\.png is a file; give a"):
        with_folders(source, dataclasses.replace(data, negatives=str(folder / "0.png")), 0)


def test_an_unreadable_one_is_named_or_skipped_as_any_picture(folder, capsys):
    (folder / "0.png").write_bytes(b"no picture")
    source = FiguresSource("train", 32, 3)
    data = small_settings(**LITTLE, data__negatives=str(folder)).data
    with pytest.raises(ValueError, match=r"0\.png"):
        with_folders(source, data, 0)[3]
    drawn = with_folders(source, dataclasses.replace(data, on_error="skip"), 0)
    assert (drawn[3]["label"] == 0).all()
    assert "0.png" in capsys.readouterr().err

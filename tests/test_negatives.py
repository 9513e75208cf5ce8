"""Pictures that show none of the classes: no masks, and all of them is background."""

import contextlib
import dataclasses
import re

import cv2
import jax
import numpy as np
import pytest

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.settings.building import with_folders
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.run import describe, set_up
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
    assert f"8 of the 8 of figures, 8 of the 8 of {folder}" in describe(run)
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
    of_both = {"negatives": str(folder), "unlabelled": str(folder / "deep")}
    drawn = with_folders(source, dataclasses.replace(data, **of_both), 0)
    assert [len(of) for of in drawn.sources] == [3, 8, 4]
    assert {int(drawn[index]["label"].max()) for index in range(3, 11)} == {0}
    assert {int(drawn[index]["label"].min()) for index in range(11, 15)} == {255}
    names = [name for name, _ in drawn.inventory()]
    assert any("negatives/deep/1.png" in name for name in names)
    assert any("unlabelled/1.png" in name for name in names)


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
    with pytest.raises(FileNotFoundError, match=r"data\.negatives: there is no folder"):
        with_folders(source, dataclasses.replace(data, negatives=str(tmp_path / "nowhere")), 0)


def test_an_unreadable_one_is_named_or_skipped_as_any_picture(folder, capsys):
    (folder / "0.png").write_bytes(b"no picture")
    source = FiguresSource("train", 32, 3)
    data = small_settings(**LITTLE, data__negatives=str(folder)).data
    with pytest.raises(ValueError, match=r"0\.png"):
        with_folders(source, data, 0)[3]
    drawn = with_folders(source, dataclasses.replace(data, on_error="skip"), 0)
    assert (drawn[3]["label"] == 0).all()
    assert "0.png" in capsys.readouterr().err

"""A run whose size, resize rule, metrics and best epoch are the user's."""

import numpy as np
import pytest

from hierseg_jax.checkpoint import find_checkpoint, read_meta
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.view import View
from tests.figure_folder import write_figures
from tests.runs import train_here

CHOICES = {
    "data__image_size": (30, 44),  # rounded to 32 x 48
    "data__resize": "letterbox",
    "metrics": ("f1,boundary_iou",),
    "best": "part.boundary_iou",
    "epochs": 4,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("choices")
    data = write_figures(root / "data")
    progress = train_here(root / "run", data__spec=str(data), **CHOICES)
    return root, data, progress


def test_sides_are_rounded_and_stay_so(run, capsys):
    root, data, before = run
    progress = train_here(root / "run", data__spec=str(data), **CHOICES)
    assert progress.rows == before.rows  # the same command finds nothing left to do
    error = capsys.readouterr().err
    assert "30x44 (height x width) is rounded to 32x48 (height x width)" in error
    meta = read_meta(find_checkpoint(root / "run", "last"))
    assert tuple(meta["config"]["data"]["image_size"]) == (32, 48)


def test_the_best_checkpoint_is_that_of_the_chosen_metric(run):
    root, _, progress = run
    values = [row["levels"]["part"]["boundary_iou"] for row in progress.rows]
    assert set(progress.rows[0]["levels"]["part"]) == {"f1", "boundary_iou"}
    best = int(np.argmax(values)) + 1
    assert progress.best_row["epoch"] == best
    meta = read_meta(find_checkpoint(root / "run", "best"))
    assert (meta["epoch"], meta["score"]) == (best, -values[best - 1])
    header = (root / "run" / "metrics.csv").read_text().splitlines()[0]
    assert "levels.part.boundary_iou" in header.split(",")
    assert "levels.part.miou" not in header


def test_an_evaluation_repeats_the_epoch_and_counts_whole_pictures(run):
    root, _, progress = run
    row = progress.best_row
    options = {"task": "val", "batch_size": 8}
    done, description = evaluate_checkpoint(str(root / "run"), **options)
    assert (description["resize"], description["image_size"]) == ("letterbox", [32, 48])
    assert description["metrics"] == ["f1", "boundary_iou"]
    for name, level in done.levels.items():
        assert level.mean_f1 == pytest.approx(row["levels"][name]["f1"])
        assert level.mean_boundary_iou == pytest.approx(row["levels"][name]["boundary_iou"])
    # Pictures of 64 x 32, 32 x 64 and 44 x 60 fill 32 x 16, 24 x 48 and 32 x 44 of the input.
    assert done.confusion_cc.sum() == 3 * (32 * 16 + 24 * 48 + 32 * 44)
    whole, _ = evaluate_checkpoint(
        str(root / "run"), view=View(resolution="original"), metrics=("miou",), **options
    )
    assert whole.confusion_cc.sum() == 3 * (64 * 32 + 32 * 64 + 44 * 60)
    assert whole.unseen == 0
    assert np.isnan(whole.levels["part"].mean_boundary_iou)  # was not asked for


def test_test_time_augmentation_changes_predictions_and_are_told(run):
    root, _, _ = run
    options = {"task": "val", "batch_size": 8}
    plain, _ = evaluate_checkpoint(str(root / "run"), **options)
    view = View(scales=(1.0, 1.5), flip=True)
    found, description = evaluate_checkpoint(str(root / "run"), view=view, **options)
    assert (description["scales"], description["flip"]) == ([1.0, 1.5], True)
    assert found.loss != plain.loss
    assert found.confusion_cc.sum() == plain.confusion_cc.sum()


@pytest.mark.parametrize("size", [(30, 44), (64, 64)])
def test_an_evaluation_may_be_of_another_size_one_side_or_two(run, size):
    root, _, _ = run
    _, description = evaluate_checkpoint(
        str(root / "run"), task="val", batch_size=8, view=View(image_size=size)
    )
    assert description["image_size"] == {(30, 44): (32, 48), (64, 64): 64}[size]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"best": "halves.f1"}, "the tree has the levels body, part"),
        ({"best": "miou"}, "add miou to them"),
        ({"metrics": ("mio",)}, "did you mean miou"),
        ({"data__resize": "pad"}, "must be stretch, letterbox or crop"),
        ({"data__image_size": "large"}, "one side in pixels, or height,width"),
    ],
)
def test_choices_that_are_none_are_named(run, tmp_path, changes, sentence):
    _, data, _ = run
    with pytest.raises(ValueError, match=sentence):
        train_here(tmp_path / "other", data__spec=str(data), **CHOICES | changes)
    assert not (tmp_path / "other").exists()

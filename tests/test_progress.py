"""Early stopping and history, without training."""

import dataclasses
import json
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.evaluation.evaluate import Evaluation
from hierseg_jax.evaluation.metrics import TreeMetrics
from hierseg_jax.settings.metric_choice import Criterion
from hierseg_jax.train.initial import network_begun_from
from hierseg_jax.train.progress import Progress, end_line, epoch_line, start_note
from tests.runs import small_settings

TREE = TreeMetrics(contradictions=0.1, mistake_distance=float("nan"), mean_distance=0.0)


def after(losses, steps_per_epoch=3):
    progress = Progress()
    for loss in losses:
        progress = progress.with_steps([1.0] * steps_per_epoch)
        progress = progress.with_epoch(
            Evaluation({}, TREE, loss, 1, {}, np.ones((2, 2))), 1e-3, 2.0, 24
        )
    return progress


def test_early_stopping_compares_with_the_best_loss_not_the_last():
    falling_from_a_peak = [0.5, 0.9, 0.8, 0.7]
    progress = after(falling_from_a_peak)
    assert (progress.best_score, progress.stale_epochs) == (0.5, 3)
    assert progress.finished(epochs=10, patience=3)
    assert not progress.finished(epochs=10, patience=4)
    assert not progress.finished(epochs=10, patience=0)
    assert progress.finished(epochs=4, patience=0)
    assert after([*falling_from_a_peak, 0.4]).stale_epochs == 0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_stale_epochs_count_from_the_first_of_the_best(losses):
    progress = after(losses)
    assert progress.best_score == min(losses)
    assert progress.stale_epochs == len(losses) - 1 - losses.index(min(losses))
    assert progress.epoch == len(losses)
    assert progress.step == 3 * len(losses)


@given(st.lists(st.floats(0, 1e6), max_size=4), st.lists(st.floats(0, 10), max_size=3))
def test_progress_round_trips_through_json(losses, unfinished):
    progress = after(losses).with_steps(unfinished)
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress


def test_lines_say_how_an_epoch_and_a_run_ended():
    assert epoch_line(after([0.5]), 4).startswith("epoch 1/4: loss 1.0000, validation loss 0.5000")
    assert epoch_line(after([0.5]), 4).endswith("12.0 images/s *")
    assert epoch_line(after([0.5, 0.6]), 4).endswith("images/s")
    assert epoch_line(after([0.5]), 4, 59.0).endswith("12.0 images/s *")
    assert epoch_line(after([0.5]), 4, 700.0).endswith("12.0 images/s, about 12 min left *")
    assert epoch_line(after([0.5, 0.6]), 4, 9000.0).endswith("images/s, about 2.5 h left")
    assert "best is epoch 1 with" in end_line(after([0.5, 0.6]), 2)
    assert "stopped early: 1 epoch without" in end_line(after([0.5, 0.6]), 4)
    assert end_line(after([0.5]), 1).startswith("Done after 1 epoch; best is epoch 1 with ")
    assert "stopped early" not in end_line(after([0.5, 0.6]), 2)


@pytest.mark.parametrize(
    ("losses", "start", "is_said"),
    [
        ([0.5, 0.6, 0.7, 0.8, 0.9], "runs/mine", True),
        ([0.5, 0.6, 0.7, 0.8, 0.9], "", False),
        ([0.5, 0.6, 0.7, 0.4, 0.9], "runs/mine", False),
        ([0.5, 0.6, 0.7, 0.8], "runs/mine", False),
    ],
)
def test_a_trained_network_that_training_only_made_worse_is_named(losses, start, is_said):
    assert ("runs/mine, which training began from" in start_note(after(losses), start)) == is_said


def test_whole_networks_that_a_run_begins_from_are_told_from_backbones(tmp_path):
    given = small_settings()
    for pretrained, whole in (
        ("", False),
        ("imagenet", False),
        ("street_photographs", True),
        ("mine.onnx", True),
        (str(tmp_path), True),
        ("backbone.pth", False),
    ):
        model = dataclasses.replace(given.model, pretrained=pretrained)
        begun = network_begun_from(dataclasses.replace(given, model=model))
        assert begun == pretrained * whole
    assert network_begun_from(dataclasses.replace(given, init="runs/a")) == "runs/a"


def level(miou):
    return types.SimpleNamespace(miou=miou)


def test_while_the_metric_stands_still_the_lower_loss_is_the_better_epoch():
    """As mIoU does at 0, until some pixel of a class other than the background is right."""
    progress = Progress()
    for miou, loss in [(0.0, 2.0), (0.0, 1.8), (0.0, 1.9), (0.3, 2.5), (0.3, 2.6), (0.3, 2.4)]:
        progress = progress.with_steps([1.0]).with_epoch(
            Evaluation({"part": level(miou)}, TREE, loss, 1, {}, np.ones((2, 2))),
            1e-3,
            2.0,
            24,
            criterion=Criterion("miou", "part"),
        )
        if progress.epoch == 3:
            assert (progress.best_row["epoch"], progress.stale_epochs) == (2, 1)
    assert (progress.best_row["epoch"], progress.best_score) == (6, -0.3)

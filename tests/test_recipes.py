"""A run with every option of a recipe: what is frozen, averaged, stored, and gone on from."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax import traverse_util

from configs import default, modern
from hierseg_jax.checkpoint import load_checkpoint, read_meta
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.settings import read_settings, read_stored
from hierseg_jax.train.loop import set_up
from hierseg_jax.train.same_run import check_same_run
from tests.conftest import xla_flags
from tests.runs import assert_bit_identical, run, small_settings, train_command, train_here

PARTS = ("encoder", "decoder")
ALL = {
    "augment": "modern",
    "model__stochastic_depth": 0.3,
    "loss": "crossentropy + dice",
    "loss_options__label_smoothing": 0.1,
    "loss_options__hard_share": 0.5,
    "loss_options__class_weights": "inverse_sqrt",
    "optimizer__name": "adamw",
    "optimizer__weight_decay": 0.05,
    "optimizer__clip_norm": 1.0,
    "optimizer__backbone_rate": 0.5,
    "optimizer__layer_decay": 0.9,
    "schedule__name": "cosine",
    "schedule__warmup_epochs": 0.5,
    "freeze_epochs": 2,  # one step to compile, and not the larger
    "ema_decay": 0.9,
    "save_period": 1,
    "patience": 0,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two epochs of 4 steps with a frozen backbone; nobody changes it."""
    workdir = tmp_path_factory.mktemp("recipes") / "run"
    progress = train_here(workdir, **ALL)
    return workdir, progress


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The state such a run begins with."""
    return initial(tmp_path_factory.mktemp("fresh") / "run")


def initial(workdir, **changes):
    return set_up(small_settings(**ALL | changes), workdir).initial_state()


def checkpoint(workdir, step, state):
    """With all that training goes on from."""
    like = jax.tree.map(np.asarray, state.training)
    return load_checkpoint(workdir / "checkpoints" / str(step), like)


def same_bits(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return [np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs]


def moving(tree):
    """Kernels and statistics; the gradient of a bias before a norm is 0 but for rounding."""
    flat = traverse_util.flatten_dict(tree)
    return [leaf for path, leaf in flat.items() if path[-1] in ("kernel", "mean", "var")]


def assert_frozen(before, after):
    for collection in ("params", "batch_stats"):
        encoders, decoders = ([x[collection][part] for x in (before, after)] for part in PARTS)
        assert all(same_bits(*encoders))
        assert not any(same_bits(*map(moving, decoders)))


def test_a_frozen_backbone_keeps_weights_and_statistics(finished, start):
    for step in (4, 8):
        assert_frozen(start.training, checkpoint(finished[0], step, start).training)


@pytest.mark.slow
def test_a_thawed_backbone_trains(tmp_path):
    train_here(tmp_path / "run", **ALL | {"freeze_epochs": 1})
    start = initial(tmp_path / "fresh", freeze_epochs=1)
    frozen, thawed = (checkpoint(tmp_path / "run", step, start).training for step in (4, 8))
    assert_frozen(start.training, frozen)
    for collection in ("params", "batch_stats"):
        encoders = frozen[collection]["encoder"], thawed[collection]["encoder"]
        assert not any(same_bits(*map(moving, encoders)))
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / "8")
    train_here(tmp_path / "again", **ALL | {"freeze_epochs": 1})
    again = checkpoint(tmp_path / "again", 8, start)
    assert all(same_bits(again.training, thawed))


def test_the_average_is_what_is_validated_and_evaluated(finished, start):
    workdir, progress = finished
    last = checkpoint(workdir, 8, start)
    for collection in ("params", "batch_stats"):
        averaged, latest = last.variables[collection], last.training[collection]
        assert not any(same_bits(*map(moving, (averaged["decoder"], latest["decoder"]))))
    best = progress.best_row
    evaluation, description = evaluate_checkpoint(str(workdir), task="val", batch_size=8)
    assert description["step"] == best["step"]
    np.testing.assert_allclose(evaluation.loss, best["val_loss"], rtol=1e-6)


def test_the_schedule_and_the_class_weights_are_recorded(finished):
    workdir, progress = finished
    rates = [row["learning_rate"] for row in progress.rows]
    # 2 steps of warm-up, then 6 of cosine, of which step 3 and step 7 end the epochs.
    expected = 3e-3 * (1 + np.cos(np.pi * np.array([1, 5]) / 6)) / 2
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    weights = read_meta(workdir / "checkpoints" / "8")["class_weights"]
    assert [len(level) for level in weights] == [2, 3, 7]
    # The background fills most of a picture.
    assert min(weights[-1]) == weights[-1][0] < 0.5
    assert json.loads((workdir / "run.json").read_text())["config"]["ema_decay"] == 0.9


@pytest.mark.slow
def test_it_goes_on_bit_identically_with_the_weights_it_began_with(
    finished, start, tmp_path, monkeypatch
):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    shutil.rmtree(workdir / "checkpoints" / "8")

    def unread(*_):
        raise AssertionError("The data were read for class weights again.")

    monkeypatch.setattr("hierseg_jax.train.recipe.count_frequencies", unread)
    train_here(workdir, **ALL)
    assert_bit_identical(workdir, finished[0])
    a, b = (checkpoint(folder, 8, start) for folder in (workdir, finished[0]))
    assert all(same_bits(a.training, b.training))
    assert a.meta["class_weights"] == b.meta["class_weights"]


@pytest.mark.slow
def test_four_devices_follow_a_recipe_as_one_does(tmp_path):
    """Nothing is drawn on the devices. Float32, and few steps, for Adam enlarges rounding."""
    changes = ALL | {"model__stochastic_depth": 0.0, "model__dropout": False, "epochs": 1}
    rows = []
    for count in (1, 4):
        workdir = tmp_path / str(count)
        flags = f"--xla_force_host_platform_device_count={count}"
        done = run(train_command(workdir, **changes), XLA_FLAGS=xla_flags(flags))
        assert done.returncode == 0, done.stderr
        rows += json.loads((workdir / "history.json").read_text())["epochs"]
    one, four = rows
    np.testing.assert_allclose(four["train_loss"], one["train_loss"], rtol=1e-3)
    np.testing.assert_allclose(four["val_loss"], one["val_loss"], rtol=1e-2)


def test_epochs_belong_to_a_schedule_that_depends_on_them(finished):
    stored = small_settings(**ALL)
    with pytest.raises(ValueError, match="epochs was 2, now 3"):
        check_same_run(stored, small_settings(**ALL, epochs=3), "run")
    check_same_run(small_settings(), small_settings(epochs=3), "run")


def test_runs_from_before_the_recipes_are_continued():
    settings = read_settings(default.get_config())
    stored = settings.to_dict()
    for section in ("optimizer", "schedule", "freeze_epochs", "ema_decay"):
        del stored[section]
    for key in ("label_smoothing", "hard_share", "class_weights"):
        del stored["loss_options"][key]
    del stored["model"]["stochastic_depth"]
    stored["augment"] = True
    check_same_run(read_stored(stored), settings, "run")
    assert read_stored(stored).to_dict() | {"augment": "reference"} == settings.to_dict()
    stored["augment"] = False
    with pytest.raises(ValueError, match="augment was 'none', now 'reference'"):
        check_same_run(read_stored(stored), settings, "run")


def test_the_modern_config_is_one():
    read_settings(modern.get_config())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optimizer__name": "sgd"}, "optimizer.name is 'sgd'; it must be adam or adamw"),
        ({"optimizer__weight_decay": -1.0}, "weight_decay is -1.0; it must be 0 or more"),
        ({"optimizer__clip_norm": float("nan")}, "clip_norm is nan; it must be 0 or more"),
        ({"optimizer__backbone_rate": 0.0}, "backbone_rate is 0.0; it must be above 0"),
        ({"optimizer__layer_decay": 1.5}, "layer_decay is 1.5; it must be above 0 and at most 1"),
        ({"schedule__name": "step"}, "it must be exponential, cosine or polynomial"),
        ({"schedule__warmup_epochs": -1.0}, "warmup_epochs is -1.0; it must be 0 or more"),
        ({"schedule__final": 2.0}, "schedule.final is 2.0; it must be 0 or more and at most 1"),
        ({"freeze_epochs": -1}, "freeze_epochs is -1; it must be at least 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; it must be 0 or more and below 1"),
        ({"model__stochastic_depth": 1.0}, "stochastic_depth is 1.0; it must be 0 or more and"),
        ({"augment": "moderne"}, "augment is 'moderne'; it must be none, reference or modern"),
        ({"loss_options__hard_share": 0.0}, "hard_share is 0.0; it must be above 0 and at most 1"),
        ({"loss_options__class_weights": "equal"}, "none, inverse_sqrt or median_frequency"),
        (
            {"loss": "dice", "loss_options__label_smoothing": 0.1},
            "label_smoothing is taken by crossentropy alone; the loss is dice",
        ),
        (
            {"loss": "focal", "loss_options__label_smoothing": 0.1},
            "label_smoothing is taken by crossentropy alone; the loss is focal",
        ),
        (
            {"loss": "hierarchical_crossentropy", "loss_options__class_weights": "inverse_sqrt"},
            "class_weights is taken by crossentropy and focal alone",
        ),
        (
            {"loss": "iou + dice", "loss_options__hard_share": 0.5},
            "hard_share is taken by crossentropy and focal alone; the loss is iou + dice",
        ),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, sentence):
    with pytest.raises((ValueError, OSError)) as error:
        set_up(small_settings(**changes), tmp_path / "run")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()

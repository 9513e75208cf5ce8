"""Runs that start from the weights of a checkpoint."""

import re
import shutil

import jax
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import save_file

from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.pytorch.convert import convert_to_checkpoint
from hierseg_jax.pytorch.weights import state_dict_from_variables
from hierseg_jax.settings import Settings, read_stored
from hierseg_jax.train.loop import set_up
from hierseg_jax.train.same_run import check_same_run
from tests.runs import assert_bit_identical, small_settings, train_here


def convert(folder, classes=7):
    model = create_model("esnet_mini", classes)
    file = folder / "weights.safetensors"
    save_file(state_dict_from_variables(model, init_variables(model, jax.random.key(5))), file)
    convert_to_checkpoint(file, folder / "esnet", Settings())
    return folder / "esnet"


@pytest.fixture(scope="module")
def esnet(tmp_path_factory):
    """Converted weights; nobody changes them."""
    return convert(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("pretrained", ["", "imagenet"])  # recipes name the latter
def test_a_new_run_starts_at_exactly_these_weights(esnet, tmp_path, pretrained):
    run = set_up(small_settings(init=str(esnet), model__pretrained=pretrained), tmp_path / "run")
    state = run.initial_state()
    fresh = set_up(small_settings(), tmp_path / "fresh").initial_state()
    expected = load_checkpoint(esnet).variables
    jax.tree.map(np.testing.assert_array_equal, state.params, expected["params"])
    jax.tree.map(np.testing.assert_array_equal, state.batch_stats, expected["batch_stats"])
    assert state.step == 0
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, fresh.opt_state)
    np.testing.assert_array_equal(state.key, fresh.key)


def test_a_resumed_run_does_without_the_checkpoint_it_started_from(esnet, tmp_path, capsys):
    init, workdir = tmp_path / "init", tmp_path / "run"
    shutil.copytree(esnet, init)
    train_here(workdir, init=str(init), epochs=1)
    assert f"Starting from the weights of {init}." in capsys.readouterr().out
    shutil.rmtree(init)
    train_here(workdir, init=str(init), epochs=1)
    assert "Continuing after step 4" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"init was '.*', now ''"):
        train_here(workdir, epochs=2)
    # A run's workdir can be started from as well: from its best epoch.
    state = set_up(small_settings(init=str(workdir)), tmp_path / "next").initial_state()
    best = load_checkpoint(find_checkpoint(workdir)).variables
    jax.tree.map(np.testing.assert_array_equal, state.params, best["params"])


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_was_never_stopped(esnet, tmp_path):
    init = tmp_path / "init"
    shutil.copytree(esnet, init)
    train_here(tmp_path / "at_once", init=str(init))
    train_here(tmp_path / "run", init=str(init), epochs=1)
    shutil.rmtree(init)
    train_here(tmp_path / "run", init=str(init))
    assert_bit_identical(tmp_path / "run", tmp_path / "at_once")


def test_runs_from_before_the_key_are_continued():
    settings = small_settings()
    stored = settings.to_dict()
    del stored["init"]
    check_same_run(read_stored(stored), settings, "run")


def mistake(workdir, **changes):
    with pytest.raises((ValueError, OSError)) as error:
        set_up(small_settings(**changes), workdir)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_checkpoints_that_do_not_fit_are_named_before_anything_is_made(esnet, tmp_path):
    four = convert(tmp_path, classes=4)
    for init, name, sentence in (
        (tmp_path / "nothing", "esnet_mini", "The config's init: "),
        (tmp_path / "weights.safetensors", "esnet_mini", "hierseg convert makes one of PyTorch"),
        (
            four,
            "esnet_mini",
            "its classes are background, class_1, class_2, class_3; figures has back",
        ),
        (esnet, "effunet", "holds esnet_mini, this run is to train effunet-b0: batch_stats/"),
    ):
        assert sentence in mistake(tmp_path / "run", init=str(init), model__name=name)
        assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_no_workdir(esnet):
    error = mistake(esnet)
    assert "is a checkpoint, not the folder of a run" in error
    assert f"give --config.init={esnet} and another --workdir" in error


def test_a_checkpoint_of_other_classes_gives_all_but_its_heads(tmp_path):
    """Its classes have no names, so that they can't be the same."""
    four = convert(tmp_path, classes=4)
    run = set_up(small_settings(model__pretrained=str(four)), tmp_path / "run")
    found = traverse_util.flatten_dict(run.initial_state().params)
    fresh = set_up(small_settings(), tmp_path / "fresh").initial_state()
    expected = load_checkpoint(four).variables
    jax.tree.map(
        np.testing.assert_array_equal, run.initial_state().batch_stats, expected["batch_stats"]
    )
    theirs, ours = (traverse_util.flatten_dict(v) for v in (expected["params"], fresh.params))
    for path, value in found.items():
        expected = theirs[path]
        if path[:-1] == ("decoder", "output_conv"):
            continue  # is fitted to the run's pictures
        if path[:-1] == ("encoder_head",):
            expected = ours[path]
        np.testing.assert_array_equal(value, expected)
    report = run.weights.report
    assert report.startswith(f"Starting from the weights of {four}\n")
    assert re.search(r"\d+ tensors loaded: decoder, encoder\n", report)
    for kind in ("left out", "new"):
        assert f"  4 tensors {kind}: decoder/output_conv, encoder_head" in report


def test_a_checkpoint_of_the_same_classes_gives_its_heads_too(esnet, tmp_path):
    run = set_up(small_settings(model__pretrained=str(esnet)), tmp_path / "run")
    expected = load_checkpoint(esnet).variables
    jax.tree.map(
        np.testing.assert_array_equal, run.initial_state().params, dict(expected["params"])
    )
    assert "tensors loaded: decoder, encoder, encoder_head" in run.weights.report
    assert "tensors new" not in run.weights.report
    assert "tensors left out" not in run.weights.report


def test_a_checkpoint_of_another_network_is_named(esnet, tmp_path):
    error = mistake(tmp_path / "run", model__pretrained=str(esnet), model__name="effunet")
    assert "The config's model.pretrained, " in error
    assert "holds esnet_mini, this run is to train effunet-b0: batch_stats/" in error
    assert "model.pretrained: " in mistake(tmp_path / "run", model__pretrained=str(tmp_path))

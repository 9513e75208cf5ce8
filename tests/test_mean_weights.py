"""The mean of the weights of several runs, as it is exported."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.mean_weights import with_mean_weights
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.commands import run_quickly
from tests.runs import train_here


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs from the same weights: the second goes on from the first's with another seed."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    train_here(first, epochs=1)
    train_here(second, epochs=1, seed=1, init=str(first))
    return first, second


@pytest.fixture(scope="module")
def checkpoints(runs):
    return [load_checkpoint(find_checkpoint(run, "last")) for run in runs]


def test_every_array_is_the_mean_of_all_and_keeps_its_type(checkpoints):
    first, second = checkpoints
    third = dataclasses.replace(first, variables=jax.tree.map(lambda x: 4 * x, first.variables))
    mean = with_mean_weights(first, [second, third])
    different = 0
    for found, a, b in zip(
        *(jax.tree.leaves(of.variables) for of in (mean, first, second)), strict=True
    ):
        assert found.dtype == a.dtype
        np.testing.assert_allclose(found, (5 * a.astype(np.float64) + b) / 3, rtol=1e-6, atol=1e-12)
        different += (found != a).any()
    assert different > 10
    assert with_mean_weights(first, []) is first
    twice = with_mean_weights(first, [second, second])  # counts twice
    for found, a, b in zip(
        *(jax.tree.leaves(of.variables) for of in (twice, first, second)), strict=True
    ):
        np.testing.assert_allclose(found, (a.astype(np.float64) + 2 * b) / 3, rtol=1e-6, atol=1e-12)


def test_a_mean_claims_no_numbers_of_a_training(runs, tmp_path):
    """They were of the weights of one run; what the export itself measures is of the mean."""
    first, second = runs
    plain, mean = tmp_path / "plain.onnx", tmp_path / "mean.onnx"
    options = {"contract": "deploy", "which": "last", "precision": "float16"}
    export_checkpoint(first, plain, **options)
    export_checkpoint(first, mean, mean_with=[second], **options)
    told = [json.loads(file.with_suffix(".json").read_text("utf-8")) for file in (plain, mean)]
    assert told[0]["validation"]["levels"]
    assert told[1]["validation"] == {}
    assert told[1]["verification"]["miou_float16"].keys() == {"body", "upper_lower", "part"}
    assert told[0]["parameters_sha256"] != told[1]["parameters_sha256"]


def test_runs_of_other_networks_or_classes_have_no_mean(checkpoints):
    first, second = checkpoints
    model = dataclasses.replace(second.settings.model, name="esnet")
    other = dataclasses.replace(second, settings=dataclasses.replace(second.settings, model=model))
    with pytest.raises(ValueError, match=r"has no mean with .*: it is of esnet, not of esnet_mini"):
        with_mean_weights(first, [other])
    for changes, sentence in (
        ({"model.sibling_softmax": True}, "its head is conditional, not flat"),
        ({"model.normalization": "lite"}, "its padding, norm_epsilon or normalization is another"),
    ):
        other = dataclasses.replace(second, settings=second.settings.replace(changes))
        one = first
        if "normalization" in sentence:  # ESNet has none to choose
            of_effunet = {"model.name": "effunet", "model.backbone": "lite0"}
            one, other = (
                dataclasses.replace(each, settings=each.settings.replace(of_effunet))
                for each in (first, other)
            )
        with pytest.raises(ValueError, match=sentence):
            with_mean_weights(one, [other])
    coloured = dataclasses.replace(first.hierarchy, colors=(("head", (1, 2, 3)),))
    with_mean_weights(first, [dataclasses.replace(second, hierarchy=coloured)])
    other = dataclasses.replace(second, hierarchy=Hierarchy.from_mapping([1, 2, 3, 4, 5, 6]))
    with pytest.raises(ValueError, match="its classes are others"):
        with_mean_weights(first, [second, other])
    short = jax.tree.map(lambda x: x[..., :1], second.variables)
    with pytest.raises(ValueError, match=r"its arrays are others: .* and \d+ more\. Give --mean_w"):
        with_mean_weights(first, [dataclasses.replace(second, variables=short)])


@pytest.mark.slow
def test_the_command_takes_other_runs(runs, tmp_path):
    first, second = runs
    file = tmp_path / "mean.onnx"
    flags = [f"--checkpoint={first}", "--which=last", f"--onnx_file={file}"]
    result = run_quickly("launch/export.py", *flags, f"--mean_with={tmp_path / 'none'}")
    assert result.returncode == 1
    assert "none" in result.stderr
    assert not file.exists()
    result = run_quickly("launch/export.py", *flags, f"--mean_with={second}")
    assert result.returncode == 0, result.stderr
    assert json.loads(file.with_suffix(".json").read_text("utf-8"))["validation"] == {}

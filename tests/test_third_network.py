"""A network is what its description says: a third one needs nothing beside it."""

import ast
import dataclasses
import subprocess
import sys

import jax
import numpy as np
import pytest

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.checkpoint import checkpoint_steps, find_checkpoint, load_checkpoint
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.inspection.suggest import choose_batch
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.models import (
    NETWORKS,
    Variant,
    create_model,
    find_network,
    format_summary,
    init_variables,
    network_of,
)
from hierseg_jax.models.network import Backbone
from hierseg_jax.pytorch.convert import convert_to_torch
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.loop import set_up
from hierseg_jax.train.parameter_groups import rate_factors
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.conftest import ROOT
from tests.runs import assert_bit_identical, small_settings, train_here
from tests.tiny_network import FOREIGN, TINY


@pytest.fixture(scope="module", autouse=True)
def registered():
    NETWORKS.update({network.name: network for network in (TINY, FOREIGN)})
    yield
    del NETWORKS["tiny"], NETWORKS["foreign"]


@pytest.fixture(scope="module")
def workdir(registered, tmp_path_factory):
    """A run of two epochs, stopped and resumed between them."""
    workdir = tmp_path_factory.mktemp("tiny") / "run"
    train_here(workdir, model__name="tiny", epochs=1)
    assert checkpoint_steps(workdir) == [4]
    train_here(workdir, model__name="tiny", epochs=2)
    return workdir


@pytest.mark.slow
def test_it_trains_and_a_resumed_run_equals_one_that_was_never_stopped(workdir, tmp_path):
    train_here(tmp_path / "at_once", model__name="tiny", epochs=2)
    assert_bit_identical(workdir, tmp_path / "at_once")


def test_it_is_evaluated_as_it_was_validated(workdir):
    evaluation, _ = evaluate_checkpoint(workdir, task="val", batch_size=8)
    best = load_checkpoint(find_checkpoint(workdir))
    assert evaluation.loss == pytest.approx(best.meta["val_loss"], rel=1e-4)


@pytest.mark.parametrize("contract", ["reference", "deploy"])
def test_it_is_exported_and_runs_without_jax(workdir, tmp_path, contract):
    file = tmp_path / "tiny.onnx"
    export = export_checkpoint(str(workdir), str(file), contract=contract)
    assert export.difference <= 1e-4
    assert (export.metadata.model, export.metadata.stride) == ("tiny", 2)

    image = FiguresSource("val", 32, count=1, seed=0)[0]["image"]
    found = Segmenter(file)(image)
    loaded = load_checkpoint(find_checkpoint(workdir))
    model = create_model("tiny", PASCAL_PERSON_PART.num_classes)
    logits_hwc = model.apply(loaded.variables, image[None].astype(np.float32) / 255)[0]
    scores_hwc = np.asarray(jax.nn.softmax(logits_hwc))
    np.testing.assert_allclose(found.confidence, scores_hwc.max(-1), atol=1e-4)
    ordered = np.sort(scores_hwc, -1)
    clear = ordered[..., -1] - ordered[..., -2] > 2e-4
    np.testing.assert_array_equal(found.levels["part"][clear], scores_hwc.argmax(-1)[clear])


def test_its_weights_start_a_run_of_the_same_classes_or_of_others(workdir, tmp_path):
    same = {"model__name": "tiny", "model__pretrained": str(workdir)}
    report = set_up(small_settings(**same), tmp_path / "run").weights.report
    assert "8 tensors loaded: conv, head, norm" in report
    wide = small_settings(**same, model__hierarchical=True, loss="tree_min")
    report = set_up(wide, tmp_path / "wide").weights.report
    assert "6 tensors loaded: conv, norm" in report
    assert "2 tensors left out: head" in report


def test_what_it_has_not_is_refused_in_a_sentence(workdir, tmp_path):
    def mistake(function, *args, **options):
        with pytest.raises(HiersegError) as error:
            function(*args, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    def export(**options):
        return mistake(export_checkpoint, str(workdir), str(tmp_path / "a.onnx"), **options)

    def start(**changes):
        return mistake(set_up, small_settings(model__name="tiny", **changes), tmp_path / "run")

    for option in ("dynamic_size", "dynamic_batch"):
        assert "is for one picture of one size" in export(**{option: True})
    for precision in ("float16", "int8"):
        assert "tiny has no inference function of its own" in export(precision=precision)
    assert "No PyTorch class is known that computes tiny" in mistake(
        convert_to_torch, workdir, tmp_path / "a.safetensors"
    )
    sentence = "tiny has no backbone; give --config.model.pretrained= for"
    assert sentence in start(model__pretrained="imagenet")
    assert "tiny has no stochastic_depth" in start(model__stochastic_depth=0.1)
    assert "tiny has no backbone to choose" in mistake(create_model, "tiny", 7, backbone="b0")
    assert "tiny has no backbone with weights from elsewhere" in mistake(
        create_model, "tiny", 7, variant=Variant("same")
    )
    about_a_backbone = ("freeze_epochs", 1), ("optimizer__backbone_rate", 0.5)
    for key, value in (*about_a_backbone, ("optimizer__layer_decay", 0.9)):
        said = start(**{"data__spec": str(tmp_path / "unread.yaml"), key: value})
        assert "The network has no backbone" in said
    assert not list(tmp_path.iterdir())


def test_two_networks_may_call_their_backbone_the_same(tmp_path, monkeypatch):
    """With as many stages as they like: each has its own rates."""
    own = Backbone("convolution", "encoder", lambda path: 3)
    monkeypatch.setitem(NETWORKS, "tiny", dataclasses.replace(TINY, backbone=own))
    params = {"encoder": {"kernel": np.ones(2)}, "head": {"kernel": np.ones(2)}}
    assert rate_factors(params, own, 0.5, 0.5)["encoder"]["kernel"] == 0.5**4
    changes = {"freeze_epochs": 1, "optimizer__layer_decay": 0.5}
    run = set_up(small_settings(model__name="esnet_mini", **changes), tmp_path / "run")
    params = run.initial_state().params
    factors = rate_factors(params, NETWORKS["esnet"].backbone, 1.0, 0.5)
    assert set(jax.tree.leaves(factors["encoder"])) == {1.0, 0.5, 0.25}


def test_an_operation_that_jax2onnx_does_not_know_is_named():
    model = create_model("foreign", 7)
    variables = init_variables(model, jax.random.key(0))
    graph = build_graph("reference", model, variables, PASCAL_PERSON_PART)
    with pytest.raises(HiersegError, match=r"write an inference function for it, as models/esnet/"):
        convert(graph, (8, 8))


def test_its_summary_has_its_title():
    model = create_model("tiny", 7)
    assert format_summary(model, (8, 8)).splitlines()[0] == "TinyNet, 7 classes, 8 x 8"
    assert network_of(model) is TINY
    assert network_of(create_model("esnet_mini", 7)).name == "esnet_mini"


def test_the_doctor_plans_with_its_estimate_of_memory():
    batches = [
        choose_batch(320, 10_000, 1.1, find_network(name).training_memory.peak_gb)
        for name in ("tiny", "effunet")
    ]
    assert batches == [4, 1]


def test_the_networks_folders_have_the_same_files_with_the_same_names():
    packages = {network.architecture.__module__.rsplit(".", 1)[0] for network in NETWORKS.values()}
    folders = [
        ROOT.joinpath(*package.split(".")) for package in packages if package.startswith("hierseg")
    ]
    assert len(folders) == 2
    for folder in folders:
        names = {file.name for file in folder.glob("*.py")}
        assert {"__init__.py", "architecture.py", "graph.py", "state_dict.py"} <= names


def test_nothing_else_names_a_network():
    """Not even in a table or a `match`; a docstring is more than the name."""
    package = ROOT / "hierseg_jax"
    may = [*package.joinpath("models").rglob("*.py"), package / "settings" / "model_section.py"]
    for file in set(package.rglob("*.py")) - set(may):
        for node in ast.walk(ast.parse(file.read_text())):
            assert not (isinstance(node, ast.Constant) and node.value in set(NETWORKS)), (
                f"{file}:{node.lineno}"
            )


def test_importing_the_networks_leaves_jax2onnx_out():
    code = (
        "import sys, hierseg_jax.models, hierseg_jax.train.loop, hierseg_jax.pytorch.convert\n"
        "print('jax2onnx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"

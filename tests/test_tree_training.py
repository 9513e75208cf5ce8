"""A hierarchical head and the losses of the tree, from training to inference."""

import csv
import json
import re
from pathlib import Path

import cv2
import jax
import numpy as np
import onnx
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.read.sources import load_hierarchy
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.predictions import leaf_scores
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.pytorch.convert import convert_to_checkpoint, convert_to_torch
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.settings import read_stored
from hierseg_jax.settings.key import ALWAYS
from hierseg_jax.settings.settings import KEYS
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.balanced import balanced_checkpoint
from tests.commands import run_quickly
from tests.conftest import ROOT
from tests.margins import clear_choices, clear_descents
from tests.runs import (
    run,
    small_config,
    small_settings,
    train_command,
    train_here,
)

TREE_FILE = str(ROOT / "configs" / "figures_5_levels.yaml")
TREE = load_hierarchy("figures", TREE_FILE)
TREE_KEYS = {
    "data__hierarchy": TREE_FILE,
    "model__hierarchical": True,
    "loss": "tree_min_focal + 0.5*dice + tree_triplet",
    "samples": 1,
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A tree of five levels and unequal depths, from config alone."""
    workdir = tmp_path_factory.mktemp("tree")
    train_here(workdir, **TREE_KEYS)
    return workdir


@pytest.fixture(scope="module")
def balanced(workdir, pictures, tmp_path_factory):
    """The run's last checkpoint, with nodes that all occur."""
    folder = tmp_path_factory.mktemp("balanced") / "checkpoint"
    return balanced_checkpoint(workdir, [picture["image"] for picture in pictures], folder)


@pytest.fixture(scope="module")
def pictures():
    source = FiguresSource("val", 32, count=10, seed=0)
    return [source[i] for i in range(len(source))]


def scores_of(checkpoint, hierarchy, pictures, decoding):
    """Of the leaf classes, by JAX: [N, H, W, C]."""
    loaded = load_checkpoint(Path(checkpoint))
    channels = hierarchy.num_nodes if decoding == "path" else hierarchy.num_classes
    # As the export does it, so that one program is compiled.
    model = create_model("esnet_mini", channels, conv_impl="xla")
    scores = jax.jit(lambda v, x: leaf_scores(model.apply(v, x), hierarchy, decoding))
    images = [example["image"][None].astype(np.float32) / 255 for example in pictures]
    return np.concatenate([scores(loaded.variables, image) for image in images])


def assert_levels_agree(levels, hierarchy):
    """Every level's map is that of the leaves, seen from higher up."""
    leaf = levels[hierarchy.level_names[-1]]
    for level in hierarchy.levels:
        np.testing.assert_array_equal(levels[level.name], level.leaf_to_class[leaf])


def test_a_run_records_what_the_tree_says_of_it(workdir):
    rows = json.loads((workdir / "history.json").read_text())["epochs"]
    assert len(rows) == 2
    assert all(0 <= row["tree"]["contradictions"] <= 1 for row in rows)
    assert all(2 <= row["tree"]["mistake_distance"] <= 10 for row in rows)
    assert list(rows[-1]["levels"]) == ["body", "half", "region", "limb", "part"]
    with (workdir / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[-1]["tree.contradictions"]) == rows[-1]["tree"]["contradictions"]
    assert cv2.imread(str(workdir / "samples.png")) is not None
    variables = load_checkpoint(find_checkpoint(workdir)).variables
    assert variables["params"]["decoder"]["output_conv"]["kernel"].shape[2] == TREE.num_nodes
    assert variables["params"]["embedding"]["conv2"]["kernel"].shape[-1] == 64


def test_evaluation_decodes_paths_and_tells_contradictions(workdir, tmp_path):
    result = run_quickly("evaluate", workdir, f"--output={tmp_path}")
    assert result.returncode == 0, result.stderr
    assert "decoded by path" in result.stdout
    assert re.search(r"contradict one another before decoding: \d+\.\d\d%", result.stdout)
    assert re.search(r"tree distance of a mistake \(edges, mean\): \d", result.stdout)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["decode"] == "path"
    assert content["hierarchical"] is True
    assert set(content["tree"]) == {"contradictions", "mistake_distance", "mean_distance"}
    refused = run_quickly("evaluate", workdir, "--decode=top_down")
    assert refused.returncode == 1
    assert "'top_down' is not for a hierarchical head" in refused.stderr


@pytest.mark.parametrize("contract", [pytest.param("reference", marks=pytest.mark.slow), "deploy"])
def test_exported_files_give_levels_that_agree(balanced, tmp_path, pictures, contract):
    export = export_checkpoint(balanced, str(tmp_path / "a.onnx"), contract=contract)
    assert export.difference <= 1e-4
    segmenter = Segmenter(export.file)
    assert segmenter.metadata.decoding == "path"
    evaluation, _ = evaluate_checkpoint(balanced, task="val")
    confusion = np.zeros_like(evaluation.confusion_cc)
    for example in pictures:
        found = segmenter(example["image"])
        assert_levels_agree(found.levels, TREE)
        assert 0 <= found.confidence.min() <= found.confidence.max() <= 1
        np.add.at(confusion, (example["label"], found.levels["part"]), 1)
    # The same predictions as evaluation has, but where two classes score alike.
    scores = scores_of(balanced, TREE, pictures, "path")
    unclear = sum((~clear_choices(of_picture)).sum() for of_picture in scores)
    assert unclear < 0.1 * scores[..., 0].size
    assert len(np.unique(scores.argmax(-1))) > 3
    assert np.abs(confusion - evaluation.confusion_cc).sum() <= 2 * unclear


def test_integers_leave_decoding_in_float(workdir, tmp_path):
    export = export_checkpoint(
        str(workdir), str(tmp_path / "a.onnx"), precision="int8", contract="deploy"
    )
    graph = onnx.load(export.file).graph
    after = {name for node in graph.node if node.op_type == "Identity" for name in node.output}
    assert after
    for node in graph.node:
        if after.intersection(node.input):
            after.update(node.output)
            assert node.op_type != "QuantizeLinear"


def test_weights_go_to_torch_and_back_without_the_projection_head(workdir, tmp_path):
    file = tmp_path / "tree.safetensors"
    convert_to_torch(workdir, file)
    settings = small_settings(data__hierarchy=TREE_FILE)
    convert_to_checkpoint(file, tmp_path / "back", settings, image_size=32)
    again, first = (
        evaluate_checkpoint(str(path), task="val", data="figures")[0]
        for path in (tmp_path / "back", workdir)
    )
    for name, level in first.levels.items():
        assert again.levels[name].miou == pytest.approx(level.miou, nan_ok=True)
    back = load_checkpoint(tmp_path / "back")
    assert back.meta["config"]["model"]["hierarchical"] is True
    assert "embedding" not in back.variables["params"]


def test_top_down_is_what_evaluation_and_both_contracts_decode_by(tmp_path, pictures):
    config = small_config(loss="hierarchical_crossentropy", decode="top_down").to_dict()
    meta = {"config": config, "hierarchy": PASCAL_PERSON_PART.to_json()}
    variables = init_variables(create_model("esnet_mini", 7), jax.random.key(3))
    save_checkpoint(
        tmp_path / "run", variables, meta | {"step": 0, "epoch": None, "val_loss": None}
    )
    evaluation, description = evaluate_checkpoint(str(tmp_path / "run"), task="val")
    assert description["decode"] == "top_down"
    scores = scores_of(tmp_path / "run", PASCAL_PERSON_PART, pictures, "top_down")
    unclear = sum((~clear_descents(s, PASCAL_PERSON_PART)).sum() for s in scores)
    for contract in ("reference", "deploy"):
        file = tmp_path / f"{contract}.onnx"
        export_checkpoint(str(tmp_path / "run"), str(file), contract=contract)
        confusion = np.zeros_like(evaluation.confusion_cc)
        for example in pictures:
            levels = Segmenter(file)(example["image"]).levels
            assert_levels_agree(levels, PASCAL_PERSON_PART)
            np.add.at(confusion, (example["label"], levels["part"]), 1)
        assert np.abs(confusion - evaluation.confusion_cc).sum() <= 2 * unclear


@pytest.mark.slow
@pytest.mark.parametrize("levels", [2, 5])
def test_trees_of_other_depths_train_by_command(tmp_path, levels):
    command = train_command(
        tmp_path / "run",
        data__hierarchy=f"configs/figures_{levels}_levels.yaml",
        model__hierarchical=True,
        loss="tree_min_focal+tree_triplet",
        epochs=1,
    )
    result = run(command)
    assert result.returncode == 0, result.stderr
    assert f"in {levels} levels" in result.stdout
    evaluated = run_quickly("evaluate", tmp_path / "run")
    assert evaluated.returncode == 0, evaluated.stderr


def test_a_tree_over_other_classes_is_refused(tmp_path):
    file = tmp_path / "tree.yaml"
    file.write_text("names: [background, cat, dog]\nhierarchy: {pet: [cat, dog]}")
    with pytest.raises(ValueError, match=r"tree.yaml is a tree over .*cat.*figures has"):
        train_here(tmp_path / "run", data__hierarchy=str(file))
    file.write_text("hierarchy: {pet: [cat, torso]}")
    with pytest.raises(ValueError, match=r"tree.yaml: .*'cat' is no class name"):
        train_here(tmp_path / "run", data__hierarchy=str(file))


def test_epochs_of_a_run_with_triplets_stay_as_they_are(workdir):
    with pytest.raises(ValueError, match="epochs was 2, now 3"):
        train_here(workdir, epochs=3, **TREE_KEYS)


def test_configs_of_older_checkpoints_mean_what_they_did():
    config = small_config().to_dict()
    old = {key: dict(v) if isinstance(v, dict) else v for key, v in config.items()}
    for key, declared in KEYS.items():
        if declared.earlier is not ALWAYS:
            section, _, name = key.rpartition(".")
            del (old[section] if section else old)[name]
    settings = read_stored(old)
    assert settings.flat().keys() == KEYS.keys()
    assert settings.model.hierarchical is False
    assert settings.decode == "auto"
    assert isinstance(Hierarchy.from_json(PASCAL_PERSON_PART.to_json()), Hierarchy)

"""Exported graphs against the reference's golden outputs and against Flax."""

import dataclasses

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from jax2onnx.plugins import plugin_system

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.to_onnx import PLUGINS, convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.pytorch.weights import variables_from_state_dict
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.reference_weights import load_golden, reference_state_dict
from tests.test_golden_forward import INPUTS

TREE5 = Hierarchy.from_mapping({"a": [3, 1], "b": {"c": [2], "d": [4]}})
DEEP_TREE = Hierarchy.from_mapping({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})


def run(model: onnx.ModelProto, array: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: array})


def fresh(name: str, hierarchy: Hierarchy):
    model = create_model(name, hierarchy.num_classes, conv_impl="xla")
    return model, init_variables(model, jax.random.key(1))


def flax_probabilities(model, variables, image_nhwc: np.ndarray) -> np.ndarray:
    logits = jax.jit(model.apply)(variables, image_nhwc)
    return np.asarray(jax.nn.softmax(logits))


@pytest.mark.parametrize("name", ["esnet", "effunet"])
@pytest.mark.parametrize("classes", [7, pytest.param(4, marks=pytest.mark.slow)])
def test_reference_weights_give_the_golden_probabilities(name, classes):
    golden, meta = load_golden(f"{name}_forward_n{classes}")
    model = create_model(name, classes, conv_impl="xla")
    variables = variables_from_state_dict(model, reference_state_dict(meta))
    hierarchy = Hierarchy.from_mapping(list(range(1, classes)))
    seed, size = INPUTS[classes]
    image_nchw = np.random.RandomState(seed).rand(2, 3, *size).astype(np.float32)
    graph = build_graph("reference", model, variables, hierarchy)
    exported = convert(graph, image_nchw.shape[2:], dynamic_batch=True)
    (mask_nchw,) = run(exported, image_nchw)
    np.testing.assert_allclose(mask_nchw, golden["probabilities"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        pytest.param("reference", "esnet", marks=pytest.mark.slow),
        pytest.param("reference", "effunet", marks=pytest.mark.slow),
        pytest.param("deploy", "esnet", marks=pytest.mark.slow),
        ("deploy", "effunet"),
    ],
)
def test_dynamic_graph_equals_flax_at_sizes_not_seen_at_export(name, contract):
    model, variables = fresh(name, TREE5)
    graph = build_graph(contract, model, variables, TREE5)
    exported = convert(graph, (64, 96), dynamic_size=True, dynamic_batch=True)
    rng = np.random.default_rng(0)
    for batch, height, width in ((1, 64, 96), (2, 32, 64), (1, 96, 32)):
        frame_nhwc = rng.integers(0, 256, (batch, height, width, 3), np.uint8)
        image_nhwc = (frame_nhwc / 255).astype(np.float32)
        expected_nhwc = flax_probabilities(model, variables, image_nhwc)
        if contract == "reference":
            (mask_nchw,) = run(exported, image_nhwc.transpose(0, 3, 1, 2))
            np.testing.assert_allclose(
                mask_nchw.transpose(0, 2, 3, 1), expected_nhwc, atol=1e-4, rtol=0
            )
            continue
        *maps, confidence, _ = run(exported, frame_nhwc)
        np.testing.assert_allclose(confidence, expected_nhwc.max(-1), atol=1e-4, rtol=0)
        ordered = np.sort(expected_nhwc, -1)
        clear = ordered[..., -1] - ordered[..., -2] > 1e-4
        assert clear.mean() > 0.9
        for level, labels_nhw in zip(TREE5.levels, maps, strict=True):
            assert labels_nhw.dtype == np.uint8
            expected = level.leaf_to_class[expected_nhwc.argmax(-1)]
            np.testing.assert_array_equal(labels_nhw[clear], expected[clear])


@pytest.mark.parametrize(
    ("name", "decoding", "contract"),
    [
        pytest.param("esnet", "path", "reference", marks=pytest.mark.slow),
        ("esnet", "path", "deploy"),
        pytest.param("effunet", "path", "deploy", marks=pytest.mark.slow),
        ("esnet", "top_down", "reference"),
        pytest.param("esnet", "top_down", "deploy", marks=pytest.mark.slow),
    ],
)
def test_graphs_decode_as_the_network_does(name, decoding, contract):
    channels = DEEP_TREE.num_nodes if decoding == "path" else DEEP_TREE.num_classes
    told = {"upsampling": "nearest"}  # `bilinear` in test_scores_of_exports.py
    model = create_model(name, channels, conv_impl="xla", **told)
    variables = init_variables(model, jax.random.key(2))
    graph = build_graph(contract, model, variables, DEEP_TREE, decoding=decoding)
    exported = convert(graph, (32, 64), dynamic_size=True, dynamic_batch=True).SerializeToString()
    photo = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    shapes = [(1, 32, 64), (2, 64, 32)]
    difference = largest_difference(
        exported, graph, model, variables, DEEP_TREE, [photo], shapes, decoding
    )
    assert difference <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["esnet", "effunet"])
@pytest.mark.parametrize("hierarchy", [PASCAL_PERSON_PART, TREE5], ids=["7", "5"])
@pytest.mark.parametrize("contract", ["reference", "deploy"])
def test_fixed_sizes_of_use_equal_flax(name, hierarchy, contract):
    model, variables = fresh(name, hierarchy)
    graph = build_graph(contract, model, variables, hierarchy)
    photo = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    for size in ((64, 96), (320, 320)):
        exported = convert(graph, size).SerializeToString()
        difference = largest_difference(
            exported, graph, model, variables, hierarchy, [photo], [(1, *size)]
        )
        print(f"{name} {hierarchy.num_classes} {contract} {size}: {difference:.1e}")
        assert difference <= 1e-4


@pytest.mark.parametrize("name", ["esnet", "effunet"])
@pytest.mark.parametrize("opset", [13, pytest.param(18, marks=pytest.mark.slow), 23])
def test_every_opset_holds_the_same_network(name, opset):
    model, variables = fresh(name, PASCAL_PERSON_PART)
    graph = build_graph("deploy", model, variables, PASCAL_PERSON_PART)
    frame = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    exported = convert(graph, (32, 32), opset=opset)
    assert [entry.version for entry in exported.opset_import] == [opset]
    standard = run(convert(graph, (32, 32)), frame)
    for ours, theirs in zip(run(exported, frame), standard, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_graph_has_neither_dropout_nor_batch_norm_and_no_warning_at_load(capfd):
    model, variables = fresh("effunet", PASCAL_PERSON_PART)
    graph = build_graph("reference", model, variables, PASCAL_PERSON_PART)
    exported = convert(graph, (64, 32))
    kinds = {node.op_type for node in exported.graph.node}
    assert not kinds & {"Dropout", "BatchNormalization", "Softmax", "Reshape", "Expand"}
    run(exported, np.zeros((1, 3, 64, 32), np.float32))
    assert capfd.readouterr().err == ""


def test_opsets_out_of_range_and_clashing_levels_are_refused():
    model, variables = fresh("esnet", PASCAL_PERSON_PART)
    graph = build_graph("reference", model, variables, PASCAL_PERSON_PART)
    for opset in (12, 24):
        with pytest.raises(ValueError, match=f"--opset is {opset}; it may be 13 to 23"):
            convert(graph, (32, 32), opset=opset)
    clash = Hierarchy.from_json(
        {**PASCAL_PERSON_PART.to_json(), "level_names": ["body", "confidence", "part"]}
    )
    with pytest.raises(ValueError, match=r"'confidence'.*rename it"):
        build_graph("deploy", model, variables, clash)


def test_a_level_called_scores_is_exported_without_scores():
    tree = dataclasses.replace(PASCAL_PERSON_PART, level_names=("body", "upper_lower", "scores"))
    model = create_model("esnet_mini", 7, conv_impl="xla")
    variables = init_variables(model, jax.random.key(2))
    with pytest.raises(ValueError, match=r"'scores', .*; rename it, or export with --plain\."):
        build_graph("deploy", model, variables, tree)
    graph = build_graph("deploy", model, variables, tree, plain=True)
    exported = convert(graph, (16, 16), dynamic_size=True).SerializeToString()
    photo = np.zeros((20, 20, 3), np.uint8)
    shapes = [(1, 16, 16), (1, 24, 16)]
    assert largest_difference(exported, graph, model, variables, tree, [photo], shapes) <= 1e-4


def test_few_plugins_of_jax2onnx_are_read_unless_another_program_wants_all(monkeypatch):
    read, folders = plugin_system._import_tree, []

    def watched(folder, prefix):
        folders.append(prefix.removeprefix("jax2onnx.plugins"))
        if folders[-1]:
            read(folder, prefix)

    monkeypatch.setattr(plugin_system, "_import_tree", watched)
    monkeypatch.setattr(plugin_system, "_already_imported_plugins", False)
    graph = build_graph("deploy", *fresh("esnet_mini", PASCAL_PERSON_PART), PASCAL_PERSON_PART)
    convert(graph, (32, 32))
    assert folders == [f".{name}" for name in PLUGINS]
    plugin_system.import_all_plugins()
    assert folders[len(PLUGINS) :] == [""]

"""Segmenter on small graphs made by hand, with and without metadata, and on bad files."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.data.picture_labels import log_planes
from hierseg_jax.data.resize import place
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.conftest import ROOT

KERNEL = np.random.default_rng(0).normal(size=(7, 3, 1, 1)).astype(np.float32) * 4


def metadata(contract, resize="stretch"):
    tree = PASCAL_PERSON_PART
    return Metadata(contract, tree, (8, 16), 4, "esnet", "float32", "0", resize=resize)


def save(file, nodes, inputs, outputs, contract=None, resize="stretch", kernel=KERNEL):
    kernel = numpy_helper.from_array(kernel, "kernel")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if contract:
        helper.set_model_props(model, metadata(contract, resize).to_props())
    onnx.save(model, file)
    return file


def reference_file(file, size=(8, 16), contract=None, **options):
    return save(
        file,
        [
            helper.make_node("Conv", ["image", "kernel"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["mask"], axis=1),
        ],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 7, *size])],
        contract,
        **options,
    )


def deploy_file(file, size=(8, 16), **options):
    """The same scores as a label map a level and a confidence, of uint8 NHWC."""
    levels = PASCAL_PERSON_PART.levels
    tables = [numpy_helper.from_array(each.leaf_to_class.astype(np.uint8)) for each in levels]
    return save(
        file,
        [
            helper.make_node("Cast", ["frame"], ["float_nhwc"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float_nhwc"], ["float"], perm=[0, 3, 1, 2]),
            helper.make_node("Constant", [], ["most"], value_float=255.0),
            helper.make_node("Div", ["float", "most"], ["image"]),
            helper.make_node("Conv", ["image", "kernel"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["leaf"], axis=1, keepdims=0),
            helper.make_node("ReduceMax", ["scores"], ["confidence"], axes=[1], keepdims=0),
            *[
                helper.make_node("Constant", [], [f"of_{each.name}"], value=table)
                for each, table in zip(levels, tables, strict=True)
            ],
            *[
                helper.make_node("Gather", [f"of_{each.name}", "leaf"], [each.name])
                for each in levels
            ],
        ],
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, *size, 3])],
        [
            *[
                helper.make_tensor_value_info(each.name, TensorProto.UINT8, [1, *size])
                for each in levels
            ],
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [1, *size]),
        ],
        "deploy",
        **options,
    )


def expected_leaf(image_rgb, size=(8, 16)):
    small = cv2.resize(image_rgb, size[::-1]).astype(np.float32) / 255
    logits_hwc = small @ KERNEL[:, :, 0, 0].T
    placement = place(image_rgb.shape[:2], size, "stretch", "reference")
    exp_chw = np.exp(logits_hwc - logits_hwc.max(-1, keepdims=True)).transpose(2, 0, 1)
    planes = map(placement.restore_scores, log_planes(exp_chw / exp_chw.sum(0)))
    return np.stack([*planes]).argmax(0).astype(np.uint8)


@pytest.fixture
def photo():
    return np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)


def test_confidence_is_the_score_of_the_class_that_is_chosen(tmp_path, photo):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    model = onnx.load(file)
    helper.set_model_props(
        model, dataclasses.replace(metadata("reference"), decoding="top_down").to_props()
    )
    onnx.save(model, file)
    result = Segmenter(file)(photo)
    leaf_hw = top_down(list(result.probabilities), PASCAL_PERSON_PART)
    expected = np.take_along_axis(result.probabilities, leaf_hw[None], 0)[0]
    assert (expected < result.probabilities.max(0)).any()
    np.testing.assert_allclose(result.confidence, expected, atol=1e-6)


def test_label_maps_have_the_picture_s_size_at_every_level(tmp_path, photo):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    result = segmenter(photo)
    leaf = expected_leaf(photo)
    assert list(result.levels) == ["body", "upper_lower", "part"]
    for level in PASCAL_PERSON_PART.levels:
        np.testing.assert_array_equal(result.levels[level.name], level.leaf_to_class[leaf])
    assert result.probabilities.shape == (7, 8, 16)
    np.testing.assert_allclose(result.confidence, result.probabilities.max(0))
    assert set(result.seconds) == {"preprocess", "inference", "postprocess"}


def scored_file(file, size=(8, 16), scale=1.0):
    """`deploy_file` with the scores beside: `scale` * 65535 of the leaf class, 0 of the others."""
    model = onnx.load(deploy_file(file, size))
    nodes = [
        helper.make_node("Constant", [], ["steps"], value_float=65535.0 * scale),
        helper.make_node("Mul", ["probabilities", "steps"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["scores"], to=TensorProto.UINT16),
    ]
    for node in model.graph.node:  # the name is that of the output now
        for names in (node.input, node.output):
            names[:] = ["probabilities" if name == "scores" else name for name in names]
    model.graph.node.extend(nodes)
    scores = helper.make_tensor_value_info("scores", TensorProto.UINT16, [1, 7, *size])
    model.graph.output.append(scores)
    onnx.save(model, file)
    return file


def test_levels_and_confidence_that_nobody_wants_are_left_out(tmp_path, photo):
    segmenter = Segmenter(scored_file(tmp_path / "a.onnx"))
    whole, lean = segmenter(photo), Segmenter(tmp_path / "a.onnx", confidence=False)
    assert whole.confidence.shape == (8, 16)
    assert [*whole.levels] == ["body", "upper_lower", "part"]
    for other in (lean, lean.with_threads(1)):
        found = other(photo, levels=["part", "body"])
        assert found.confidence.shape == (0, 0)
        assert [*found.levels] == ["body", "part"]
        for name, label_hw in found.levels.items():
            np.testing.assert_array_equal(label_hw, whole.levels[name])
        np.testing.assert_array_equal(found.output.scores, whole.output.scores)
    # A plain file has nothing to leave out but levels.
    plain = Segmenter(deploy_file(tmp_path / "b.onnx"), confidence=False)(photo, levels=["body"])
    assert plain.confidence.shape == (8, 16)
    assert [*plain.levels] == ["body"]


def test_scores_that_are_no_numbers_are_refused_without_confidence_too(tmp_path, photo):
    file = scored_file(tmp_path / "a.onnx", scale=0.0)
    with pytest.raises(ValueError, match="best scores are 0 or no numbers"):
        Segmenter(file, confidence=False)(photo)


def test_bgr_and_rgb_give_the_same(tmp_path, photo):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    swapped = np.ascontiguousarray(photo[..., ::-1])
    np.testing.assert_array_equal(
        segmenter(photo).levels["part"], segmenter(swapped, bgr=True).levels["part"]
    )


def test_file_without_metadata_runs_with_generated_names_or_a_given_tree(tmp_path, photo):
    file = reference_file(tmp_path / "theirs.onnx")
    assert list(Segmenter(file)(photo).levels) == ["leaf"]
    result = Segmenter(file, hierarchy=PASCAL_PERSON_PART)(photo)
    np.testing.assert_array_equal(result.levels["part"], expected_leaf(photo))
    with pytest.raises(ValueError, match="has 7 classes, the hierarchy 3"):
        Segmenter(file, hierarchy=Hierarchy.from_mapping([1, 2]))


def test_metadata_of_another_class_count_is_refused(tmp_path):
    file = tmp_path / "a.onnx"
    model = onnx.load(reference_file(file))
    five = dataclasses.replace(
        metadata("reference"), hierarchy=Hierarchy.from_mapping([1, 2, 3, 4])
    )
    helper.set_model_props(model, five.to_props())
    onnx.save(model, file)
    with pytest.raises(ValueError, match="has 7 classes, the hierarchy 5"):
        Segmenter(file)


def test_open_sizes_follow_the_metadata_or_the_caller(tmp_path, photo):
    file = reference_file(tmp_path / "a.onnx", ("h", "w"), "reference")
    assert Segmenter(file).image_size == (8, 16)
    segmenter = Segmenter(file, image_size=(12, 20))
    np.testing.assert_array_equal(segmenter(photo).levels["part"], expected_leaf(photo, (12, 20)))
    with pytest.raises(ValueError, match="multiples of 4; got 10 x 16"):
        Segmenter(file, image_size=(10, 16))
    with pytest.raises(ValueError, match="takes 8 x 16"):
        Segmenter(reference_file(tmp_path / "b.onnx"), image_size=(16, 16))


def test_files_that_are_no_such_network_are_refused_in_one_sentence(tmp_path, photo):
    whole = reference_file(tmp_path / "a.onnx").read_bytes()
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", whole[: len(whole) // 2])):
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.onnx"):
            Segmenter(file)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Segmenter(tmp_path / "none.onnx")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        Segmenter(tmp_path)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a\.json describes a network; give .*a\.onnx"):
        Segmenter(tmp_path / "a.json")
    other = save(
        tmp_path / "other.onnx",
        [helper.make_node("Conv", ["x", "kernel"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 7, 8, 8])],
    )
    with pytest.raises(ValueError, match="follows another contract: it has x"):
        Segmenter(other)
    with pytest.raises(ValueError, match="'tpu' is not to be had here"):
        Segmenter(reference_file(tmp_path / "b.onnx"), provider="tpu")
    with pytest.raises(ValueError, match="A picture is uint8"):
        Segmenter(tmp_path / "b.onnx")(photo[..., 0])


def test_graphs_for_several_images_alone_or_that_fail_are_refused(tmp_path, photo):
    file = tmp_path / "a.onnx"
    model = onnx.load(reference_file(file))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, file)
    with pytest.raises(ValueError, match="N 1 or open"):
        Segmenter(file)
    concat = save(
        tmp_path / "b.onnx",
        [
            helper.make_node("Conv", ["image", "kernel"], ["y"]),
            helper.make_node("Constant", [], ["odd"], value_floats=[1.0] * 5),
            helper.make_node("Add", ["y", "odd"], ["mask"]),
        ],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 7, "h", "w"])],
    )
    with pytest.raises(ValueError, match="The network can't take 1x3x8x8"):
        Segmenter(concat, image_size=(8, 8))(photo)
    with pytest.raises(ValueError, match="A picture is uint8"):
        Segmenter(concat)(photo[:0])


def test_runtime_imports_no_jax(tmp_path):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    script = (
        "import sys, numpy as np\n"
        "from hierseg_jax.runtime.segmenter import Segmenter\n"
        f"Segmenter({str(file)!r})(np.zeros((9, 9, 3), np.uint8))\n"
        "heavy = {'jax', 'flax', 'optax', 'orbax', 'grain', 'tensorflow_datasets', 'onnx'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)

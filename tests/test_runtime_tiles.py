"""Large pictures in windows, through the runtime."""

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.data.tiles import lay_tiles
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from hierseg_jax.runtime.tiled_segmentation import segment_tiled
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.test_runtime import KERNEL, deploy_file, reference_file

WINDOW = (8, 16)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    """A network whose scores at a pixel depend on that pixel alone."""
    return Segmenter(reference_file(tmp_path_factory.mktemp("onnx") / "a.onnx", WINDOW))


def softmax_of(image_rgb):
    logits = image_rgb.astype(np.float32) / 255 @ KERNEL[:, :, 0, 0].T
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_pointwise_scores_are_those_of_the_whole_picture(segmenter, height, width, seed):
    if height <= 8 and width <= 16:
        height += 8
    image = picture(height, width, seed)
    found = segment_tiled(segmenter, image)
    scores = softmax_of(image)
    chosen = np.take_along_axis(scores, found.levels["leaf"][..., None].astype(int), 2)[..., 0]
    np.testing.assert_allclose(found.confidence, chosen, atol=1e-6)
    assert (scores.max(-1) - chosen).max() < 1e-3  # a step of the planes that are compared
    np.testing.assert_array_equal(
        found.placement.restore_scores(found.confidence), found.confidence
    )


@pytest.mark.parametrize("size", [(8, 16), (5, 9), (8, 3)])
def test_a_picture_within_one_window_is_segmented_as_a_whole(segmenter, size):
    image = picture(*size)
    found, whole = segment_tiled(segmenter, image), segmenter(image)
    np.testing.assert_array_equal(found.levels["leaf"], whole.levels["leaf"])
    np.testing.assert_array_equal(found.confidence, whole.confidence)


def test_one_window_gives_what_a_single_pass_does(segmenter):
    """Through the blending, which `segment_tiled` spares such a picture."""
    image = picture(*WINDOW)
    whole = segmenter(image)
    tiles = lay_tiles(WINDOW, segmenter.image_size)
    ((_, scores),) = (
        (box, part.copy())
        for box, part in tiles.blend(segmenter(w).probabilities for w in tiles.cut(image))
    )
    np.testing.assert_array_equal(scores, whole.probabilities)


def test_bgr_levels_and_confidence_are_as_asked_for(tmp_path):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    image = picture(30, 40)
    found = segment_tiled(segmenter, image)
    assert list(found.levels) == ["body", "upper_lower", "part"]
    swapped = np.ascontiguousarray(image[..., ::-1])
    few = segment_tiled(segmenter, swapped, bgr=True, levels=["part"], confidence=False)
    assert list(few.levels) == ["part"]
    assert few.confidence.size == 0
    np.testing.assert_array_equal(few.levels["part"], found.levels["part"])
    for level in PASCAL_PERSON_PART.levels:
        of_level = level.leaf_to_class[found.levels["part"]]
        np.testing.assert_array_equal(found.levels[level.name], of_level)
    with pytest.raises(ValueError, match="A picture is uint8"):
        segment_tiled(segmenter, image[..., 0])


def test_a_network_that_looks_around_leaves_no_seams(tmp_path):
    """A mean over 9 x 9 pixels with zeros around the input: wrong by half at windows' edges."""
    weight = np.full((1, 1, 9, 9), 1 / 81, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["grey"], axes=[1]),
        helper.make_node("Conv", ["grey", "w"], ["mean"], pads=[4, 4, 4, 4]),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["rest", "mean"], ["mask"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 48, 48])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 2, 48, 48])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "a.onnx")
    image = np.full((130, 200, 3), 255, np.uint8)
    tiles = lay_tiles(image.shape[:2], (48, 48))
    segmenter = Segmenter(tmp_path / "a.onnx")
    found = np.empty(image.shape[:2])
    for box, part in tiles.blend(segmenter(w).probabilities for w in tiles.cut(image)):
        found[box.rows_columns] = part[1]
    inner = found[4:-4, 4:-4]  # beyond the picture there are zeros for any pass
    assert inner.min() > 0.9
    assert max(np.abs(np.diff(inner, axis=axis)).max() for axis in (0, 1)) < 0.03


def test_a_folder_is_segmented_drawn_and_written(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, size in (("a.png", (30, 50)), ("b.png", (8, 16))):
        cv2.imwrite(str(photos / name), picture(*size))
    (photos / "c.png").write_bytes(b"no picture")
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    summary, (place,) = segment_source(
        segmenter, str(photos), str(tmp_path / "out"), masks=True, tiles=True
    )
    assert summary.frames == 2
    assert len(summary.faults) == 1
    for name in ("a.png", "b.png"):
        image = cv2.imread(str(photos / name))
        told = []
        expected = segment_tiled(
            segmenter, image, bgr=True, refine=True, told=lambda *counts, of=told: of.append(counts)
        )
        windows = 0 if name == "b.png" else len(lay_tiles((30, 50), segmenter.image_size).boxes)
        assert told == [(done, windows) for done in range(1, windows + 1)]
        mask = cv2.imread(str(place / "masks" / "part" / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, expected.levels["part"])
        assert cv2.imread(str(place / name)).shape[1:] == image.shape[1:]


def test_a_file_without_scores_is_to_be_exported_again(tmp_path):
    segmenter = Segmenter(deploy_file(tmp_path / "a.onnx"))
    with pytest.raises(ValueError, match="without --plain"):
        segment_tiled(segmenter, picture(30, 40))
    with pytest.raises(ValueError, match="without --plain"):
        segment_source(segmenter, "nowhere", None, tiles=True)

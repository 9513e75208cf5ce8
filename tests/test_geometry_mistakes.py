"""Arrays and files that are none of the contract's end in a sentence, not in wrong labels."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.resize import place
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.tiled_segmentation import segment_tiled
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

SIZE = (8, 12)
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 15, 3), np.uint8)
SCORES = np.full((1, 7, *SIZE), 1 / 7, np.float32)


def saved(file, given, arrays, told):
    """A file that gives these arrays of any picture."""
    nodes, outputs = [], []
    for name, array in arrays.items():
        value = numpy_helper.from_array(array)
        nodes.append(helper.make_node("Constant", [], [name], value=value))
        outputs.append(helper.make_tensor_value_info(name, value.data_type, array.shape))
    graph = helper.make_graph(nodes, "always", [given], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, told.to_props())
    onnx.save(model, file)
    return Segmenter(file)


def always(file, scores_nchw):
    """A file of the contract `reference` that gives these scores of any picture."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])
    told = Metadata("reference", PASCAL_PERSON_PART, SIZE, 4, "a", "float32", "0")
    return saved(file, image, {"mask": scores_nchw}, told)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 3.0])
@pytest.mark.parametrize("call", [Segmenter.__call__, segment_tiled])
def test_scores_that_are_no_probabilities_are_refused(tmp_path, call, wrong):
    scores_nchw = SCORES.copy()
    scores_nchw[0, 3, 4, 5] = wrong
    with pytest.raises(HiersegError, match=r"best scores are .* 0 to 1"):
        call(always(tmp_path / "a.onnx", scores_nchw), PICTURE)


def test_classes_that_a_level_has_not_are_refused(tmp_path):
    file, levels = tmp_path / "a.onnx", PASCAL_PERSON_PART.levels
    arrays = {each.name: np.full((1, *SIZE), each.num_classes - 1, np.uint8) for each in levels}
    arrays["confidence"] = np.ones((1, *SIZE), np.float32)
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, *SIZE, 3])
    told = Metadata("deploy", PASCAL_PERSON_PART, SIZE, 4, "a", "float32", "0")
    assert saved(file, frame, arrays, told)(PICTURE).levels["part"].max() == 6
    arrays["part"][0, 2, 3] = 7
    with pytest.raises(HiersegError, match="map part has the class 7 of 7"):
        saved(file, frame, arrays, told)(PICTURE)


@pytest.mark.parametrize("picture", [None, PICTURE.tolist()])
def test_pictures_that_are_no_arrays_are_refused(tmp_path, picture):
    segmenter = always(tmp_path / "a.onnx", SCORES)
    for call in (segmenter, lambda given: segment_tiled(segmenter, given)):
        with pytest.raises(HiersegError, match=r"uint8 \[height, width, 3\]; got \w+, no array"):
            call(picture)


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        (["part", "hand"], "There is no level 'hand'; the network has body, "),
        ("part", r"Levels are a list of names, such as \['part'\]; got 'part'"),
    ],
)
def test_levels_that_there_are_not_are_refused_in_windows(tmp_path, levels, sentence):
    segmenter = always(tmp_path / "a.onnx", SCORES)
    assert list(segment_tiled(segmenter, PICTURE, levels=["part"]).levels) == ["part"]
    with pytest.raises(HiersegError, match=sentence):
        segment_tiled(segmenter, PICTURE, levels=levels)


@pytest.mark.parametrize(
    "planes",
    [np.zeros(s, np.uint16) for s in ((5, *SIZE), (*SIZE, 7), SIZE)] + [SCORES[0]],
)
@pytest.mark.parametrize("decoding", ["leaf", "top_down"])
def test_planes_of_another_tree_or_dtype_are_refused(planes, decoding):
    with pytest.raises(HiersegError, match=r"are uint16 \[7, height, width\]"):
        picture_labels(planes, place((20, 15), SIZE, "crop"), PASCAL_PERSON_PART, decoding)


def test_arrays_that_a_placement_is_not_of_are_refused():
    placement = place((20, 15), SIZE, "letterbox")
    label, predicted = PICTURE[..., 0], np.zeros(SIZE, np.uint8)
    assert placement.fit_image(PICTURE).shape == (*SIZE, 3)
    assert placement.restore_labels(placement.fit_labels(label)).shape == label.shape
    for call, array in (
        (placement.fit_image, PICTURE.transpose(1, 0, 2)),
        (placement.fit_image, label),
        (placement.fit_labels, label[:10]),
        (placement.fit_labels, label.astype(np.int64)),
        (placement.restore_labels, predicted[:4]),
        (placement.restore_labels, predicted.astype(np.int64)),
    ):
        with pytest.raises(HiersegError, match=r"The placement is of uint8 \(.*; got \w+ \("):
            call(array)
    with pytest.raises(HiersegError, match="plane by plane"):
        placement.restore_scores(SCORES[0])


@pytest.mark.parametrize("picture", [(0, 5), (5, 0), (-3, 5)])
@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
def test_pictures_without_pixels_have_no_place(picture, rule):
    with pytest.raises(HiersegError, match="1 pixel or more"):
        place(picture, SIZE, rule)


@pytest.mark.filterwarnings("error")
def test_scores_of_a_network_that_diverged_count_as_nothing():
    assert log_planes(np.float32([np.nan, 0, 1])).tolist() == [0, 0, 65535]

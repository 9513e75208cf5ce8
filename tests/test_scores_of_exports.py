"""The contract deploy gives scores, from which labels at the picture's size follow as JAX's do."""

import dataclasses
from typing import ClassVar

import cv2
import jax
import numpy as np
import onnx
import pytest
from flax import linen as nn

from hierseg_jax.bridge import verify
from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.verify import MismatchError, largest_difference
from hierseg_jax.data.picture_labels import log_planes, picture_labels, scores_of
from hierseg_jax.data.resize import Resize, place
from hierseg_jax.models import NETWORKS, SegmentationModel, create_model, init_variables
from hierseg_jax.models.layers import Compute, Conv
from hierseg_jax.runtime.metadata import PREFIX, Metadata
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.tiny_network import TINY

PHOTO = np.random.default_rng(3).integers(0, 256, (50, 41, 3), np.uint8)
SIZE = (32, 48)


class Coarse(SegmentationModel):
    """One convolution, whose logits are 2 pixels apart and far from one another."""

    stride: ClassVar[int] = 4
    output_stride: ClassVar[int] = 2

    @nn.compact
    def __call__(self, image_bhwc, *, train=False):
        compute = Compute(self.dtype, self.axis_name, self.conv_impl)
        return self.enlarged(
            20 * Conv(self.num_classes, (3, 3), stride=2, compute=compute, name="head")(image_bhwc)
        )


class Coarser(SegmentationModel):
    """The same with logits 4 pixels apart."""

    stride: ClassVar[int] = 4
    output_stride: ClassVar[int] = 4

    @nn.compact
    def __call__(self, image_bhwc, *, train=False):
        compute = Compute(self.dtype, self.axis_name, self.conv_impl)
        return self.enlarged(
            20 * Conv(self.num_classes, (3, 3), stride=4, compute=compute, name="head")(image_bhwc)
        )


@pytest.fixture(scope="module", autouse=True)
def registered():
    for name, network in (("coarse", Coarse), ("coarser", Coarser)):
        NETWORKS[name] = dataclasses.replace(TINY, name=name, architecture=network)
    yield
    del NETWORKS["coarse"], NETWORKS["coarser"]


def built(name, upsampling="nearest", decoding="leaf", contract="deploy", **options):
    """The network with fresh weights, and its graph."""
    tree = PASCAL_PERSON_PART
    channels = tree.num_nodes if decoding == "path" else tree.num_classes
    model = create_model(name, channels, conv_impl="xla", upsampling=upsampling)
    variables = init_variables(model, jax.random.key(1))
    options |= {"decoding": decoding}
    return model, variables, build_graph(contract, model, variables, tree, **options)


def write(file, graph, upsampling="nearest", decoding="leaf", rule="letterbox", **told):
    """An exported file of the network `coarse`."""
    model = convert(graph, SIZE)
    contract = "deploy" if graph.channels_last else "reference"
    told = {"score_stride": graph.score_stride, "resize": rule, "decoding": decoding} | told
    metadata = Metadata(contract, PASCAL_PERSON_PART, SIZE, 4, "coarse", "float32", "0", **told)
    onnx.helper.set_model_props(model, metadata.to_props())
    onnx.save(model, file)
    return Segmenter(file)


@pytest.mark.parametrize(
    ("name", "upsampling", "decoding", "rule"),
    [
        ("esnet_mini", "bilinear", "leaf", "letterbox"),
        ("coarse", "nearest", "leaf", "letterbox"),
        ("coarse", "bilinear", "leaf", "crop"),
        ("coarse", "bilinear", "path", "letterbox"),
        ("coarse", "bicubic", "leaf", "letterbox"),
        ("coarser", "bicubic", "path", "crop"),
        ("coarse", "bilinear", "top_down", "stretch"),
    ],
)
def test_scores_and_the_labels_that_follow_are_the_networks(name, upsampling, decoding, rule):
    model, variables, graph = built(name, upsampling, decoding)
    exported = convert(graph, SIZE).SerializeToString()
    difference = largest_difference(
        exported,
        graph,
        model,
        variables,
        PASCAL_PERSON_PART,
        [PHOTO],
        [(1, *SIZE)],
        decoding,
        Resize(rule),
    )
    assert difference <= 1e-4
    assert graph.score_stride == model.grid_stride


def test_scores_that_are_not_the_networks_are_refused():
    model, variables, graph = built("coarse")

    def shifted(frame_nhwc):
        *others, planes_nchw = graph.function(frame_nhwc)
        return (*others, planes_nchw // 2)

    other = dataclasses.replace(graph, function=shifted)
    exported = convert(other, SIZE).SerializeToString()
    given = [exported, other, model, variables, PASCAL_PERSON_PART, [PHOTO], [(1, *SIZE)]]
    with pytest.raises(MismatchError, match=r"differs from the network by"):
        largest_difference(*given)


def test_labels_at_the_pictures_size_that_are_not_the_networks_are_refused():
    rng = np.random.default_rng(0)
    logits = cv2.GaussianBlur(rng.normal(0, 30, (16, 24, 7)).astype(np.float32), (0, 0), 2)
    scores_nhwc = np.exp(logits - logits.max(-1, keepdims=True))[None]
    scores_nhwc /= scores_nhwc.sum(-1, keepdims=True)
    planes_nchw = log_planes(scores_nhwc.transpose(0, 3, 1, 2))
    rest = (place((65, 73), SIZE, "letterbox"), PASCAL_PERSON_PART, "leaf")
    verify._compare_at_picture(planes_nchw, scores_nhwc, *rest)
    with pytest.raises(MismatchError, match=r"At 65 x 73 pixels the scores .* label \d+ of them"):
        verify._compare_at_picture(planes_nchw[..., ::-1].copy(), scores_nhwc, *rest)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_both_contracts_give_smooth_labels_and_the_plain_one_blocks(tmp_path, upsampling):
    photo = cv2.resize(PHOTO[:9, :7], (210, 310), interpolation=cv2.INTER_CUBIC)
    found = {}
    for contract, plain in (("reference", False), ("deploy", False), ("deploy", True)):
        *_, graph = built("coarse", upsampling, contract=contract, plain=plain)
        segmenter = write(tmp_path / "a.onnx", graph)
        found[contract, plain] = segmenter(photo)
        assert segmenter.plain == plain
    given, scored, plain = found.values()
    assert plain.probabilities is None
    np.testing.assert_allclose(scored.confidence, plain.confidence, atol=1e-6)
    np.testing.assert_allclose(scored.confidence, given.confidence, atol=1e-5)
    assert scored.probabilities.shape == (7, 16, 24)
    apart = given.output.scores.shape == (7, 16, 24)
    assert apart == (upsampling == "nearest")
    planes = scored.output.planes
    expected = picture_labels(planes, scored.placement, PASCAL_PERSON_PART)
    np.testing.assert_array_equal(scored.levels["part"], expected)
    for level in PASCAL_PERSON_PART.levels:
        np.testing.assert_array_equal(scored.levels[level.name], level.leaf_to_class[expected])
    if apart:
        np.testing.assert_allclose(scored.probabilities, given.probabilities, atol=3e-4)
        best = np.sort([scored.placement.restore_scores(plane) for plane in planes], axis=0)
        clear = best[-1].astype(int) - best[-2] > 20
        assert clear.mean() > 0.8
        np.testing.assert_array_equal(expected[clear], given.levels["part"][clear])
    blocks = plain.placement.restore_labels(plain.output.maps[-1])
    np.testing.assert_array_equal(plain.levels["part"], blocks)
    assert (blocks != expected).any()


def test_frames_and_windows_can_be_finished_from_planes_of_ones_own(tmp_path):
    *_, graph = built("coarse", "bilinear")
    segmenter = write(tmp_path / "a.onnx", graph)
    placement, given = segmenter.prepare(PHOTO)
    planes = segmenter.infer(given).planes
    levels = segmenter.finish(planes, placement)
    for name, labels in segmenter(PHOTO).levels.items():
        np.testing.assert_array_equal(levels[name], labels)
    swapped = segmenter.finish(planes[::-1].copy(), placement)["part"]
    assert (swapped != levels["part"]).any()


def test_files_whose_scores_are_not_where_they_say_are_refused(tmp_path):
    *_, graph = built("coarse")
    segmenter = write(tmp_path / "a.onnx", graph, score_stride=4)
    with pytest.raises(ValueError, match=r"\(1, 7, 16, 24\); expected .*\(1, 7, 8, 12\)"):
        segmenter(PHOTO)


def test_a_level_called_scores_needs_the_plain_contract():
    tree = PASCAL_PERSON_PART.to_json()
    clash = Hierarchy.from_json({**tree, "level_names": ["body", "scores", "part"]})
    model = create_model("coarse", 7)
    with pytest.raises(ValueError, match=r"'scores'.*rename it"):
        build_graph("deploy", model, {}, clash)
    names = build_graph("deploy", model, {}, clash, plain=True).output_names
    assert names == ("body", "scores", "part", "confidence")
    with pytest.raises(ValueError, match="--plain is for --contract=deploy"):
        export_checkpoint("nowhere", "a.onnx", plain=True)


def test_the_metadata_tell_how_scores_are_written():
    told = Metadata("deploy", PASCAL_PERSON_PART, SIZE, 8, "a", "float32", "0", score_stride=4)
    props = told.to_props()
    assert Metadata.from_props(props, "a.onnx") == told
    key = f"{PREFIX}scores"
    assert props.pop(key) == '{"stride": 4, "floor": -32.0, "steps": 65535}'
    assert Metadata.from_props(props, "a.onnx").score_stride == 1
    for text in ('{"stride": 3, "floor": -32.0, "steps": 65535}', '{"stride": 4}', "[]", "4"):
        with pytest.raises(ValueError, match=r"a\.onnx has metadata .*scores"):
            Metadata.from_props(props | {key: text}, "a.onnx")


def test_scores_follow_from_planes_as_the_docs_say():
    planes = np.uint16([0, 1, 40000, 65535])
    np.testing.assert_allclose(scores_of(planes), np.exp(-32 * (1 - planes / 65535)), rtol=1e-5)

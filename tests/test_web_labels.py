"""The page of `hierseg web` prepares pictures and labels them as the runtime does, to the bit."""

import dataclasses
import json
import platform

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from hierseg_jax.data.brightening import rule as rule_to
from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.runtime.segmentation import level_labels
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.page_modules import needs_node, run_beside_page
from tests.test_model_json import told
from tests.test_picture_labels import smooth_logits, softmax

pytestmark = needs_node
AVX2 = 11  # OpenCV's number, which has no name in Python
# OpenCV multiplies and adds in one step, as the page does, where the processor can.
FUSED = platform.machine() not in ("x86_64", "AMD64") or cv2.checkHardwareSupport(AVX2)

SIZE = (32, 48)
LIGHT = 180
PICTURES = ((101, 157), (20, 200), (64, 96), (32, 48), (200, 31), (3, 5))
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
import { withFloatScores } from "./float-scores.js";
import { brighten, litPicture } from "./brightening.js";
import { place } from "./geometry.js";
import { guidedLabels } from "./guided.js";
import { enlargedLabels, leafLabels, levelLabels, logPlanes } from "./labels.js";
import { networkInput } from "./sampling.js";

const read = (name, Kind) => new Kind(new Uint8Array(readFileSync(name)).buffer);
const { cases, size, strides, rule } = JSON.parse(readFileSync("cases.json"));
cases.forEach(({ picture, model }, i) => {
  const placement = place(picture, size, model.resizing.rule);
  const rgba = read(`${i}.rgba`, Uint8ClampedArray);
  writeFileSync(`${i}.input`, networkInput(rgba, placement, model.resizing));
  const dark = rgba.map((value) => value >> 3);
  const lit = networkInput(dark, placement, model.resizing);
  writeFileSync(`${i}.edges`, litPicture(dark, brighten(lit, placement, rule)));
  writeFileSync(`${i}.lit`, lit);
  for (const stride of strides) {
    const planes = logPlanes(read(`${stride}.scores`, Float32Array), model.scores);
    const sides = size.map((side) => side / stride);
    const shape = [planes.length / sides[0] / sides[1], ...sides];
    const leaves = leafLabels(planes, shape, placement, model);
    writeFileSync(`${i}.${stride}.guided`, guidedLabels(planes, shape, placement, model, rgba));
    model.levels.forEach((level, k) => {
      writeFileSync(`${i}.${stride}.${k}`, levelLabels(leaves, level));
    });
  }
  writeFileSync(`${i}.blocks`, enlargedLabels(read("map", Uint8Array), placement));
});
const trimmed = cases.map(({ picture, model }) => place(picture, size, model.resizing.rule, 16));
writeFileSync("trimmed.json", JSON.stringify(trimmed));
writeFileSync("float.onnx", withFloatScores(read("uint16.onnx", Uint8Array)));
"""


def cases():
    for picture in PICTURES:
        for rule in RESIZES:
            yield picture, rule, "exact", "leaf"
    yield PICTURES[0], "stretch", "reference", "leaf"
    for rule in RESIZES:
        yield PICTURES[0], rule, "exact", "top_down"


def picture_of(size, seed):
    """Edges, ramps and noise: uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*size, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the page's modules make of all cases."""
    folder = tmp_path_factory.mktemp("page")
    listed = []
    for i, (picture, rule, sampling, decoding) in enumerate(cases()):
        image_hwc = picture_of(picture, i)
        np.dstack([image_hwc, np.full(picture, 255, np.uint8)]).tofile(folder / f"{i}.rgba")
        model = told(resize=rule, sampling=sampling, decoding=decoding).to_json()
        listed.append({"picture": picture, "model": model | {"validation": {}}})
    for stride in (1, 4):
        scores_of(stride).tofile(folder / f"{stride}.scores")
    map_hw().tofile(folder / "map")
    onnx.save(casting_model(), folder / "uint16.onnx")
    (folder / "cases.json").write_text(
        json.dumps({"cases": listed, "size": SIZE, "strides": [1, 4], "rule": rule_to(LIGHT)})
    )
    run_beside_page(folder, RUN)
    return folder


def scores_of(stride):
    return softmax(smooth_logits(7, SIZE[0] // stride, SIZE[1] // stride, stride))


def map_hw():
    return np.random.default_rng(0).integers(0, 7, SIZE, np.uint8)


def casting_model():
    """Its output `scores` is cast to uint16, and `map` to uint8, as those of `deploy` are."""
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    kinds = {"map": TensorProto.UINT8, "scores": TensorProto.UINT16}
    nodes = [node("Cast", ["x"], [name], name=f"to_{name}", to=kinds[name]) for name in kinds]
    outputs = [value(name, kind, [3]) for name, kind in kinds.items()]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [3])], outputs)
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def read(folder, name, shape):
    return np.fromfile(folder / name, np.uint8).reshape(shape)


def test_the_network_gets_the_same_bytes(folder):
    for i, (picture, rule, sampling, _) in enumerate(cases()):
        image_hwc = picture_of(picture, i)
        expected_hwc = Resize(rule, sampling).place(picture, SIZE).fit_image(image_hwc)
        found_hwc = read(folder, f"{i}.input", (*SIZE, 3))
        np.testing.assert_array_equal(found_hwc, expected_hwc, f"{picture} {rule} {sampling}")


def test_dark_pictures_are_brightened_to_the_same_bytes(folder):
    for i, (picture, rule, sampling, _) in enumerate(cases()):
        dark_hwc = picture_of(picture, i) >> 3
        placement = Resize(rule, sampling, bright=LIGHT).place(picture, SIZE)
        expected_hwc = placement.fit_image(dark_hwc)
        assert (expected_hwc != placement.fit_image(dark_hwc, table=np.arange(256))).any()
        np.testing.assert_array_equal(read(folder, f"{i}.lit", (*SIZE, 3)), expected_hwc)
        edges_hwc = read(folder, f"{i}.edges", (*picture, 4))[..., :3]
        np.testing.assert_array_equal(edges_hwc, placement.brightened(dark_hwc))


def test_bars_are_cut_off_an_open_input_as_the_runtime_does(folder):
    found = json.loads((folder / "trimmed.json").read_text())
    for (picture, rule, sampling, _), placed in zip(cases(), found, strict=True):
        expected = dataclasses.asdict(Resize(rule, sampling).place(picture, SIZE).trimmed(16))
        del (
            expected["sampling"],
            expected["beside"],
            expected["bright"],
        )  # nothing that the page is told
        assert placed == json.loads(json.dumps(expected)), (picture, rule)


@pytest.mark.skipif(not FUSED, reason="needs a processor that has AVX2")
def test_every_level_has_the_same_labels(folder):
    for i, (picture, rule, sampling, decoding) in enumerate(cases()):
        placement = Resize(rule, sampling).place(picture, SIZE)
        for stride in (1, 4):
            planes = log_planes(scores_of(stride))
            leaf_hw = picture_labels(planes, placement, PASCAL_PERSON_PART, decoding)
            for k, level in enumerate(PASCAL_PERSON_PART.levels):
                np.testing.assert_array_equal(
                    read(folder, f"{i}.{stride}.{k}", picture),
                    level_labels(leaf_hw, level),
                    f"{picture} {rule} {decoding}, stride {stride}, level {level.name}",
                )


def test_borders_follow_edges_to_the_same_pixels(folder):
    differ, pixels = 0, 0
    for i, (picture, rule, sampling, decoding) in enumerate(cases()):
        placement = Resize(rule, sampling).place(picture, SIZE)
        for stride in (1, 4):
            planes = log_planes(scores_of(stride))
            expected_hw = guided_labels(
                planes, placement, PASCAL_PERSON_PART, picture_of(picture, i), decoding
            )
            found_hw = read(folder, f"{i}.{stride}.guided", picture)
            differ += (found_hw != expected_hw).sum()
            pixels += found_hw.size
    # Sums round otherwise elsewhere, and these pictures are noise. Here it is no pixel.
    assert differ <= 1e-3 * pixels


def test_label_maps_without_scores_are_enlarged_in_the_same_blocks(folder):
    for i, (picture, rule, sampling, _) in enumerate(cases()):
        placement = Resize(rule, sampling).place(picture, SIZE)
        found_hw = read(folder, f"{i}.blocks", picture)
        np.testing.assert_array_equal(found_hw, placement.restore_labels(map_hw()))


def test_scores_become_float_for_webgpu_and_all_else_stays(folder):
    session = onnxruntime.InferenceSession(folder / "float.onnx")
    map_n, scores_n = session.run(None, {"x": np.array([1.5, 200, 60000], np.float32)})
    assert (map_n.dtype, scores_n.dtype) == (np.uint8, np.float32)
    assert scores_n.tolist() == [1.5, 200, 60000]

"""The worked example in docs/export.md labels a photograph as the runtime does."""

import re

import cv2
import jax
import numpy as np
import onnx
import pytest

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.runtime.packaged_network import packaged_photograph
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.conftest import ROOT

SIZE = (64, 96)
(PROGRAM,) = (
    part
    for part in re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)
    if "onnxruntime.InferenceSession" in part
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    model = create_model("esnet_mini", 7, conv_impl="xla")
    variables = init_variables(model, jax.random.key(1))
    graph = build_graph("deploy", model, variables, PASCAL_PERSON_PART)
    exported = convert(graph, SIZE)
    told = {"score_stride": graph.score_stride, "sampling": "exact", "decoding": "leaf"}
    metadata = Metadata("deploy", PASCAL_PERSON_PART, SIZE, 4, "mini", "float32", "0", **told)
    onnx.helper.set_model_props(exported, metadata.to_props())
    file = tmp_path_factory.mktemp("python") / "mine.onnx"
    onnx.save(exported, file)
    return file


@pytest.mark.parametrize("part", [np.s_[:], np.s_[:100, :150], np.s_[:, :90], np.s_[:50, :40]])
def test_the_python_of_the_docs_labels_as_the_runtime_does(file, part, monkeypatch):
    monkeypatch.chdir(file.parent)
    picture_bgr = cv2.imread(str(packaged_photograph()))[part]
    cv2.imwrite("mine.jpg", picture_bgr)
    found = {}
    exec(PROGRAM, found)
    segmenter = Segmenter("mine.onnx")
    levels = segmenter(cv2.imread("mine.jpg")[..., ::-1], refine=False).levels
    assert len(np.unique(found["label"])) > 1
    np.testing.assert_array_equal(found["label"], levels[segmenter.hierarchy.level_names[-1]])

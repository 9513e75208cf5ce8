"""A file is opened once, as far as it is needed, and refused as onnxruntime's whole would be."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hierseg_jax.runtime import opening
from hierseg_jax.runtime.onnx_part import declared_outputs
from hierseg_jax.runtime.opening import open_network
from hierseg_jax.runtime.packaged_network import packaged_network
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.session import tensors_of
from tests.test_runtime import deploy_file, reference_file, scored_file


def opened_whole(file, confidence=True):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "part_for", lambda *_: None)
        return open_network(file, "cpu", 1, confidence)


def told(network):
    return dataclasses.replace(network, session=None)


@pytest.mark.parametrize("confidence", [True, False])
def test_the_part_that_is_opened_tells_and_computes_what_the_whole_file_does(confidence):
    file = packaged_network()
    part, whole = open_network(file, "cpu", 1, confidence), opened_whole(file, confidence)
    assert told(part) == told(whole)
    outputs = [value.name for value in part.session.get_outputs()]
    assert (outputs, len(whole.session.get_outputs())) == ([*part.wanted], 5)
    size = part.metadata.image_size
    frame = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    found, expected = (
        network.session.run(part.wanted, {"frame": frame}) for network in (part, whole)
    )
    assert all(map(np.array_equal, found, expected))


def test_onnxruntime_is_asked_once(tmp_path, monkeypatch):
    start, asked = onnxruntime.InferenceSession, []

    def counted(*arguments, **options):
        asked.append(arguments)
        return start(*arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    for make in (scored_file, deploy_file, reference_file):
        Segmenter(make(tmp_path / "a.onnx"), provider="cpu")
    assert len(asked) == 3


def test_outputs_are_declared_as_onnxruntime_reads_them(tmp_path):
    for file in (scored_file(tmp_path / "a.onnx"), packaged_network()):
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        assert declared_outputs(file.read_bytes()) == tensors_of(session.get_outputs())
    assert declared_outputs(b"hello") is None


def renamed(model):
    model.graph.output[0].name = model.graph.node[-6].output[0] = "boxes"


def without_metadata(model):
    del model.metadata_props[:]


def of_later_metadata(model):
    helper.set_model_props(model, {each.key: each.value for each in model.metadata_props})
    next(each for each in model.metadata_props if each.key == "hierseg.format").value = "99"


def of_another_input(model):
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"


def of_other_numbers(model):
    model.graph.output[-1].type.tensor_type.elem_type = TensorProto.FLOAT
    model.graph.node[-1].attribute[0].i = TensorProto.FLOAT


def with_an_output_more(model):
    model.graph.output.append(helper.make_tensor_value_info("wide", TensorProto.FLOAT, None))


def without_a_level(model):
    del model.graph.output[0]


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        without_metadata,
        of_later_metadata,
        of_another_input,
        of_other_numbers,
        with_an_output_more,
        without_a_level,
    ],
)
def test_a_file_of_others_is_refused_in_the_words_for_the_whole(tmp_path, change):
    model = onnx.load(scored_file(tmp_path / "a.onnx"))
    change(model)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"a\.onnx") as whole:
        opened_whole(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"a\.onnx") as found:
        Segmenter(tmp_path / "a.onnx", provider="cpu")
    assert str(found.value) == str(whole.value)


def outcome(open_one):
    try:
        return told(open_one())
    except ValueError as error:
        return str(error)


def test_a_shape_that_is_declared_wrongly_is_what_onnxruntime_finds(tmp_path):
    model = onnx.load(scored_file(tmp_path / "a.onnx"))
    del model.graph.output[-1].type.tensor_type.shape.dim[0]
    onnx.save(model, tmp_path / "a.onnx")
    assert told(open_network(tmp_path / "a.onnx", "cpu", 1, True)).wanted
    assert told(open_network(tmp_path / "a.onnx", "cpu", 1, True)) == told(
        opened_whole(tmp_path / "a.onnx")
    )


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return scored_file(tmp_path_factory.mktemp("scored") / "a.onnx")


@given(data=st.data())
def test_damage_is_told_as_of_the_whole_unless_it_is_where_nobody_looks(scored, data):
    content = bytearray(scored.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    file = scored.with_name("damaged.onnx")
    file.write_bytes(content)
    whole, found = (
        outcome(lambda: opened_whole(file)),
        outcome(lambda: open_network(file, "cpu", 1, True)),
    )
    if whole != found:
        # What leads to label maps alone.
        assert isinstance(whole, str)
        assert found.wanted == ("confidence", "scores")

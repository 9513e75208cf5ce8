"""What an exported file says of itself, and MODEL.json beside it."""

import hashlib
import json
import math
from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hierseg_jax.bridge.description import check_json_file, describe, write_with_json
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.data.sampling import SAMPLINGS
from hierseg_jax.runtime.metadata import FORMAT, PREFIX, Metadata
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

NAMES = ["body", "upper_lower", "part", "confidence", "scores"]


def told(**changes):
    validation = {"epoch": 3, "levels": {"body": math.nan}}
    names = ("deploy", PASCAL_PERSON_PART, (32, 48), 8, "esnet", "int8", "ab")
    return Metadata(*names, score_stride=4, validation=validation, **changes)


@pytest.fixture
def model():
    """With the tensors of `deploy`, and nothing that is computed."""
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, ("batch", 32, 48, 3))
    kinds = [*[TensorProto.UINT8] * 3, TensorProto.FLOAT, TensorProto.UINT16]
    outputs = [
        helper.make_tensor_value_info(name, kind, ("batch", 32, 48))
        for name, kind in zip(NAMES, kinds, strict=True)
    ]
    model = helper.make_model(helper.make_graph([], "g", [frame], outputs))
    describe(model, told())
    return model


def test_every_tensor_says_what_it_holds(model):
    texts = {value.name: value.doc_string for value in (*model.graph.input, *model.graph.output)}
    assert "red, green, blue, 0 to 255. Sides are multiples of 8" in texts["frame"]
    assert texts["body"] == "Of every pixel, the class at the level body: 0 background, 1 body."
    assert "every 4 x 4 pixels" in texts["scores"]
    assert "exp(-32 * (1 - x / 65535))" in texts["scores"]
    assert "[0, 1]" in texts["confidence"]


def test_the_json_beside_holds_the_same(model, tmp_path):
    file = tmp_path / "new.onnx"
    write_with_json(file, model, told())
    # NaN is no JSON, whatever Python takes for it.
    content = json.loads((tmp_path / "new.json").read_text(), parse_constant=pytest.fail)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert content["file"] == {"name": "new.onnx", "sha256": digest}
    props = {prop.key: prop.value for prop in onnx.load(file).metadata_props}
    assert content.keys() - {"file", "inputs", "outputs"} == {
        key.removeprefix(PREFIX) for key in props
    }
    assert content["levels"] == json.loads(props[PREFIX + "levels"])
    assert content["validation"] == {"epoch": 3, "levels": {"body": None}}
    assert [each["name"] for each in content["outputs"]] == NAMES
    (frame,) = content["inputs"]
    assert (frame["dtype"], frame["shape"]) == ("uint8", ["batch", 32, 48, 3])
    assert content["input"]["channels"] == "RGB"
    assert content["input"]["range"] == [0, 255]


def test_files_of_users_stay(model, tmp_path):
    file, beside = tmp_path / "a.onnx", tmp_path / "a.json"
    beside.write_text('{"images": [], "annotations": []}')
    with pytest.raises(FileExistsError, match="--overwrite"):
        check_json_file(file, overwrite=False)
    with pytest.raises(FileExistsError, match="no file of an export"):
        check_json_file(file, overwrite=True)
    write_with_json(file, model, told())
    with pytest.raises(FileExistsError, match="replace both"):
        check_json_file(file, overwrite=False)
    check_json_file(file, overwrite=True)


def test_no_json_stays_where_the_file_could_not_be_written(model, tmp_path):
    file = tmp_path / "a.onnx"
    file.mkdir()
    with pytest.raises(OSError, match=r"a\.onnx could not be written"):
        write_with_json(file, model, told())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.onnx"]


def test_files_without_a_format_are_read_and_those_of_a_later_one_refused():
    props = told(sampling="exact").to_props()
    assert props[PREFIX + "format"] == str(FORMAT)
    later = {"format", "input", "resizing", "decoding_rule"}
    earlier = {key: text for key, text in props.items() if key.removeprefix(PREFIX) not in later}
    read = [Metadata.from_props(each, "a.onnx") for each in (props, earlier)]
    assert [each.to_props() for each in read] == [props, props]
    with pytest.raises(ValueError, match="Update hierseg_jax"):
        Metadata.from_props(props | {PREFIX + "format": str(FORMAT + 1)}, "a.onnx")
    for text in ("", "-1", "x", "1.5", "9" * 5000):
        with pytest.raises(ValueError, match="format"):
            Metadata.from_props(props | {PREFIX + "format": text}, "a.onnx")


def as_told(image_hwc, size, told):
    """A picture at the network's size, computed from what the metadata say alone."""
    picture, rule, how = image_hwc.shape[:2], told["rule"], told["to_input"]
    assert (how["side_rounding"], how["offset_rounding"]) == ("half_to_even", "down")

    def centred(shape, within):
        scale = min(within[0] / shape[0], within[1] / shape[1])
        sides = [
            min(most, max(how["least_side"], round(side * scale)))
            for side, most in zip(shape, within, strict=True)
        ]
        return [(math.floor((w - s) / 2), s) for w, s in zip(within, sides, strict=True)]

    seen = centred(size, picture) if rule == "crop" else [(0, side) for side in picture]
    filled = centred(picture, size) if rule == "letterbox" else [(0, side) for side in size]
    part = image_hwc[tuple(slice(start, start + side) for start, side in seen)].astype(float)
    for axis, (_, new) in enumerate(filled):
        old, most = part.shape[axis], how["averages_beyond"]
        count = max(1, math.ceil(Fraction(old, most * new))) if most else 1
        half = told["pixel_centre"]
        at = ((np.arange(count * new) + half) * old / (count * new) - half).clip(0, old - 1)
        first = np.floor(at).astype(int)
        second, share = np.minimum(first + 1, old - 1), (at - first).reshape((-1, 1, 1))
        rows = np.moveaxis(part, axis, 0)
        rows = rows[first] * (1 - share) + rows[second] * share
        rows = rows.reshape(new, count, *rows.shape[1:]).mean(1)
        part = np.moveaxis(rows, 0, axis)
    given = np.empty((*size, 3))
    given[:] = how["fill_rgb"]
    given[tuple(slice(start, start + side) for start, side in filled)] = part
    return given


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("rule", RESIZES)
def test_pictures_are_prepared_as_the_metadata_say(rule, sampling):
    content = told(resize=rule, sampling=sampling).to_json()["resizing"]
    rng = np.random.default_rng(0)
    for picture in ((101, 37), (20, 200), (32, 48), (3, 5)):
        image_hwc = rng.integers(0, 256, (*picture, 3), np.uint8)
        placement = Resize(rule, sampling).place(picture, (32, 48))
        # OpenCV rounds to whole numbers, where it averages a second time.
        difference = as_told(image_hwc, (32, 48), content) - placement.fit_image(image_hwc)
        assert np.abs(difference).max() < 1.6
        returned_hw = placement.restore_labels(np.zeros((32, 48), np.uint8))
        unseen = content["to_picture"]["unseen_label"]
        assert set(np.unique(returned_hw)) <= {0, unseen}
        assert (unseen in returned_hw) == (placement.seen.width_height != picture[::-1])

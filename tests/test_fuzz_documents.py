"""Damaged data.yaml files, checkpoints and ONNX metadata end in a result or in a sentence."""

import json
import math

import cv2
import numpy as np
import onnx
import pytest
import yaml
from hypothesis import strategies as st
from onnx import TensorProto, helper

from configs import figures
from hierseg_jax.checkpoint import open_checkpoint, save_checkpoint
from hierseg_jax.checkpoint.digest import json_digest
from hierseg_jax.checkpoint.seal import SEAL, seal
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.sizes import as_size
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.metadata import PREFIX
from hierseg_jax.runtime.outputs import folder_name
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.train.progress import Progress
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.fuzzing import COUNTS, as_text, changed, damaged, fuzz, read_or_refused
from tests.test_runtime import metadata, reference_file, save

SPECS = [
    {
        "path": ".",
        "train": "train/images",
        "val": "val/images",
        "test": None,
        "names": ["background", "torso", "head", "legs"],
        "level_names": ["body", "half", "part"],
        "hierarchy": {"body": {"upper": ["head", "torso"], "lower": ["legs"]}},
    },
    {"hierarchy": [1, 2, {"limbs": [3, {"leg": [4, 5]}]}], "names": None},
    {"names": {"0": "background", "1": "a"}, "hierarchy": {"all": ["a"]}},
]
YAMLS = [
    *(
        yaml.safe_dump(spec, default_flow_style=style).encode()
        for spec in SPECS
        for style in (0, 1)
    ),
    b"hierarchy: {body: {upper: !!python/tuple [1, 2], lower: &x [3]}}\npath: ../data\n",
    b"hierarchy: &a {body: &b [1, !!int '2', 0x3, 0b100]}\nnames: [a, 'b', \"\\u00e9\", d, e]\n",
]


@pytest.mark.parametrize("count", COUNTS)
def test_data_yamls(tmp_path, count):
    file = tmp_path / "data.yaml"

    def read(path):
        spec = load_spec(path)
        for split in spec.splits:
            assert spec.image_dir(split).is_relative_to(spec.root)
        assert spec.hierarchy.levels[-1].num_classes == spec.hierarchy.num_classes

    def outcome(data):
        file.write_bytes(data)
        return read_or_refused(file, read)

    texts = as_text(changed(SPECS)).map(lambda text: text.encode("utf-8", "surrogatepass"))
    assert fuzz(count, st.one_of(damaged(YAMLS), texts), outcome, whole=YAMLS[:4])["read"]


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as of a run after its second epoch, with few variables."""
    folder = tmp_path / "checkpoint"
    row = {
        "epoch": 1,
        "step": 4,
        "learning_rate": 1e-3,
        "train_loss": 0.7,
        "val_loss": 0.6,
        "levels": {"body": {"miou": 0.5, "reference_miou": None, "pixel_accuracy": 0.9}},
    }
    progress = {"best_loss": 0.6, "stale_epochs": 0, "epoch_losses": [0.5], "rows": [row]}
    meta = {
        "config": figures.get_config().to_dict(),
        "hierarchy": PASCAL_PERSON_PART.to_json(),
        "step": 5,
        "epoch": None,
        "val_loss": 0.6,
        "progress": {"step": 5, **progress},
        "cpu_threads": 2,
    }
    save_checkpoint(folder, {"params": {"kernel": np.zeros(3, np.float32)}}, meta)
    return folder


def use(folder):
    """What evaluation, export and a resumed run take from a checkpoint's JSON."""
    meta = open_checkpoint(folder).meta
    assert Hierarchy.from_json(meta["hierarchy"]).num_classes > 1
    assert min(as_size(meta["config"]["data"]["image_size"])) >= 1
    assert float(meta["step"] + (meta["epoch"] or 0) + (meta["val_loss"] or 0)) is not None
    if meta.get("progress") is not None:
        Progress.from_json(meta["progress"]).finished(epochs=3, patience=1)


@pytest.mark.parametrize("count", COUNTS)
def test_the_json_of_checkpoints_that_are_sealed(checkpoint, count):
    """The hashes are right, as whoever changes a checkpoint on purpose would see to."""
    file = checkpoint / "meta" / "metadata"
    whole = json.loads(file.read_text())
    plain = {key: value for key, value in whole.items() if key != "sha256"}

    def outcome(meta):
        try:
            digest = json_digest(meta)
        except ValueError:  # half of a surrogate pair has no hash
            digest = ""
        file.write_text(json.dumps({**meta, "sha256": {**whole["sha256"], "meta": digest}}))
        seal(checkpoint)
        return read_or_refused(checkpoint, use)

    assert fuzz(count, changed([plain]), outcome, whole=[plain])["read"]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", [SEAL, "meta/metadata"])
def test_the_json_files_of_checkpoints(checkpoint, count, name):
    """Whatever stands in them; where it is not the seal, there is none."""
    file = checkpoint / name
    whole = file.read_bytes()
    if name != SEAL:
        (checkpoint / SEAL).unlink()

    def outcome(content):
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        file.write_bytes(data)
        return read_or_refused(checkpoint, use)

    fuzz(count, st.one_of(damaged([whole]), as_text(changed([json.loads(whole)]))), outcome)


def props():
    """metadata_props of one of the contracts, with something else in places."""
    whole = metadata("reference").to_props()
    trees = [{k: json.loads(v) if v[0] in "{[" or v.isdecimal() else v for k, v in whole.items()}]
    as_strings = changed(trees).map(
        lambda tree: {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in tree.items()
        }
    )
    one_text = st.tuples(
        st.sampled_from(sorted(whole)), as_text(changed([json.loads(whole[PREFIX + "hierarchy"])]))
    )
    deep = one_text.map(lambda pair: {**whole, pair[0]: pair[1]})
    return as_strings | deep


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", [(8, 16), ("h", "w")], ids=["fixed", "open"])
def test_the_metadata_of_onnx_files(tmp_path, count, size):
    file = reference_file(tmp_path / "a.onnx", size)
    model = onnx.load(file)
    picture = np.zeros((9, 11, 3), np.uint8)

    def read(path):
        segmenter = Segmenter(path)
        if math.prod(segmenter.image_size) > 2**22:
            return  # which may be meant, and would take gigabytes
        result = segmenter(picture)
        for level in segmenter.hierarchy.levels:
            Painter([level]).draw(picture, result.levels[level.name], level)
            assert "/" not in folder_name(level.name)
            assert folder_name(level.name) not in (".", "..")

    def outcome(given):
        del model.metadata_props[:]
        for key, value in given.items():
            try:
                model.metadata_props.add(key=key, value=value)
            except (UnicodeEncodeError, ValueError):  # protobuf takes no surrogates
                model.metadata_props.add(key=key[:0] + "odd", value="")
        onnx.save(model, file)
        return read_or_refused(file, read)

    whole = [metadata("reference").to_props()]
    assert fuzz(count, props(), outcome, whole=whole)["read"]


@pytest.mark.parametrize("count", COUNTS)
def test_onnx_files_with_damaged_bytes_of_metadata(tmp_path, count):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    whole = file.read_bytes()
    start = whole.index(PREFIX.encode()) - 8
    picture = np.zeros((9, 11, 3), np.uint8)

    def outcome(tail):
        file.write_bytes(whole[:start] + tail)
        return read_or_refused(file, lambda path: Segmenter(path)(picture))

    fuzz(count, damaged([whole[start:]]), outcome)


def test_metadata_that_is_no_text_is_refused(tmp_path):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    file.write_bytes(file.read_bytes().replace(b"esnet", b"\xff\xfe\xfd\xfc\xfb"))
    with pytest.raises(ValueError, match=r"a\.onnx is damaged: a name or its metadata is no UTF-8"):
        Segmenter(file)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("image_size", "[-8, 16]", "image_size is"),
        ("image_size", "[1e999, 16]", "image_size is"),
        ("image_size", '"12"', "image_size is '12'"),
        ("stride", "0", "stride is"),
        ("hierarchy", "[" * 100_000, "can't be read"),
        ("verification", "[]", "verification is"),
    ],
)
def test_metadata_out_of_range_is_named(tmp_path, key, value, sentence):
    file = reference_file(tmp_path / "a.onnx", ("h", "w"), contract="reference")
    model = onnx.load(file)
    helper.set_model_props(model, metadata("reference").to_props() | {PREFIX + key: value})
    onnx.save(model, file)
    with pytest.raises(ValueError, match=r"a\.onnx has metadata that can't be read") as caught:
        Segmenter(file)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("side", [0, 100_000])
def test_networks_of_impossible_sizes_are_refused(tmp_path, side):
    file = reference_file(tmp_path / "a.onnx", (8, side))
    with pytest.raises(ValueError, match=r"a\.onnx"):
        Segmenter(file)


@pytest.mark.parametrize(
    ("node", "count"),
    [
        (helper.make_node("ReduceMax", ["logits"], ["mask"], axes=[1]), 1),
        (helper.make_node("Concat", ["logits"] * 50, ["mask"], axis=1), 350),
    ],
)
def test_networks_of_too_few_or_too_many_classes_are_refused(tmp_path, node, count):
    file = save(
        tmp_path / "a.onnx",
        [helper.make_node("Conv", ["image", "kernel"], ["logits"]), node],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, count, 8, 8])],
    )
    with pytest.raises(ValueError, match=rf"a\.onnx has {count} classes; a network has 2 to 255"):
        Segmenter(file)


def test_outputs_of_another_shape_than_declared_are_refused(tmp_path):
    """onnxruntime does not hold a graph to what it declares."""
    file = save(
        tmp_path / "a.onnx",
        [
            helper.make_node("Conv", ["image", "kernel"], ["logits"]),
            helper.make_node("Shape", ["image"], ["shape"]),
            helper.make_node("Cast", ["image"], ["whole"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["whole"], ["zero"], keepdims=0),
            helper.make_node("Mul", ["shape", "zero"], ["none"]),
            helper.make_node("ConstantOfShape", ["none"], ["mask"]),
        ],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 7, "h", "w"])],
    )
    with pytest.raises(ValueError, match=r"The network gives arrays of the shapes \(0, 0, 0, 0\)"):
        Segmenter(file)(np.zeros((8, 8, 3), np.uint8))


def test_names_on_pictures_are_drawn_whatever_they_are():
    tree = {"$\\frac{": [1], "é 人 \u202e": [2], "a" * 200: [3]}
    level = Hierarchy.from_mapping(tree).levels[0]
    picture = np.zeros((40, 60, 3), np.uint8)
    drawn = Painter([level]).draw(picture, np.ones((40, 60), np.uint8), level)
    assert drawn.shape[1:] == picture.shape[1:]
    assert cv2.absdiff(drawn[:40], picture).any()

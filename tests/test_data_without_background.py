"""data.yaml without a hierarchy, or without a background: what it means, and a whole run of it."""

from unittest import mock

import cv2
import numpy as np
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.sources import load_hierarchy
from hierseg_jax.data.read.spec import load_spec, read_classes, read_tree_file
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.sample_places import sample_places
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train import record
from hierseg_jax.train.sample_pictures import draw_samples
from tests.conftest import ROOT
from tests.inspection_data import make_data
from tests.runs import train_here

DEEP = """\
train: train/images
val: val/images
names: [wall, torso, head, arm, forearm, thigh, shin]
level_names: [thing, half, part]
hierarchy:
  room: {built: [wall]}
  person: {upper: [torso, head, arm, forearm], lower: [thigh, shin]}
"""


def tree_of(folder, text):
    file = folder / "data.yaml"
    file.write_text(text)
    return load_spec(file).hierarchy


@pytest.mark.parametrize(
    ("text", "background", "names"),
    [
        ("names: [road, sidewalk, car]", None, ("road", "sidewalk", "car")),
        ("names: [background, car]", 0, ("background", "car")),
        ("names: [Void, car]", 0, ("Void", "car")),
        ("names: [_background_, car]", 0, ("_background_", "car")),
        ("names: [__background__, car]", 0, ("__background__", "car")),
        ("names: [BG, car]", 0, ("BG", "car")),
        ("names: {1: person, 2: car}", 0, ("background", "person", "car")),
        ("names: [other, car]\nbackground: other", 0, ("other", "car")),
        ("names: [void, car]\nbackground: null", None, ("void", "car")),
        ("labels: {3: road, 0: ignore, 7: car, 8: road}", None, ("road", "car")),
        ("labels: {0: background, 255: person}", 0, ("background", "person")),
    ],
)
def test_without_a_hierarchy_the_tree_is_one_level(tmp_path, text, background, names):
    hierarchy = tree_of(tmp_path, text)
    assert hierarchy.background == background
    assert hierarchy.class_names == names
    assert hierarchy.level_names == ("class",)
    assert hierarchy.children == tuple(range(len(names)))[hierarchy.foreground]


@pytest.mark.parametrize(
    ("text", "background"),
    [
        ("hierarchy: {a: [road, car]}\nnames: [sky, road, car]", 0),
        ("hierarchy: {a: [road, car]}\nnames: [sky, road, car]\nbackground: sky", 0),
        ("hierarchy: {a: [road, car], sky: sky}\nnames: [sky, road, car]", None),
        ("hierarchy: {a: [road, car], sky: sky}\nnames: [sky, road, car]\nbackground: null", None),
        ("hierarchy: {a: [0, 1], b: [2]}", None),
    ],
)
def test_with_a_hierarchy_the_background_is_what_stands_outside(tmp_path, text, background):
    assert tree_of(tmp_path, text).background == background


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("names: [road, car]\nbackground: car", "'car' is class 1, and only class 0 can be"),
        ("names: [road, car]\nbackground: sky", "'sky' is no class; class 0 is 'road'"),
        ("names: [road, car]\nbackground: 0", "expected the name of class 0, or null"),
        (
            "names: [road, car]\nhierarchy: [road, car]\nbackground: road",
            "'road' stands in the hierarchy, too",
        ),
        (
            "names: [road, car]\nhierarchy: [car]\nbackground: null",
            "class 0, 'road', does not stand in the hierarchy",
        ),
        ("names: [background]", "there is no other class"),
        ("names: [road]", "name a second class"),
        ("labels: {0: ignore}", "the key hierarchy is missing"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, text, sentence):
    with pytest.raises(HiersegError) as error:
        tree_of(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/data.yaml: ")
    assert sentence in str(error.value)


@pytest.mark.parametrize("text", [DEEP, "names: [road, car]\nbackground: road\n"])
def test_what_is_written_reads_back_equal(tmp_path, text):
    file = tmp_path / "data.yaml"
    file.write_text(text)
    spec = load_spec(file)
    write_spec(spec)
    assert load_spec(file) == spec


def test_a_tree_for_data_without_background_must_have_class_0(tmp_path):
    data, tree = tmp_path / "data.yaml", tmp_path / "tree.yaml"
    data.write_text("names: [road, car, bus]")
    tree.write_text("hierarchy: {ground: [road], vehicle: [car, bus]}")
    assert load_hierarchy(str(data), str(tree)).levels[0].class_names == ("ground", "vehicle")
    tree.write_text("hierarchy: {vehicle: [car, bus]}")
    with pytest.raises(HiersegError, match="'road' is the background in one of"):
        load_hierarchy(str(data), str(tree))


def test_shipped_trees_load():
    cityscapes = read_tree_file(ROOT / "configs/trees/cityscapes.yaml")
    assert cityscapes.background is None
    assert [level.num_classes for level in cityscapes.levels] == [7, 19]
    assert cityscapes.levels[0].leaf_to_class.tolist() == [
        *(0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6)
    ]
    spec = read_classes(ROOT / "configs/trees/camvid.yaml")
    camvid = spec.hierarchy
    assert [level.num_classes for level in camvid.levels] == [4, 11]
    assert camvid.levels[0].leaf_to_class.tolist() == [0, 1, 1, 2, 2, 0, 1, 1, 3, 3, 3]
    assert (camvid.background, spec.ignored) == (None, (11,))
    spec = read_classes(ROOT / "configs/trees/ade20k.yaml")
    ade20k, labels = spec.hierarchy, spec.labels
    assert (ade20k.background, ade20k.num_classes, ade20k.num_levels) == (None, 150, 1)
    assert labels == ((0, "ignore"), *enumerate(ade20k.class_names, start=1))
    assert (ade20k.class_names[0], ade20k.class_names[-1]) == ("wall", "flag")


def test_the_doctor_asks_about_a_first_class_that_is_no_background_by_its_name(tmp_path):
    data = make_data(tmp_path)
    text = data.read_text()

    def found():
        return [f.message for f in inspect_dataset(load_spec(data)).findings]

    data.write_text(text.replace("background", "road"))
    (message,) = found()
    assert "Class 0, road, stands outside the hierarchy" in message
    assert "`background: road`" in message
    for mended in (
        text.replace("background", "road") + "background: road\n",
        text.replace("background", "road").replace("[legs]", "[legs, road]"),
        text.replace("background", "Other stuff"),
    ):
        data.write_text(mended)
        assert found() == []


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Figures whose walls are a class."""
    root = tmp_path_factory.mktemp("data")
    for split, count in (("train", 16), ("val", 6)):
        source = FiguresSource(split, 32, count, seed=0)
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            image, label = source[i]["image"], source[i]["label"]
            cv2.imwrite(str(root / split / "images" / f"{i}.png"), image[..., ::-1])
            cv2.imwrite(str(root / split / "masks" / f"{i}.png"), label)
    (root / "data.yaml").write_text(DEEP)
    return root / "data.yaml"


@pytest.fixture(scope="module")
def run_and_samples(tmp_path_factory, data):
    """A workdir, and what its samples.png was drawn of."""
    workdir, drawn = tmp_path_factory.mktemp("run"), []

    def draw(samples, *rest):
        drawn.append(samples)
        draw_samples(samples, *rest)

    with mock.patch.object(record, "draw_samples", draw):
        train_here(workdir, data__spec=str(data), epochs=1, samples=2)
    return workdir, drawn[-1]


@pytest.fixture(scope="module")
def workdir(run_and_samples):
    return run_and_samples[0]


def test_samples_are_pictures_that_show_many_classes(run_and_samples, data):
    _, samples = run_and_samples
    spec = load_spec(data)
    val = FolderSource(spec.layout("val"), spec.hierarchy.num_classes, spec.values)
    places = sample_places(val, spec.hierarchy, 2)
    for number, shown in zip(places, samples["image"], strict=True):  # of six
        expected_bgr = cv2.imread(str(data.parent / "val" / "images" / f"{number}.png"))
        np.testing.assert_array_equal(shown[..., ::-1], expected_bgr)


def test_a_run_counts_every_class(workdir, data):
    evaluation, _ = evaluate_checkpoint(str(workdir), task="val", batch_size=8)
    hierarchy = load_spec(data).hierarchy
    confusion = evaluation.confusion_cc.astype(np.float64)
    for level in hierarchy.levels:
        member_lc = np.eye(level.num_classes)[level.leaf_to_class].T
        of_level = member_lc @ confusion @ member_lc.T
        hit, union = np.diag(of_level), of_level.sum(0) + of_level.sum(1) - np.diag(of_level)
        expected = np.mean((hit / np.maximum(union, 1))[union > 0])
        assert evaluation.levels[level.name].miou == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("contract", [pytest.param("reference", marks=pytest.mark.slow), "deploy"])
def test_an_export_carries_the_tree_and_runs(workdir, data, tmp_path, contract):
    export = export_checkpoint(str(workdir), str(tmp_path / "a.onnx"), contract=contract)
    segmenter = Segmenter(export.file)
    assert segmenter.hierarchy == load_spec(data).hierarchy
    assert segmenter.hierarchy.background is None
    image = FiguresSource("val", 32, 1, seed=0)[0]["image"]
    result = segmenter(image)
    part_hw = result.levels["part"]
    for level in segmenter.hierarchy.levels:
        np.testing.assert_array_equal(result.levels[level.name], level.leaf_to_class[part_hw])

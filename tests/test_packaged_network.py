"""The network in the package, and the commands that need no other."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.commands.demo_command import GAP, describe_classes, in_rows
from hierseg_jax.reports.drawing.legend import PAPER
from hierseg_jax.runtime.packaged_network import (
    NAME,
    network_file,
    packaged_network,
    packaged_photograph,
)
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.commands import run_quickly
from tests.conftest import ROOT

TREE = [{"person": [{"body": [1, 6]}, {"clothing": [2, 3, 4]}, {"things": [5]}]}]
NAMES = ["background", "head", "upper_clothes", "lower_clothes", "footwear", "carried", "skin"]
PHOTO_BGR = cv2.imread(str(packaged_photograph()))


def test_it_is_of_the_street_photographs_and_finds_the_person():
    file = packaged_network()
    told = json.loads(file.with_suffix(".json").read_text("utf-8"))
    assert told["file"] == {
        "name": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    segmenter = Segmenter(file, provider="cpu")
    assert segmenter.metadata.precision == "int8"
    tree = segmenter.hierarchy.to_json()
    assert (tree["tree"], tree["class_names"]) == (TREE, NAMES)
    assert tree["level_names"] == ["person", "group", "part"]
    person_hw = segmenter(PHOTO_BGR, bgr=True).levels["person"]
    middle_hw = person_hw[250:500, 220:300]
    assert middle_hw.mean() > 0.9
    assert person_hw[:60].mean() < 0.1


def test_it_is_small_and_given_no_bars():
    assert packaged_network().stat().st_size < 6e6
    segmenter = Segmenter(packaged_network(), provider="cpu")
    assert (segmenter.image_size, segmenter.resize.rule) == ((384, 384), "letterbox")
    for picture, size in (((720, 1280), (224, 384)), ((817, 550), (384, 288))):
        assert segmenter(np.zeros((*picture, 3), np.uint8)).placement.size == size


def test_it_knows_a_head_from_near_by():
    """Of whole persons alone it would know next to nothing where a head fills the picture."""
    near_bgr = PHOTO_BGR[15:225, 40:413]
    levels = Segmenter(packaged_network(), provider="cpu")(near_bgr, bgr=True).levels
    person_hw, part_hw = levels["person"], levels["part"]
    jacket, face, hair = np.s_[185:205, 95:235], np.s_[90:130, 160:200], np.s_[44:54, 160:190]
    assert person_hw[jacket].mean() > 0.95
    assert person_hw[:, :60].mean() + person_hw[:, 260:].mean() < 0.05
    for place, name in ((jacket, "upper_clothes"), (face, "skin"), (hair, "head")):
        assert (part_hw[place] == NAMES.index(name)).mean() > 0.8, name


def test_the_demo_writes_a_picture_and_leaves_those_that_are_there(tmp_path):
    done = run_quickly("demo", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Written to demo.png\n" in done.stdout
    assert "Next:\n  hierseg predict --source=0 --show" in done.stdout
    first = tmp_path / "demo.png"
    drawn, (height, width) = cv2.imread(str(first)), PHOTO_BGR.shape[:2]
    assert drawn.shape[0] > height  # by a legend
    assert drawn.shape[1] == 4 * width + 3 * GAP
    assert (drawn[:height, :width] == PHOTO_BGR).all()
    before = first.read_bytes()
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((300, 2400, 3), np.uint8))
    done = run_quickly("demo", "wide.png", folder=tmp_path)
    assert "Written to demo_2.png\n" in done.stdout, done.stderr
    height, width = cv2.imread(str(tmp_path / "demo_2.png")).shape[:2]
    assert (height > 2 * 150, width) == (True, 2 * 1200 + GAP)  # two rows of two
    assert first.read_bytes() == before
    assert "Nothing is seen: this network is for persons" in done.stdout
    assert {file.name for file in tmp_path.iterdir()} == {"demo.png", "demo_2.png", "wide.png"}


def test_panels_stand_in_rows_as_high_as_their_highest():
    panels = [np.full((height, 5, 3), 40 * (1 + i), np.uint8) for i, height in enumerate((3, 4, 6))]
    one_hwc, two_hwc = (in_rows(panels, rows) for rows in (1, 2))
    paper = list(PAPER[::-1])
    assert one_hwc.shape == (6, 15 + 2 * GAP, 3)
    assert two_hwc.shape == (4 + 6, 10 + GAP, 3)
    for number, (top, left) in enumerate([(0, 0), (0, 5 + GAP), (4, 0)]):
        height = len(panels[number])
        assert (two_hwc[top : top + height, left : left + 5] == panels[number]).all()
    assert (two_hwc[3, :5] == paper).all()  # below one that is lower
    assert (two_hwc[4:, 5:] == paper).all()
    assert (two_hwc[:, 5 : 5 + GAP] == paper).all()


def test_pictures_of_the_demo_are_named_and_looked_at_in_a_size_of_choice(tmp_path):
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), PHOTO_BGR[15:225, 40:413])
    done = run_quickly("demo", "a.png", "b.png", "--image_size=256", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("a", "b"):
        assert f"\n{name}.png: shares of the picture, found in " in done.stdout
        assert f"Written to {Path('demo', f'{name}.png')}\n" in done.stdout
        assert (tmp_path / f"demo/{name}.png").exists()
    (tmp_path / "photos").mkdir()
    for name in ("x" * 250, "b"):  # a name as long as systems take
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), PHOTO_BGR[15:225, 40:413])
    done = run_quickly("demo", "photos", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo/b_2.png").exists()
    assert len(list(tmp_path.glob("demo/xxx*.png"))) == 1
    run_quickly("demo", "a.png", folder=tmp_path)
    larger, smaller = (cv2.imread(str(tmp_path / f)) for f in ("demo.png", "demo/a.png"))
    assert larger.shape != smaller.shape or (larger != smaller).any()
    done = run_quickly("demo", "--image_size=250", folder=tmp_path)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "multiples of 32; got 250 x 250" in done.stderr


def test_a_mistake_of_the_demo_is_a_sentence_and_writes_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    for arguments, sentence in (
        (["b.png"], "error: b.png is no file, folder or camera index"),
        (["a.png", "--output=new/a.gif"], "error: --output is new/a.gif; end its name in .jpg,"),
        (["a.png"], "error: 1 could not be read; the first: a.png"),
    ):
        done = run_quickly("demo", *arguments, folder=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(sentence)
        assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_predict_takes_it_where_no_model_is_given(tmp_path):
    source = f"--source={packaged_photograph()}"
    done = run_quickly("predict", source, "--output=out.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "No --model given: the network in the package" in done.stderr
    assert cv2.imread(str(tmp_path / "out.png")).shape[1] == PHOTO_BGR.shape[1]


def test_its_name_stands_for_it_but_where_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert network_file(None) == network_file(NAME) == packaged_network()
    assert network_file("a.onnx") == Path("a.onnx")
    (tmp_path / NAME).mkdir()
    assert network_file(NAME) == Path(NAME)


def test_every_command_that_takes_a_model_knows_its_name(tmp_path):
    picture, data = packaged_photograph(), tmp_path / "data.yaml"
    (tmp_path / "train/images").mkdir(parents=True)
    (tmp_path / "train/masks").mkdir()
    shutil.copy(picture, tmp_path / "train/images/a.jpg")
    masks = np.zeros(PHOTO_BGR.shape[:2], np.uint8)
    masks[200:600, 200:400] = 1
    cv2.imwrite(str(tmp_path / "train/masks/a.png"), masks)
    data.write_text("train: train/images\nnames: [background, person]\n")
    for command in (
        ("predict", f"--model={NAME}", f"--source={picture}", "--output=a.png"),
        ("complete", f"--model={NAME}", "--data=data.yaml", "--output=completed"),
        ("web", f"--model={NAME}", "--output=site"),
        ("benchmark", "--seconds=0.01", "--threads=1"),
        ("benchmark", NAME, "--seconds=0.01", "--threads=1"),
    ):
        done = run_quickly(*command, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    classes = np.unique(cv2.imread(str(tmp_path / "completed/train/masks/a.png"), 0))
    assert len(classes) > 3


def test_classes_are_told_by_their_share():
    level = PASCAL_PERSON_PART.levels[-1]
    labels_hw = np.zeros((100, 100), np.uint8)
    assert describe_classes(labels_hw, level) == "nothing"
    labels_hw[:25], labels_hw[25:75], labels_hw[99] = 2, 1, 255
    first, second = level.class_names[1:3]
    assert describe_classes(labels_hw, level) == f"{first} 50.0%, {second} 25.0%"


def test_its_files_are_attributed():
    folder = packaged_photograph().parent
    assert "Clothing Co-Parsing" in (folder / "ATTRIBUTION.md").read_text("utf-8")
    assert (ROOT / "docs" / "packaged_network.md").is_file()

"""Annotations of labelme and YOLO that were moved, or made on another machine."""

import base64
import json

import pytest

from hierseg_jax.data.prepare.folders import find_below, walk_files
from hierseg_jax.data.prepare.prepare import prepare
from tests.annotated_data import labelme, make_labelme, make_yolo, save_image, save_json
from tests.raw_data import fault

SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8]]


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("C:\\pictures\\a.jpg", "a.jpg"),
        ("../images/a.jpg", "a.jpg"),
        ("a.jpg", "a.JPG"),
        ("old name.jpg", "new.png"),
    ],
)
def test_a_picture_beside_its_annotation_is_found(tmp_path, path, there):
    raw = tmp_path / "raw"
    save_json(raw / "new.json", labelme([("cat", "polygon", SQUARE)], imagePath=path))
    save_image(raw / there)
    done = prepare(raw, tmp_path / "out", val_share=0)
    assert (tmp_path / "out/train/images" / f"new{(raw / there).suffix}").is_file()
    assert done.written == 2
    (raw / there).unlink()
    assert "is missing, though new.json names it. Put it there" in fault(raw, tmp_path / "other")


def test_other_json_files_are_passed_over_and_named(tmp_path):
    raw = make_labelme(tmp_path)
    save_json(raw / "settings.json", {"a": 1})
    done = prepare(raw, tmp_path / "out")
    assert f"{raw}/settings.json: it is not labelme's, and passed over." in done.notes
    save_json(raw / "settings.json", {"imagePath": "a.jpg"})
    assert "settings.json has no list 'shapes'" in fault(raw, tmp_path / "other")


def test_a_stored_picture_that_is_none_is_called_so(tmp_path):
    raw = tmp_path / "raw"
    data = base64.b64encode(b"GIF89a").decode()
    save_json(raw / "a.json", labelme([("cat", "polygon", SQUARE)], imageData=data))
    assert "a.json: its picture is neither a JPEG nor" in fault(raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("images/train", "images/train"),
        ("/content/data/images/train", "images/train"),
        ("../images/train", "images/train"),
        ("C:\\data\\images\\train\\a.jpg", "images/train/a.jpg"),
        ("/elsewhere/b.jpg", "b.jpg"),
        # That a folder has the last name alone says nothing: it may hold all splits.
        ("/content/train/images", "/content/train/images"),
        ("images/other", "images/other"),
    ],
)
def test_a_path_of_another_machine_is_found_below_the_root(tmp_path, path, found):
    root = tmp_path / "root"
    save_image(root / "images/train/a.jpg")
    save_image(root / "b.jpg")
    assert find_below(path, [root]) == root / found


@pytest.mark.parametrize("line", ["images/{}", "./images/{}", "/content/yolo/images/{}"])
def test_lists_of_yolo_name_pictures_from_their_folder_the_root_or_elsewhere(tmp_path, line):
    raw = tmp_path / "yolo"
    for split in ("train", "val"):
        save_image(raw / "images" / split / f"{split}.jpg")
        (raw / "labels" / split).mkdir(parents=True)
        (raw / "labels" / split / f"{split}.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5")
        (raw / "lists").mkdir(exist_ok=True)
        path = raw / ("" if line.startswith("./") else "lists") / f"{split}.txt"
        path.write_text(line.format(f"{split}/{split}.jpg"))
    place = path.parent.relative_to(raw)
    (raw / "data.yaml").write_text(
        f"path: .\ntrain: {place}/train.txt\nval: {place}/val.txt\nnames: {{0: cat}}"
    )
    spec = prepare(raw, tmp_path / "out").spec
    assert spec.splits == ("train", "val")
    path.write_text("images/val/gone.jpg")
    assert "val.txt names" in (told := fault(raw, tmp_path / "other", FileNotFoundError))
    assert told.endswith("gone.jpg, which is not there.")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("[cat, no]", "names: False is no text; put quotes around yes, no, on, off"),
        ("[cat, 1.10]", "names: 1.1 is no text"),
        ("{1: cat, 2: dog}", "names by the indices 0, 1, 2 and so on; found {1: 'cat'"),
    ],
)
def test_names_that_would_change_are_refused(tmp_path, names, sentence):
    raw = make_yolo(tmp_path)
    (raw / "data.yaml").write_text(f"train: train/images\nval: valid/images\nnames: {names}\n")
    assert sentence in fault(raw, tmp_path / "out")


def test_classes_of_one_name_are_said_to_be_one(tmp_path):
    raw = make_yolo(tmp_path)
    text = (raw / "data.yaml").read_text().replace("dog", "cat")
    (raw / "data.yaml").write_text(text)
    # A YAML of other settings lies beside it.
    (raw / "tracker.yaml").write_text("names: [x]\n")
    done = prepare(raw, tmp_path / "out")
    assert "classes of one name are one class: cat." in str(done.notes)
    assert json.loads((tmp_path / "out/summary.json").read_text())["splits"]["train"]["images"] == 2


def test_linked_folders_are_looked_into_but_not_round_in_a_circle(tmp_path):
    save_image(tmp_path / "elsewhere/a.jpg")
    (tmp_path / "raw/deep").mkdir(parents=True)
    (tmp_path / "raw/city").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "raw/deep/up").symlink_to(tmp_path / "raw")
    (tmp_path / "raw/deep/here").symlink_to(".")
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / "raw" / one).mkdir(exist_ok=True)
        (tmp_path / "raw" / one / "over").symlink_to(tmp_path / "raw" / other)
    assert walk_files(tmp_path / "raw", (".JPG",)) == [tmp_path / "raw/city/a.jpg"]
    assert walk_files(tmp_path / "none", (".jpg",)) == []

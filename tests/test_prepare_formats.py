"""Raw data of the field's tools become data sets: found out, drawn, linked, split."""

import base64
import os

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import FORMATS
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.system import atomic_writing
from tests.annotated_data import (
    MAKERS,
    SIZE,
    SQUARE,
    coco,
    expected,
    labelme,
    make_cityscapes,
    make_labelme,
    make_voc,
    make_yolo,
    named,
    save_image,
    save_json,
    save_mask,
)
from tests.raw_data import contents, fault, make_raw, run_prepare


@pytest.mark.parametrize("source", list(MAKERS))
def test_a_format_is_found_out_and_prepared_twice_alike(tmp_path, source):
    raw = MAKERS[source](tmp_path)
    before = contents(raw)
    done = prepare(raw, tmp_path / "out", link=True)
    assert done.source == source
    assert contents(raw) == before
    assert load_spec(tmp_path / "out/data.yaml") == done.spec
    assert done.spec.splits == ("train", "val")
    names = named(tmp_path / "out")
    if source in ("coco", "labelme", "yolo"):
        border = {"coco": "lamp", "labelme": "ignored", "yolo": "background"}[source]
        np.testing.assert_array_equal(names, expected("dog", "cat", border))
    elif source == "voc":
        assert (names[4, 4], names[3, 3], names[2, 2], names[0, 1]) == (
            *("dog", "cat", "ignored"),
            "background",
        )
    else:
        wide = "road" if source == "cityscapes" else "Sky"
        car = "car" if source == "cityscapes" else "Car"
        assert (names[4, 4], names[0, 0], names[11, 0]) == (car, wide, "ignored")
    again = prepare(raw, tmp_path / "out", link=True)
    assert (again.written, again.kept, again.summary) == (0, done.written, done.summary)


def test_the_command_says_what_it_does_and_refuses(tmp_path):
    raw = make_labelme(tmp_path)
    flags = (f"--raw_dir={raw}", f"--out_dir={tmp_path / 'out'}", "--from=labelme")
    done = run_prepare(*flags, "--val_share=0.4", "--order=area", "--link")
    assert done.returncode == 0, done.stderr
    assert "6 files linked or drawn, 0 were there already" in done.stdout
    assert "--move is for lists of ids" in fault(raw, tmp_path / "out", move=True)
    assert "not both" in fault(raw, tmp_path / "out", move=True, link=True)
    assert "--val_share is 1.5" in fault(raw, tmp_path / "out", val_share=1.5)


@pytest.mark.parametrize("gone", ["image", "mask"])
def test_what_is_missing_may_be_left_out(tmp_path, gone):
    raw = make_raw(tmp_path)
    file = {"image": "JPEGImages/t1.jpg", "mask": "gt_masks/t1.npy"}[gone]
    (raw / file).unlink()
    assert "by --skip_missing." in fault(raw, tmp_path / "out")
    assert "leave out --skip_missing" in fault(raw, tmp_path / "out", move=True, skip_missing=True)
    done = run_prepare(raw, f"--out_dir={tmp_path / 'out'}", "--skip_missing")
    assert done.returncode == 0, done.stderr
    assert "files are not there: 1 picture, the first" in done.stdout
    assert {file.stem for file in (tmp_path / "out/train/images").iterdir()} == {"t0", "t2"}
    for left in (raw / "gt_masks").iterdir():
        left.unlink()
    assert "t0.npy is missing" in fault(raw, tmp_path / "other", skip_missing=True)


def test_what_needs_no_labels_is_not_missing(tmp_path):
    raw = make_yolo(tmp_path)
    pictures = prepare(raw, tmp_path / "out").summary["splits"]
    done = prepare(raw, tmp_path / "other", skip_missing=True)
    assert done.summary["splits"] == pictures
    assert "not there" not in str(done.notes)


def test_all_may_be_for_validation(tmp_path):
    done = prepare(make_labelme(tmp_path), tmp_path / "out", val_share=1)
    assert [*done.spec.splits] == ["val"]
    assert done.summary["splits"]["val"]["images"] == 3
    assert "takes more" not in str(done.notes)


def test_a_folder_of_no_format_or_of_two_is_refused(tmp_path):
    raw = tmp_path / "raw"
    save_image(raw / "a.jpg")
    for name in ("b/notes.TXT", "c.txt", ".hidden.json"):
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / name).touch()
    told = fault(raw, tmp_path / "out")
    assert told.startswith(f"{raw} holds no data set that is known here. Files in it: 2 .txt, 1 .")
    assert {f"- {name}: {of.marks}" for name, of in FORMATS.items()} <= {*told.splitlines()}
    raw = make_voc(tmp_path) / "VOC2012"
    save_json(raw / "a.json", labelme([("cat", "polygon", [[0, 0], [4, 0], [4, 4]])]))
    assert "may be read as labelme or as voc" in fault(raw, tmp_path / "out")


def test_labelme_shapes_of_all_kinds_and_its_stored_picture(tmp_path):
    """A shape lies over those before it; masks have their place; the picture is in the file."""
    raw = tmp_path / "raw"
    picture = cv2.imencode(".png", np.zeros((*SIZE, 3), np.uint8))[1].tobytes()
    patch = cv2.imencode(".png", np.array([[1, 0], [0, 1]], np.uint8))[1].tobytes()
    shapes = [
        ("back", "rectangle", [[0, 0], [16, 12]]),
        ("disc", "circle", [[8, 6], [8, 3]]),
        ("_background_", "polygon", [[0, 0], [2, 0], [2, 2], [0, 2]]),
        ("mask", "mask", [[14, 10], [15, 11]]),
    ]
    document = labelme(shapes, imageData=base64.b64encode(picture).decode())
    document["shapes"][3]["mask"] = base64.b64encode(patch).decode()
    save_json(raw / "a.json", document)
    save_json(raw / "b.json", labelme([("line", "line", [[0, 6], [16, 6]])], imagePath="b.jpg"))
    save_image(raw / "b.jpg")
    prepare(raw, tmp_path / "out", val_share=0)
    assert (tmp_path / "out/train/images/a.png").read_bytes() == picture
    names = named(tmp_path / "out")
    rows, columns = np.mgrid[:12, :16] + 0.5
    wanted = np.full(SIZE, "back", object)
    wanted[(rows - 6) ** 2 + (columns - 8) ** 2 <= 9] = "disc"
    wanted[:2, :2], wanted[10, 14], wanted[11, 15] = "background", "mask", "mask"
    np.testing.assert_array_equal(names, wanted)
    line = named(tmp_path / "out", index=1)[:, 0]
    assert line.tolist() == ["background", *["line"] * 10, "background"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (labelme([("a", "polygon", [[0, 0], [1]])]), "shapes[0] ('a'): a point is not of two"),
        (labelme([("a", "blob", [[0, 0]])]), "the shape_type 'blob' is unknown"),
        (labelme([("a", [1], [[0, 0]])]), "the shape_type [1] is no text"),
        (labelme([("a", "circle", [[0, 0]])]), "a circle has 2 points, and it has 1"),
        (labelme([("a", "mask", [[0, 0], [1, 1]])]), "it has no mask"),
        (
            labelme([("a", "polygon", [])], imagePath="b.jpg", imageData="\x80"),
            "its 'imageData' is '\\x80', which is no base64",
        ),
        (labelme([("", "polygon", [])]), "shapes[0]: 'label' is ''"),
        (labelme([("a", "polygon", [])], imageWidth=5), "annotates a picture of 12 x 5"),
        ({"shapes": None, "imagePath": "a"}, "has no list 'shapes'"),
    ],
)
def test_errors_of_labelme_name_file_and_shape(tmp_path, document, sentence):
    raw = tmp_path / "raw"
    save_json(raw / "a.json", document)
    save_image(raw / "a.jpg")
    message = fault(raw, tmp_path / "out")
    assert str(raw / "a.json") in message
    assert sentence in message


def test_yolo_pictures_without_labels_are_background_and_boxes_ignored(tmp_path):
    raw = make_yolo(tmp_path)
    file = raw / "train/labels/a_train.txt"
    file.write_text(file.read_text() + "0 0.125 0.9166667 0.25 0.1666667\n")
    done = prepare(raw, tmp_path / "out")
    np.testing.assert_array_equal(named(tmp_path / "out"), expected("dog", "cat", "ignored"))
    assert set(named(tmp_path / "out", index=1).ravel()) == {"background"}
    assert "ignored, boxes alone: 1 line." in str(done.notes)


def test_a_box_of_yolo_lies_below_what_has_an_outline(tmp_path):
    raw = make_yolo(tmp_path)
    prepare(raw, tmp_path / "without")
    file = raw / "train/labels/a_train.txt"
    # Smaller than both, and last: by either order it would lie on top.
    file.write_text(file.read_text() + "0 0.3125 0.4166667 0.125 0.1666667\n")
    prepare(raw, tmp_path / "out")
    np.testing.assert_array_equal(named(tmp_path / "out"), named(tmp_path / "without"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0 0.1 0.1 0.2 0.2 0.3", "line 1: it has 5 numbers after the class"),
        ("2 0.1 0.1 0.2 0.2 0.3 0.3", "line 1: there is no class '2'; `names` has 2"),
        ("0 10 10 20 20 30 30", "line 1: it holds 10; coordinates are shares"),
        ("0 0.1 nan 0.2 0.2 0.3 0.3", "line 1: it holds nan"),
        ("0 x", "line 1: it is not all numbers"),
        ("0 0.5 0.5 0.1 0.1", "all labels are boxes"),
    ],
)
def test_errors_of_yolo_name_file_and_line(tmp_path, line, sentence):
    raw = make_yolo(tmp_path)
    for split in ("train", "valid"):
        (raw / split / "labels" / f"a_{split}.txt").write_text(line)
    assert sentence in fault(raw, tmp_path / "out")


def test_validation_that_is_training_again_is_made_anew(tmp_path):
    raw = make_yolo(tmp_path)
    file = raw / "data.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("val:")]
    train = next(line for line in lines if line.startswith("train:"))
    file.write_text("\n".join([*lines, train.replace("train:", "val:", 1)]) + "\n")
    done = prepare(raw, tmp_path / "out")
    images = {
        s: {f.name for f in (tmp_path / "out" / s / "images").iterdir()} for s in done.spec.splits
    }
    assert all(images.values())
    assert not images["train"] & images["val"]
    assert "of validation are pictures of training, too, the first" in str(done.notes)


def test_voc_masks_stay_as_they_are_and_colours_are_read(tmp_path):
    raw = make_voc(tmp_path)
    folder = raw / "VOC2012"
    done = prepare(raw, tmp_path / "out")
    mask = "SegmentationClass/a.png"
    assert (tmp_path / "out/train/masks/a.png").read_bytes() == (folder / mask).read_bytes()
    assert done.spec.hierarchy.level_names == ("category", "class")
    cat, white = (0, 0, 64), (192, 224, 224)  # BGR
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[2:8, 2:8], colours[4:6, 4:6] = cat, white
    for name in "abc":
        save_mask(folder / f"SegmentationClass/{name}.png", colours)
    prepare(raw, tmp_path / "coloured")
    names = named(tmp_path / "coloured")
    np.testing.assert_array_equal(names, expected("ignored", "cat", "background"))


def test_voc_layouts_of_labelme_and_cvat_bring_their_names(tmp_path):
    raw = tmp_path / "labelme"
    save_image(raw / "JPEGImages/a.jpg")
    (raw / "class_names.txt").write_text("_background_\ntree\ntv/monitor\n")
    array = np.zeros(SIZE, np.int32)
    array[2:8, 2:8], array[4:6, 4:6] = 2, -1
    (raw / "SegmentationClassNpy").mkdir()
    np.save(raw / "SegmentationClassNpy/a.npy", array)
    prepare(raw, tmp_path / "out")
    names = named(tmp_path / "out")
    np.testing.assert_array_equal(names, expected("ignored", "tv/monitor", "background"))
    raw = tmp_path / "cvat"
    save_image(raw / "JPEGImages/a.png")
    (raw / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\ncar:0,0,142::\n"
    )
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[2:8, 2:8], colours[4:6, 4:6] = (128, 64, 128), (142, 0, 0)
    save_mask(raw / "SegmentationClass/a.png", colours)
    (raw / "ImageSets/Segmentation").mkdir(parents=True)
    (raw / "ImageSets/Segmentation/default.txt").write_text("a\n")
    prepare(raw, tmp_path / "other")
    np.testing.assert_array_equal(named(tmp_path / "other"), expected("car", "road", "background"))


def test_cityscapes_ids_of_both_kinds_say_the_same(tmp_path):
    for kind in ("labelTrainIds", "labelIds"):
        raw = make_cityscapes(tmp_path / kind, kind)
        done = prepare(raw, tmp_path / f"{kind}_out", link=True)
        assert (tmp_path / f"{kind}_out/val/masks/lindau_000000_000019.png").is_file()
        assert {g.name for g in done.spec.hierarchy.children} == {
            *("flat", "construction", "object", "nature"),
            *("sky", "human", "vehicle"),
        }
        assert done.spec.hierarchy.background is None
        assert bool(done.spec.labels) == (kind == "labelIds")
    first, second = (named(tmp_path / f"{kind}_out") for kind in ("labelTrainIds", "labelIds"))
    np.testing.assert_array_equal(first, second)


def test_colours_without_a_class_are_listed(tmp_path):
    raw = MAKERS["camvid"](tmp_path)
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[0, 0], colours[0, 1] = (1, 2, 3), (255, 0, 0)
    save_mask(raw / "train_labels/train_0_L.png", colours)
    message = fault(raw, tmp_path / "out")
    assert (
        "train_0_L.png has 2 colours without a class in class_dict.csv (#0000ff, #030201)"
        in message
    )


@pytest.mark.parametrize("hard", [True, False])
def test_linked_files_take_no_space(tmp_path, monkeypatch, hard):
    raw = make_voc(tmp_path)
    if not hard:

        def refuse(*args, **kwargs):
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(atomic_writing.os, "link", refuse)
    for _ in range(2):
        prepare(raw, tmp_path / "out", link=True)
        for ours, theirs in (
            ("images/a.jpg", "JPEGImages/a.jpg"),
            ("masks/a.png", "SegmentationClass/a.png"),
        ):
            target = tmp_path / "out/train" / ours
            assert os.path.samefile(target, raw / "VOC2012" / theirs)
            assert target.is_symlink() != hard


def test_two_pictures_of_one_name_are_refused(tmp_path):
    raw = tmp_path / "raw"
    document = coco([{"category_id": 1, "segmentation": SQUARE}], images=2)
    document["images"][0]["file_name"], document["images"][1]["file_name"] = "a/b.jpg", "a__b.jpg"
    save_json(raw / "a.json", document)
    save_image(raw / "a/b.jpg")
    save_image(raw / "a__b.jpg")
    message = fault(raw, tmp_path / "out", val_share=0)
    assert "would be called a__b as" in message


def test_data_that_are_no_json_are_refused(tmp_path):
    raw = tmp_path / "raw"
    save_json(raw / "a.json", labelme([]))
    for text, sentence in (
        ('{"shapes": [', "is no JSON: line 1"),
        ('{"shapes": ' + "[" * 100_000, "nested too deep"),
        ('{"shapes": [' + "1" * 5000 + "]}", "absurdly long number"),
    ):
        (raw / "a.json").write_text(text)
        assert sentence in fault(raw, tmp_path / "out", source="labelme")
    (raw / "a.json").write_bytes(b"\xff")
    assert "no UTF-8 text" in fault(raw, tmp_path / "out", source="labelme")

"""COCO's annotations become masks: categories, polygons, run lengths, crowds; faults are named."""

import shutil

import numpy as np
import pytest

from hierseg_jax import Hierarchy
from hierseg_jax.data.prepare.prepare import prepare
from tests.annotated_data import (
    SIZE,
    SMALL,
    SQUARE,
    coco,
    expected,
    make_coco,
    named,
    save_image,
    save_json,
)
from tests.raw_data import fault


def test_supercategories_are_the_tree(tmp_path):
    spec = prepare(make_coco(tmp_path), tmp_path / "out").spec
    assert spec.hierarchy == Hierarchy.from_mapping(
        [{"animal": ["cat", "dog"]}, "lamp"],
        ["background", "cat", "dog", "lamp"],
        ["supercategory", "class"],
    )
    assert spec.labels == ()


def run_lengths_of(rows, columns):
    """Of a rectangle, down the columns: COCO's segmentation of what is no polygon."""
    mask_hw = np.zeros(SIZE, np.uint8)
    mask_hw[rows, columns] = 1
    edges = np.flatnonzero(np.diff(mask_hw.T.ravel(), prepend=0)).tolist()
    return {"size": list(SIZE), "counts": np.diff([0, *edges, mask_hw.size]).tolist()}


def draw_coco(root, *annotations, **options):
    raw = root / "raw"
    save_json(raw / "a.json", coco(annotations))
    save_image(raw / "0.jpg")
    done = prepare(raw, root / "out", val_share=0, **options)
    return done, named(root / "out")


def test_ids_may_be_numbers_in_one_place_and_their_digits_in_the_other(tmp_path):
    plain = {"category_id": 1, "segmentation": SQUARE}
    _, as_number = draw_coco(tmp_path / "a", plain)
    content = coco([plain])
    content["annotations"][0] |= {"image_id": str(content["images"][0]["id"]), "category_id": "1"}
    save_json(tmp_path / "b/raw/a.json", content)
    save_image(tmp_path / "b/raw/0.jpg")
    prepare(tmp_path / "b/raw", tmp_path / "b/out", val_share=0)
    assert (as_number == "cat").any()
    np.testing.assert_array_equal(named(tmp_path / "b/out"), as_number)


def test_ids_may_be_whole_numbers_of_pandas(tmp_path):
    content = coco([{"category_id": 1.0, "segmentation": SQUARE}])
    content["annotations"][0]["image_id"] = float(content["images"][0]["id"])
    save_json(tmp_path / "raw/a.json", content)
    save_image(tmp_path / "raw/0.jpg")
    prepare(tmp_path / "raw", tmp_path / "out", val_share=0)
    assert (named(tmp_path / "out") == "cat").any()


def test_crowds_and_boxes_are_ignored_below_all_else(tmp_path):
    done, names = draw_coco(
        tmp_path,
        {"category_id": 3, "segmentation": SMALL},
        {"category_id": 1, "segmentation": SQUARE, "iscrowd": 1},
        {"category_id": 5, "segmentation": [], "bbox": [0, 10, 4, 2]},
    )
    np.testing.assert_array_equal(names, expected("dog", "ignored", "ignored"))
    assert "ignored: 1 crowd region." in str(done.notes)
    assert "ignored, boxes alone: 1 record." in str(done.notes)


@pytest.mark.parametrize(
    "attributes",
    [
        {"crowd": True, "occluded": False},
        {"iscrowd": 1, "occluded": False},
        {"Is_Crowd": "true", "occluded": True},
        {"occluded": "no"},
        {"weather": "sunny"},
        None,
    ],
)
def test_masks_that_cvat_calls_crowds_are_regions(tmp_path, attributes):
    """It does so with all that is no polygon; each of its records says whether it is occluded."""
    done, names = draw_coco(
        tmp_path,
        {
            "category_id": 3,
            "segmentation": run_lengths_of(slice(4, 6), slice(4, 6)),
            "iscrowd": 1,
            "attributes": {"occluded": False, "crowd": "no", "crowdedness": "low"},
        },
        {"category_id": 1, "segmentation": SQUARE, "iscrowd": 0, "attributes": {}},
        {
            "category_id": 5,
            "segmentation": run_lengths_of(slice(10, 12), slice(0, 4)),
            "iscrowd": 1,
            "attributes": attributes,
        },
    )
    np.testing.assert_array_equal(names, expected("dog", "cat", "ignored"))
    assert "ignored: 1 crowd region." in str(done.notes)
    assert "read as regions like any other: 1 record." in str(done.notes)


def test_polygons_that_are_called_crowds_are(tmp_path):
    crowd = {"iscrowd": 1, "attributes": {"occluded": False}}
    done, names = draw_coco(
        tmp_path,
        {"category_id": 3, "segmentation": SMALL},
        {"category_id": 1, "segmentation": SQUARE, **crowd},
        {"category_id": 5, "segmentation": [], "bbox": [0, 10, 4, 2]},
    )
    np.testing.assert_array_equal(names, expected("dog", "ignored", "ignored"))
    assert "ignored: 1 crowd region." in str(done.notes)


def test_where_all_are_called_crowds_none_is(tmp_path):
    done, names = draw_coco(
        tmp_path,
        {"category_id": 3, "segmentation": SMALL, "iscrowd": 1},
        {"category_id": 1, "segmentation": SQUARE, "iscrowd": 1},
        {"category_id": 5, "segmentation": [], "bbox": [0, 10, 4, 2], "iscrowd": 0},
    )
    np.testing.assert_array_equal(names, expected("dog", "cat", "ignored"))
    assert "read as regions like any other: 2 records." in str(done.notes)
    assert "ignored: " not in str(done.notes).replace("ignored: boxes", "")


@pytest.mark.parametrize("packed", [False, True])
def test_several_polygons_holes_and_run_lengths(tmp_path, packed):
    """Of one annotation polygons are united; a hole is in run lengths, or a line's own."""
    ring = np.zeros(SIZE, bool)
    ring[2:8, 2:8], ring[4:6, 4:6] = True, False
    edges = np.flatnonzero(np.diff(ring.T.ravel().astype(int))) + 1
    counts = np.diff([0, *edges, ring.size]).tolist()
    # COCO's own mask API wrote the text for this ring.
    runs = {"size": list(SIZE), "counts": "j06600LL040L04400n2" if packed else counts}
    keyhole = [10, 2, 16, 2, 16, 8, 10, 8, 10, 2, 12, 4, 12, 6, 14, 6, 14, 4, 12, 4]
    _, names = draw_coco(
        tmp_path,
        {"category_id": 1, "segmentation": runs},
        {"category_id": 3, "segmentation": [keyhole, [0, 10, 4, 10, 4, 12, 0, 12]]},
    )
    wanted = expected("background", "cat", "dog")
    wanted[2:8, 10:16], wanted[4:6, 12:14] = "dog", "background"
    np.testing.assert_array_equal(names, wanted)


def test_the_later_one_lies_on_top_if_wanted(tmp_path):
    small, large = (
        {"category_id": 3, "segmentation": SMALL},
        {"category_id": 1, "segmentation": SQUARE},
    )
    _, names = draw_coco(tmp_path, small, large, order="file")
    np.testing.assert_array_equal(names, expected("cat", "cat", "background"))


def save_with_animals(raw, *more):
    document = coco(
        [
            {"category_id": 9, "segmentation": SQUARE},
            {"category_id": 3, "segmentation": SMALL},
            {"category_id": 1, "segmentation": [[0, 10, 4, 10, 4, 12, 0, 12]]},
            *more,
        ]
    )
    document["categories"].append({"id": 9, "name": "animal", "supercategory": "animal"})
    save_json(raw / "a.json", document)
    save_image(raw / "0.jpg")


def test_a_category_above_others_is_a_group_of_pixels_which_is_said(tmp_path):
    lamp = {"category_id": 5, "segmentation": [[12, 10, 16, 10, 16, 12, 12, 12]]}
    save_with_animals(tmp_path / "raw", lamp)
    report = prepare(tmp_path / "raw", tmp_path / "out")
    out = named(tmp_path / "out")
    np.testing.assert_array_equal(out[:, :12], expected("dog", "animal", "cat")[:, :12])
    assert "animal" not in report.spec.hierarchy.class_names
    (said,) = [note for note in report.notes if "'animal' is annotated itself" in note]
    assert "is the group of cat, dog: its own regions are learned as one of these" in said


def test_a_category_that_all_others_are_below_is_a_class_like_them(tmp_path):
    """As in Roboflow's exports, where that is the project's name."""
    save_with_animals(tmp_path / "raw")
    report = prepare(tmp_path / "raw", tmp_path / "out")
    np.testing.assert_array_equal(named(tmp_path / "out"), expected("dog", "animal", "cat"))
    assert {*report.spec.hierarchy.class_names} == {"background", "animal", "cat", "dog"}
    (said,) = [note for note in report.notes if "'animal'" in note]
    assert "it is a class like the others, and there are no groups." in said


def test_a_tree_of_ones_own_takes_classes_by_name(tmp_path):
    tree = Hierarchy.from_mapping(
        {"pet": ["dog", "cat"], "thing": ["lamp"]}, ["bg", "dog", "cat", "lamp"]
    )
    raw = make_coco(tmp_path)
    prepare(raw, tmp_path / "out", hierarchy=tree)
    np.testing.assert_array_equal(named(tmp_path / "out"), expected("dog", "cat", "lamp", "bg"))
    tree = Hierarchy.from_mapping(["dog", "cat", "lamp"], ["dog", "cat", "lamp"])
    assert "leaves pixels without a class" in fault(raw, tmp_path / "other", hierarchy=tree)
    tree = Hierarchy.from_mapping(["dog", "cat"], ["bg", "dog", "cat"])
    message = fault(raw, tmp_path / "other", hierarchy=tree)
    assert "'lamp' is annotated, and the tree has no class and no group of this name" in message


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"segmentation": [[1, 2, 3]]}, "annotation 90 of '0.jpg': it has 3 numbers"),
        ({"segmentation": [[1, 2, "3", 4]]}, "its points are not all numbers"),
        ({"segmentation": [[1, 2, 3, 1e300]]}, "a point lies nowhere near a picture"),
        ({"segmentation": {"size": [12, 16], "counts": [3, 4]}}, "its run lengths sum up to 7"),
        ({"segmentation": {"size": [12, 16], "counts": "!"}}, "its compressed run lengths"),
        ({"segmentation": {"size": [16, 12], "counts": [192]}}, "are of the size [16, 12]"),
        ({"segmentation": "x"}, "its segmentation is 'x'"),
        ({"segmentation": [], "bbox": [1, 2]}, "holds boxes alone"),
        ({"image_id": 5}, "annotations[0]: there is no image of the id 5"),
        ({"category_id": None}, "annotations[0]: 'category_id' is nothing"),
    ],
)
def test_errors_of_coco_name_file_and_record(tmp_path, record, sentence):
    raw = tmp_path / "raw"
    save_json(raw / "a.json", coco([{"category_id": 1, "segmentation": SQUARE, **record}]))
    save_image(raw / "0.jpg")
    message = fault(raw, tmp_path / "out")
    assert str(raw / "a.json") in message
    assert sentence in message


def test_pictures_of_another_size_or_elsewhere_are_refused(tmp_path):
    raw = make_coco(tmp_path)
    save_image(raw / "val2017/0.jpg", (16, 12))
    assert "annotated as 12 x 16 (height x width), but the picture is 16 x 12" in fault(
        raw, tmp_path / "out"
    )
    (raw / "val2017/0.jpg").unlink()
    message = fault(raw, tmp_path / "out", FileNotFoundError)
    assert f"of this name are in {raw / 'train2017'}, which is called after another" in message
    (raw / "train2017/0.jpg").unlink()
    assert "none of these is in" in fault(raw, tmp_path / "out", FileNotFoundError)


@pytest.mark.parametrize("name", ["0.jpg", "C/mine/0.jpg"])
def test_pictures_lie_in_a_folder_of_any_name_below(tmp_path, name):
    raw, content = tmp_path / "raw", coco([{"category_id": 1, "segmentation": SQUARE}])
    content["images"][0]["file_name"] = name
    for split in ("train", "val"):
        save_json(raw / split / "marks.json", content)
        save_image(raw / split / "JPEGImages/deep" / name)
    prepare(raw, tmp_path / "out")
    for split in ("train", "val"):
        (file,) = (tmp_path / "out" / split / "images").iterdir()
        taken = raw / split / "JPEGImages/deep" / name
        assert file.read_bytes() == taken.read_bytes()
    # Several that no split tells apart are not guessed among.
    alone = tmp_path / "alone"
    save_json(alone / "marks.json", content)
    for folder in ("a", "b", ".hidden", "masks"):
        save_image(alone / folder / name)
    message = fault(alone, tmp_path / "other", FileNotFoundError)
    assert f"it may be {alone / 'a' / name} or {alone / 'b' / name}; take" in message
    shutil.rmtree(alone / "b")
    prepare(alone, tmp_path / "other")


def of_pictures(*names):
    content = coco([{"category_id": 1, "segmentation": SQUARE}], images=len(names))
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    return content


def test_pictures_are_looked_for_by_their_folders_first(tmp_path):
    raw = tmp_path / "raw"
    save_json(raw / "marks.json", of_pictures("raw/a/0.jpg", "raw/a/1.jpg"))
    for name in ("a/0.jpg", "a/1.jpg"):
        save_image(raw / name)
    prepare(raw, tmp_path / "out")  # as a name begins with the data's own folder
    save_json(raw / "marks.json", of_pictures("a/0.jpg", "b/0.jpg"))
    (raw / "a").rename(raw / "shots")
    for name in ("a/0.jpg", "b/0.jpg"):
        save_image(raw / "deep/shots" / name)
    prepared = prepare(raw, tmp_path / "other")
    names = {file.name for file in prepared.spec.root.glob("*/images/*")}
    assert names == {"a__0.jpg", "b__0.jpg"}


def test_pictures_lie_in_several_folders_which_tell_their_splits(tmp_path):
    raw = tmp_path / "raw"
    save_json(raw / "all.json", of_pictures("0.jpg", "1.jpg", "2.jpg"))
    for i, folder in enumerate(("train_shots", "more/train", "val_shots")):
        save_image(raw / "data" / folder / f"{i}.jpg")
    prepared = prepare(raw, tmp_path / "out")
    splits = {file.parts[-3:] for file in prepared.spec.root.glob("*/images/*")}
    assert splits == {(s, "images", f"{i}.jpg") for i, s in enumerate(("train", "train", "val"))}
    save_image(raw / "data/train_shots/2.jpg")
    message = fault(raw, tmp_path / "other", FileNotFoundError)
    assert "all.json names the picture '2.jpg', and it may be " in message


def test_a_folder_that_holds_all_pictures_is_taken_and_no_copies_of_some(tmp_path):
    raw = tmp_path / "raw"
    save_json(raw / "all.json", of_pictures("0.jpg", "1.jpg"))
    for place in ("a/0.jpg", "b/0.jpg", "b/1.jpg"):
        save_image(raw / "data" / place)
    prepared = prepare(raw, tmp_path / "out", val_share=0)
    for name in ("0.jpg", "1.jpg"):
        copy = prepared.spec.root / "train/images" / name
        assert copy.read_bytes() == (raw / "data/b" / name).read_bytes()


def test_a_folder_is_found_however_late_its_pictures_are_named(tmp_path):
    raw = tmp_path / "raw"
    names = [f"{i}.jpg" for i in range(150)]
    save_json(raw / "all.json", of_pictures(*names))
    for i, name in enumerate(names):
        save_image(raw / "data" / ("first" if i < 149 else "last") / name)
    assert prepare(raw, tmp_path / "out", val_share=0).written == 300


def test_a_stray_picture_is_taken_for_none_of_the_others(tmp_path):
    raw = tmp_path / "raw"
    for split in ("train", "val"):
        save_json(raw / f"annotations/instances_{split}.json", of_pictures("0.jpg", "1.jpg"))
        for name in ("0.jpg", "1.jpg"):
            save_image(raw / "images" / split / name)
    save_image(raw / "images/0.jpg")
    prepared = prepare(raw, tmp_path / "out")
    for split in ("train", "val"):
        copy = prepared.spec.root / split / "images/0.jpg"
        assert copy.read_bytes() == (raw / "images" / split / "0.jpg").read_bytes()
    # A whole path is meant before its last part is.
    other = tmp_path / "other"
    save_json(other / "all.json", of_pictures("a/0.jpg", "b/0.jpg"))
    for place in ("images/0.jpg", "data/a/0.jpg", "data/b/0.jpg"):
        save_image(other / place)
    prepared = prepare(other, tmp_path / "last", val_share=0)
    copy = prepared.spec.root / "train/images/b__0.jpg"
    assert copy.read_bytes() == (other / "data/b/0.jpg").read_bytes()


def test_what_is_not_in_the_usual_folder_is_looked_for_below(tmp_path):
    raw = tmp_path / "raw"
    save_json(raw / "all.json", of_pictures("0.jpg", "1.jpg"))
    for place in ("images/0.jpg", "images/more/1.jpg"):
        save_image(raw / place)
    assert prepare(raw, tmp_path / "out", val_share=0).written == 4
    (raw / "images/more/1.jpg").unlink()
    assert f"{raw / 'images/1.jpg'} is missing" in fault(raw, tmp_path / "other")
    save_json(raw / "all.json", of_pictures("a/0.jpg", "b/1.jpg"))
    save_image(raw / "images/a/0.jpg")
    assert f"{raw / 'images/b/1.jpg'} is missing" in fault(raw, tmp_path / "other")


def test_paths_tell_the_splits_of_a_file_that_is_called_after_none(tmp_path):
    raw = tmp_path / "raw"
    for name, own in (("instances_default", "val"), ("instances_train", "train")):
        save_json(raw / "annotations" / f"{name}.json", of_pictures("train/0.jpg", "val/1.jpg"))
        for place in ("train/0.jpg", "val/1.jpg"):
            save_image(raw / "images" / place)
        prepared = prepare(raw, tmp_path / name, val_share=0)
        assert (prepared.spec.root / own / "images/val__1.jpg").is_file()
        (raw / "annotations" / f"{name}.json").unlink()


def test_pictures_of_another_split_are_not_taken(tmp_path):
    raw = tmp_path / "raw"
    save_json(raw / "train.json", of_pictures("0.jpg"))
    save_image(raw / "test_rig/photos/0.jpg")
    message = fault(raw, tmp_path / "out", FileNotFoundError)
    assert f"are in {raw / 'test_rig/photos'}, which is called after another split" in message

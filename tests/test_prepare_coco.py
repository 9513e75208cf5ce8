"""What COCO's files may hold that tools or hands have made: nothing is lost or renamed unsaid."""

import json
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from hierseg_jax import Hierarchy
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from tests.annotated_data import SMALL, SQUARE, coco, named, save_image, save_json
from tests.raw_data import fault


def make(root, document, names=("0.jpg",)):
    raw = root / "raw"
    save_json(raw / "a.json", document)
    for name in names:
        save_image(raw / name)
    return raw


def labels(root, raw, **options):
    done = prepare(raw, root / "out", val_share=0, **options)
    spec = done.spec
    source = FolderSource(spec.layout("train"), spec.hierarchy.num_classes, spec.values)
    return done, {spec.hierarchy.labels.names[v] for v in source[0]["label"].ravel()}


def two_categories(*records):
    document = coco(
        [{"category_id": 1, "segmentation": SQUARE}, {"category_id": 3, "segmentation": SMALL}]
    )
    document["categories"] = list(records)
    return document


def test_two_categories_of_one_id_are_refused(tmp_path):
    raw = make(tmp_path, two_categories({"id": 1, "name": "a"}, {"id": 1, "name": "b"}))
    assert "categories[1]: 'b' has the id 1 of 'a'" in fault(raw, tmp_path / "out")


def test_categories_of_one_name_are_one_class_only_within_a_group(tmp_path):
    records = {"id": 1, "name": "a", "supercategory": "x"}, {"id": 3, "name": "a"}
    done, seen = labels(tmp_path, make(tmp_path, two_categories(*records)))
    assert seen == {"background", "a"}
    assert "categories of one name are one class: a." in str(done.notes)
    records[1]["supercategory"] = "y"
    raw = make(tmp_path / "other", two_categories(*records))
    assert "'a' is below 'x' and below 'y'; rename one" in fault(raw, tmp_path / "refused")
    tree = Hierarchy.from_mapping({"x": ["a"], "y": ["b"]}, ["background", "a", "b"])
    assert labels(tmp_path / "other", raw, hierarchy=tree)[1] == {"background", "a"}


def test_a_category_called_background_is_it_in_capital_letters_too(tmp_path):
    records = {"id": 1, "name": "cat"}, {"id": 3, "name": "Background"}
    done, seen = labels(tmp_path, make(tmp_path, two_categories(*records)))
    assert done.spec.hierarchy.class_names == ("background", "cat")
    assert seen == {"background", "cat"}


def test_paths_of_windows_are_read_and_none_leaves_the_folder(tmp_path):
    document = two_categories({"id": 1, "name": "a"}, {"id": 3, "name": "b"})
    document["images"][0]["file_name"] = "x\\0.jpg"
    assert labels(tmp_path, make(tmp_path, document, ("x/0.jpg",)))[1] == {"background", "a", "b"}
    for number, elsewhere in enumerate(("..\\0.jpg", "/upload/1/0.jpg", "C:\\me\\0.jpg")):
        document["images"][0]["file_name"] = elsewhere
        raw = make(tmp_path / f"other{number}", document)
        save_image(tmp_path / f"other{number}/0.jpg", (9, 9))  # not the one above
        assert labels(tmp_path / str(number), raw)[1] == {"background", "a", "b"}
    document["images"][0]["file_name"] = "a/.."
    raw = make(tmp_path / "other", document)
    assert "expected a path within the pictures' folder" in fault(raw, tmp_path / "refused")
    document["images"][0]["file_name"] = "gone.jpg"
    raw = make(tmp_path / "gone", document)
    message = fault(raw, tmp_path / "refused", FileNotFoundError)
    assert f"'gone.jpg', and none of these is in {raw} or a folder below it; give" in message


def test_a_picture_that_is_listed_twice_is_called_so(tmp_path):
    document = coco([{"category_id": 1, "segmentation": SQUARE}], images=2)
    document["images"][1]["file_name"] = "0.jpg"
    assert "0.jpg twice; take one away" in fault(make(tmp_path, document), tmp_path / "out")


def test_other_json_files_are_passed_over_and_named(tmp_path):
    raw = make(tmp_path, coco([{"category_id": 1, "segmentation": SQUARE}]))
    save_json(raw / "info.json", {"version": 3})
    done, _ = labels(tmp_path, raw)
    assert f"{raw}/info.json: it is not COCO's, and passed over." in done.notes
    save_json(raw / "info.json", {"images": []})
    assert "info.json has no list 'categories'" in fault(raw, tmp_path / "other")


@pytest.mark.parametrize("labelme", [False, True])
def test_annotations_of_a_picture_as_it_is_stored_say_what_to_do(tmp_path, labelme):
    document = coco([{"category_id": 1, "segmentation": SQUARE}])
    if labelme:
        document = {"shapes": [], "imagePath": "0.jpg", "imageHeight": 12, "imageWidth": 16}
        document["shapes"] = [{"label": "a", "points": [[1, 1], [5, 1], [5, 5]]}]
    raw = make(tmp_path, json.loads(json.dumps(document)))
    with Image.open(raw / "0.jpg") as image:
        exif = image.getexif()
        exif[274] = 6
        image.save(raw / "0.jpg", exif=exif)
    message = fault(raw, tmp_path / "out")
    assert "16 x 12 (EXIF orientation applied)" in message
    assert (
        "take the orientation out of the picture's file: `exiftool -Orientation=1 -n FILE`"
        in message
    )


def test_a_category_of_crowds_alone_is_no_class(tmp_path):
    crowd = {"category_id": 3, "segmentation": SMALL, "iscrowd": 1}
    raw = make(tmp_path, coco([{"category_id": 1, "segmentation": SQUARE}, crowd]))
    done, seen = labels(tmp_path, raw)
    assert done.spec.hierarchy.class_names == ("background", "cat")
    assert seen == {"background", "cat"}
    assert "dog, lamp" in done.notes[0]


def test_pictures_without_annotations_and_without_records_are_told_of(tmp_path):
    document = coco([{"category_id": 1, "segmentation": SQUARE}], images=3)
    raw = make(tmp_path, document, ("0.jpg", "1.jpg", "2.jpg", "later.png"))
    notes = "\n".join(prepare(raw, tmp_path / "out", val_share=0).notes)
    bare = "without any annotation, and so all background: 2 pictures, the first 1.jpg."
    assert f"{raw}/a.json: {bare}" in notes
    assert f"left out, for no annotation names them: 1 picture, the first {raw}/later.png." in notes


def test_spaces_around_a_name_are_none_of_it_and_capital_letters_are_told_of(tmp_path):
    raw = make(tmp_path, two_categories({"id": 1, "name": "cat "}, {"id": 3, "name": "Cat"}))
    done, seen = labels(tmp_path, raw)
    assert seen == {"background", "cat", "Cat"}
    sentence = f"{raw}/a.json: cat and Cat are classes of their own; rename them where one is"
    assert sentence in "\n".join(done.notes)
    raw = make(
        tmp_path / "one", two_categories({"id": 1, "name": "cat "}, {"id": 3, "name": "cat"})
    )
    assert labels(tmp_path / "one", raw)[1] == {"background", "cat"}


def test_a_category_without_a_name_is_refused_where_it_occurs(tmp_path):
    raw = make(tmp_path, two_categories({"id": 1, "name": " "}, {"id": 3, "name": "cat"}))
    assert "a.json: a class that occurs in annotations has a blank name" in fault(
        raw, tmp_path / "o"
    )


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_with_accents_meet_however_they_are_composed(tmp_path, forms):
    named, stored = (unicodedata.normalize(form, "Stra\u00dfe \u00e4.jpg") for form in forms)
    document = two_categories({"id": 1, "name": "a"}, {"id": 3, "name": "b"})
    document["images"][0]["file_name"] = named
    assert labels(tmp_path, make(tmp_path, document, (stored,)))[1] == {"background", "a", "b"}


def test_numbers_of_a_data_yaml_that_names_groups_stay_for_later_annotations(tmp_path):
    """Categories of another order; the masks are new, and only data.yaml says what was before."""
    raw = tmp_path / "raw"
    regions = {9: SQUARE, 3: SMALL}
    regions |= {i: [[x, 10, x + 4, 10, x + 4, 12, x, 12]] for i, x in ((1, 0), (5, 12))}
    document = coco([{"category_id": i, "segmentation": at} for i, at in regions.items()])
    document["categories"].append({"id": 9, "name": "animal", "supercategory": "animal"})
    save_json(raw / "a.json", document)
    save_image(raw / "0.jpg")
    before = prepare(raw, tmp_path / "out").spec
    assert before.labels
    drawn = named(tmp_path / "out")
    assert {*np.unique(drawn.astype(str))} == {"background", "animal", "cat", "dog", "lamp"}
    shutil.rmtree(tmp_path / "out/train")
    document["categories"].reverse()
    save_json(raw / "a.json", document)
    after = prepare(raw, tmp_path / "out").spec
    assert after == before
    np.testing.assert_array_equal(named(tmp_path / "out"), drawn)

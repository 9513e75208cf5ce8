"""Annotations of VIA: projects, regions and tables become masks, or end in a sentence."""

import csv
import json

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import save_image
from tests.raw_data import fault

SIZE = (12, 16)
SQUARE = {"name": "rect", "x": 2, "y": 3, "width": 5, "height": 4}
TRIANGLE = {"name": "polygon", "all_points_x": [8, 16, 16], "all_points_y": [0, 0, 8]}


def entry(name, *regions):
    """A picture's, of (shape, attributes)."""
    both = [{"shape_attributes": shape, "region_attributes": given} for shape, given in regions]
    return {f"{name}99": {"filename": name, "size": 99, "regions": both, "file_attributes": {}}}


ENTRIES = {
    **entry("a.png", (SQUARE, {"part": "leaf"}), (TRIANGLE, {"part": "stem", "note": "torn"})),
    **entry("b.png", (SQUARE, {"part": {"stem": True, "leaf": False}})),
    **entry("c.png"),
}


def make_via(root, content=ENTRIES, name="via_region_data.json"):
    for picture in ("a.png", "b.png", "c.png"):
        save_image(root / picture, size=SIZE)
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def mask_of(out, name):
    (file,) = out.glob(f"*/masks/{name}.png")
    return cv2.imread(str(file), cv2.IMREAD_UNCHANGED)


def table(entries):
    rows = [
        {
            "filename": of["filename"],
            "file_size": 99,
            "file_attributes": "{}",
            "region_count": len(of["regions"]),
            "region_id": number,
            "region_shape_attributes": json.dumps(region["shape_attributes"]),
            "region_attributes": json.dumps(region["region_attributes"]),
        }
        for of in entries.values()
        for number, region in enumerate(
            of["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
        )
    ]
    return rows


@pytest.mark.parametrize("kind", ["regions", "project", "version 1", "table"])
def test_regions_are_drawn_however_they_are_exported(tmp_path, kind):
    raw, out = tmp_path / "raw", tmp_path / "out"
    content, name = ENTRIES, "via_region_data.json"
    if kind == "project":
        content = {"_via_settings": {"ui": {}}, "_via_img_metadata": ENTRIES}
    elif kind == "version 1":
        content = {
            key: of | {"regions": {str(i): region for i, region in enumerate(of["regions"])}}
            for key, of in ENTRIES.items()
        }
    elif kind == "table":
        content, name = "", "via.csv"
    make_via(raw, content, name)
    if kind == "table":
        rows = table(ENTRIES)
        with (raw / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    assert find_format(raw) == "via"
    prepared = prepare(raw, out)
    assert prepared.spec.hierarchy.class_names == ("background", "leaf", "stem")
    if kind != "table":  # which names no picture without a region
        assert f"Left out, for there is no mask: 1 picture, the first {raw / 'c.png'}." in (
            prepared.notes
        )
    told = "Classes are the values of the regions' attribute 'part', not of 'note'. A --hierarchy "
    assert any(note.startswith(told) for note in prepared.notes)
    expected = np.zeros(SIZE, np.uint8)
    expected[3:7, 2:7] = 1
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = columns - 8 >= rows
    np.testing.assert_array_equal(mask_of(out, "a"), np.where(inside, 2, expected))
    np.testing.assert_array_equal(mask_of(out, "b"), expected * 2)


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        ({"name": "circle", "cx": 8, "cy": 6, "r": 4}, np.pi * 16),
        ({"name": "ellipse", "cx": 8, "cy": 6, "rx": 6, "ry": 3}, np.pi * 18),
        ({"name": "ellipse", "cx": 8, "cy": 6, "rx": 5, "ry": 2, "theta": 1.5708}, np.pi * 10),
        ({"name": "point", "cx": 8, "cy": 6}, np.pi * 25),
        ({"name": "polyline", "all_points_x": [0, 16], "all_points_y": [6, 6]}, 160),
    ],
)
def test_every_shape_has_its_area(tmp_path, shape, pixels):
    both = entry("a.png", (shape, {})) | entry("b.png", (SQUARE, {}))
    prepare(make_via(tmp_path / "raw", both), tmp_path / "out")
    mask_hw = mask_of(tmp_path / "out", "a")
    assert abs(mask_hw.sum() - pixels) < 6
    rows, columns = np.nonzero(mask_hw)
    np.testing.assert_allclose((rows.mean() + 0.5, columns.mean() + 0.5), (6, 8), atol=0.5)


def test_regions_of_no_class_are_the_only_one_or_ignored(tmp_path):
    alone = entry("a.png", (SQUARE, {})) | entry("b.png", (TRIANGLE, {"kind": ""}))
    prepared = prepare(make_via(tmp_path / "alone", alone), tmp_path / "a")
    assert prepared.spec.hierarchy.class_names == ("background", "object")
    one = entry("a.png", (SQUARE, {})) | entry("b.png", (TRIANGLE, {"kind": "leaf"}))
    prepared = prepare(make_via(tmp_path / "one", one), tmp_path / "b")
    assert prepared.spec.hierarchy.class_names == ("background", "leaf")
    assert "1 region without 'kind' are leaf, as all others." in prepared.notes
    several = one | entry("c.png", (SQUARE, {"kind": "stem"}))
    prepared = prepare(make_via(tmp_path / "several", several), tmp_path / "c")
    assert "1 region without 'kind' are ignored." in prepared.notes
    assert set(np.unique(mask_of(tmp_path / "c", "a"))) == {0, 255}


def test_two_files_may_say_the_same_of_a_picture(tmp_path):
    raw = make_via(tmp_path / "raw")
    project = {"_via_settings": {}, "_via_img_metadata": ENTRIES}
    (raw / "project.json").write_text(json.dumps(project))
    assert len(list(prepare(raw, tmp_path / "out").spec.splits)) == 2
    other = entry("a.png", (TRIANGLE, {"part": "leaf"}))
    (raw / "other.json").write_text(json.dumps(other))
    assert "annotate" in fault(raw, tmp_path / "b")
    assert "in two ways" in fault(raw, tmp_path / "b")


def test_pictures_and_splits_are_found_in_folders(tmp_path):
    raw = tmp_path / "raw"
    for split in ("train", "val"):
        make_via(raw / split)
    (raw / "val/images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (raw / "val" / name).rename(raw / "val/images" / name)
    prepared = prepare(raw, tmp_path / "out")
    assert {s: of["images"] for s, of in prepared.summary["splits"].items()} == {
        "train": 2,
        "val": 2,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('["shape_attributes"]', "expected VIA's pictures by name"),
        ({"a": {"regions": [], "shape_attributes": 1}}, "'filename' is nothing; expected text"),
        (entry("a.png", (SQUARE | {"name": "star"}, {})), "('star'): the shape is unknown"),
        (entry("a.png", (SQUARE | {"x": None}, {})), "('rect'): 'x' is nothing; expected a num"),
        (entry("a.png", (SQUARE | {"x": True}, {})), "('rect'): 'x' is True; expected a number"),
        (entry("a.png", (TRIANGLE | {"all_points_x": [1]}, {})), "it has 1 x and 3 y"),
        (entry("a.png", (TRIANGLE | {"all_points_x": 5}, {})), "'all_points_x' is 5; expected"),
        ({"a": {"filename": "a.png", "regions": 5, "shape_attributes": 1}}, "'regions' is 5; exp"),
        ({"a": {"filename": "a.png", "regions": ["shape_attributes"]}}, "expected a shape and its"),
        (entry("gone.png", (SQUARE, {})), "gone.png is missing"),
    ],
)
def test_mistakes_name_the_file_and_the_region(tmp_path, content, said):
    raw = make_via(tmp_path / "raw", content)
    message = fault(raw, tmp_path / "out", source="via")
    assert said in message
    assert "via_region_data.json" in message


@pytest.mark.parametrize(
    ("attributes", "classes"),
    [
        ([{"label": "cat", "id": str(n)} for n in range(6)], ["cat"]),
        ([{"color": "red", "label": name} for name in ("cat", "dog", "cat")], ["cat", "dog"]),
        ([{"label": name, "occluded": "no"} for name in ("cat", "dog", "")], ["cat", "dog"]),
        ([{"kind": "cat"}, {"kind": "dog"}, {"kind": "dog", "name": "Rex"}], ["cat", "dog"]),
        ([{"class": 1}, {"class": 2.0}, {"class": 2}], ["1", "2"]),
        ([{"class": ["cat"]}, {"class": {"dog": True, "cat": False}}], ["cat", "dog"]),
        ([{"class": {"dog": True, "cat": True}}, {"class": "cat"}, {"class": "cat"}], ["cat"]),
    ],
)
def test_the_attribute_of_classes_is_chosen_by_what_it_is_called_and_holds(
    tmp_path, attributes, classes
):
    half = len(attributes) // 2
    content = entry("a.png", *((SQUARE, of) for of in attributes[:half]))
    content |= entry("b.png", *((SQUARE, of) for of in attributes[half:]))
    prepared = prepare(make_via(tmp_path / "raw", content), tmp_path / "out")
    assert prepared.spec.hierarchy.class_names == ("background", *classes)


def test_a_tree_takes_the_attribute_that_has_its_names(tmp_path):
    both = [{"label": "cat", "color": color} for color in ("red", "blue")]
    content = entry("a.png", (SQUARE, both[0])) | entry("b.png", (SQUARE, both[1]))
    tree = Hierarchy.from_mapping(["red", "blue"], ["background", "red", "blue"])
    prepare(make_via(tmp_path / "raw", content), tmp_path / "out", hierarchy=tree)
    assert mask_of(tmp_path / "out", "a").max() == 1
    assert mask_of(tmp_path / "out", "b").max() == 2


def test_several_values_at_once_are_ignored_and_a_region_without_a_shape_is_none(tmp_path):
    several = {"class": {"dog": True, "cat": True}}
    content = entry("a.png", (SQUARE, several), ({}, {"class": "cat"}), (TRIANGLE, {"class": "x"}))
    content |= entry("b.png", (SQUARE, {"class": "x"}))
    prepared = prepare(make_via(tmp_path / "raw", content), tmp_path / "out")
    assert set(np.unique(mask_of(tmp_path / "out", "a"))) == {0, 1, 255}
    assert "1 region with several values of 'class' are ignored." in prepared.notes


def test_pictures_of_one_name_in_two_folders_are_told_by_their_size_or_refused(tmp_path):
    raw = tmp_path / "raw"
    for camera, side in (("cam1", 12), ("cam2", 14)):
        save_image(raw / camera / "a.png", size=(side, 16))
    sizes = [(raw / camera / "a.png").stat().st_size for camera in ("cam1", "cam2")]
    content = {
        f"a.png{size}": {"filename": "a.png", "size": size, "regions": regions}
        for size, label in zip(sizes, ("cat", "dog"), strict=True)
        for regions in [[{"shape_attributes": SQUARE, "region_attributes": {"class": label}}]]
    }
    (raw / "via.json").write_text(json.dumps(content))
    prepare(raw, tmp_path / "out")
    assert [mask_of(tmp_path / "out", f"cam{i}__a").max() for i in (1, 2)] == [1, 2]
    unknown = {key: of | {"size": -1} for key, of in content.items()}
    (raw / "via.json").write_text(json.dumps(unknown))
    assert "may be" in (message := fault(raw, tmp_path / "b"))
    assert "give the pictures names of their own" in message
    (raw / "cam2/a.png").unlink()
    assert "are both of" in fault(raw, tmp_path / "b")


def test_a_region_that_can_t_be_drawn_is_named_with_its_picture(tmp_path):
    far = TRIANGLE | {"all_points_x": ["8", "9", "9e9"]}
    raw = make_via(tmp_path / "raw", entry("b.png", (far, {})))
    message = fault(raw, tmp_path / "out")
    assert "'b.png99': regions[0] ('polygon'): 'all_points_x' is '9e9'; expected a num" in message


@pytest.mark.parametrize("name", [".", "..", "a/..", "\ud800.png", "a\nb.png"])
def test_names_of_no_file_are_refused(tmp_path, name):
    raw = make_via(tmp_path / "raw", entry(name, (SQUARE, {})))
    assert "'filename' is" in fault(raw, tmp_path / "out")


def test_a_polygon_of_many_points_fits_in_a_table(tmp_path):
    many = [float(n % 13) + 0.123456789 for n in range(20000)]
    shape = {"name": "polygon", "all_points_x": many, "all_points_y": many[::-1]}
    rows = table(entry("a.png", (shape, {})) | entry("b.png", (SQUARE, {})))
    raw = make_via(tmp_path / "raw", "", "via.csv")
    with (raw / "via.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    before = csv.field_size_limit()
    prepare(raw, tmp_path / "out")
    assert csv.field_size_limit() == before

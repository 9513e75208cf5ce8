"""CVAT's XML and Supervisely's JSON: every shape where its tool has it, or a sentence."""

import base64
import zlib

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from tests.annotated_data import SIZE, save_image, save_json
from tests.raw_data import fault

LABELS = "<meta><job><labels>{}</labels></job></meta>".format(
    "".join(f"<label><name>{name}</name></label>" for name in ("leaf", "stem", "bird"))
)


def make_cvat(root, *shapes, images=None, meta=LABELS, places=("images/a.png",)):
    raw = root / "raw"
    body = images or f'<image id="0" name="a.png" width="16" height="12">{"".join(shapes)}</image>'
    raw.mkdir(parents=True, exist_ok=True)
    whole = (
        f"<?xml version='1.0'?>\n<annotations>\n<version>1.1</version>{meta}{body}</annotations>"
    )
    (raw / "annotations.xml").write_text(whole)
    for place in places:
        save_image(raw / place)
    return raw


def make_supervisely(root, *objects, name="a.png", dataset="ds", size=SIZE):
    raw = root / "raw"
    save_image(raw / dataset / "img" / name)
    content = {"size": {"height": size[0], "width": size[1]}, "objects": list(objects)}
    save_json(raw / dataset / "ann" / f"{name}.json", content)
    save_json(raw / "meta.json", {"classes": [{"title": n} for n in ("leaf", "stem", "bird")]})
    return raw


def labels_of(raw, out, **options):
    spec = prepare(raw, out, val_share=0, **options).spec
    (example,) = FolderSource(spec.layout("train"), spec.hierarchy.num_classes, spec.values)
    names = np.array(spec.hierarchy.labels.names)
    return names[example["label"]]


def images_in(folder):
    return {file.relative_to(folder).as_posix() for file in folder.glob("*/images/*")}


def filled(rows, columns, name="leaf"):
    expected_hw = np.full(SIZE, "background", object)
    expected_hw[rows, columns] = name
    return expected_hw


def cvat(tag, label="leaf", **attributes):
    told = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return (
        f'<{tag} label="{label}" source="manual" {told}><attribute name="x">1</attribute></{tag}>'
    )


def supervisely(kind, label="leaf", **more):
    return {"classTitle": label, "geometryType": kind, "id": 1, **more}


def outline(exterior, *interior):
    return {"points": {"exterior": exterior, "interior": list(interior)}}


def bitmap(inside_hw, origin, alpha=False):
    stored = np.uint8(inside_hw) * 255
    if alpha:  # white everywhere, and the object in the alpha
        stored = np.dstack([np.full((*stored.shape, 3), 255, np.uint8), stored])
    data = zlib.compress(cv2.imencode(".png", stored)[1].tobytes())
    return {"bitmap": {"origin": origin, "data": base64.b64encode(data).decode()}}


def inside(distance):
    """What a function of x and y, from the middle of the picture, is at the pixels' centres."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return distance(columns - 8, rows - 6) * np.ones(SIZE)


def along(x, y):
    return x * np.cos(np.pi / 6) + y * np.sin(np.pi / 6)


def across(x, y):
    return y * np.cos(np.pi / 6) - x * np.sin(np.pi / 6)


CORNER = np.array([[1, 1, 1], [1, 0, 0]], bool)


@pytest.mark.parametrize(
    ("shape", "expected_hw"),
    [
        (cvat("polygon", points="2.00,3.00;7.00,3.00;7.00,9.00;2.00,9.00", z_order="0"), None),
        (cvat("box", xtl="2.0", ytl="3.0", xbr="7.0", ybr="9.0", z_order="0"), None),
        (cvat("box", xtl="1.5", ytl="3.5", xbr="7.5", ybr="8.5", rotation="90"), None),
        (cvat("mask", rle="0, 30", left="2", top="3", width="5", height="6"), None),
        (cvat("mask", rle="0,3,1,2", left="2", top="3", width="3", height="2"), CORNER[:, ::-1]),
        (cvat("ellipse", cx=8, cy=6, rx=6, ry=2), inside(lambda x, y: (x / 6) ** 2 + (y / 2) ** 2)),
        (
            cvat("ellipse", cx=8, cy=6, rx=6, ry=2, rotation=30),
            inside(lambda x, y: (along(x, y) / 6) ** 2 + (across(x, y) / 2) ** 2),
        ),
        (
            cvat("box", xtl=3, ytl=4, xbr=13, ybr=8, rotation=30),
            inside(lambda x, y: np.maximum(abs(along(x, y)) / 5, abs(across(x, y)) / 2)),
        ),
        # As labelme has them: 10 pixels wide, and discs of a radius of 5.
        (cvat("polyline", points="-9,6;8,6"), inside(lambda x, y: np.where(x < 0, abs(y) / 5, 2))),
        (cvat("points", points="8,6"), inside(lambda x, y: np.hypot(x, y) / 5)),
    ],
)
def test_shapes_of_cvat_are_where_they_were_drawn(tmp_path, shape, expected_hw):
    raw = make_cvat(tmp_path, shape, cvat("tag"))
    if shape.startswith("<box"):  # these alone may be of something else
        assert "has boxes alone" in fault(raw, tmp_path / "out")
    else:
        assert find_format(raw) == "cvat"
    drawn_hw = labels_of(raw, tmp_path / "out", source="cvat")
    if expected_hw is None:
        np.testing.assert_array_equal(drawn_hw, filled(slice(3, 9), slice(2, 7)))
    elif expected_hw.shape == SIZE:
        # An ellipse is of 64 corners: pixels at its very rim may be on either side.
        differ = (drawn_hw == "leaf") != (expected_hw < 1)
        assert not differ[abs(expected_hw - 1) > 0.02].any()
        assert (drawn_hw == "leaf").sum() > 20
    else:
        np.testing.assert_array_equal(drawn_hw[3:5, 2:5] == "leaf", [[1, 1, 1], [0, 1, 1]])


def test_what_lies_higher_in_cvat_lies_on_top(tmp_path):
    low = cvat("box", "stem", xtl=0, ytl=0, xbr=16, ybr=12, z_order=1)
    high = cvat("box", "leaf", xtl=2, ytl=3, xbr=7, ybr=9, z_order=2)
    for i, shapes in enumerate(((high, low), (low, high))):
        drawn_hw = labels_of(make_cvat(tmp_path, *shapes), tmp_path / f"{i}", source="cvat")
        expected_hw = np.full(SIZE, "stem", object)
        expected_hw[3:9, 2:7] = "leaf"
        np.testing.assert_array_equal(drawn_hw, expected_hw)
    raw = make_cvat(tmp_path, low.replace('"1"', '"3"'), high)
    assert {*labels_of(raw, tmp_path / "low", source="cvat").flat} == {"stem"}
    assert {*labels_of(raw, tmp_path / "small", source="cvat", order="area").flat} == {
        "stem",
        "leaf",
    }


def test_cvat_tells_splits_by_its_subsets_and_leaves_out_what_nobody_annotated(tmp_path):
    box = cvat("box", xtl=2, ytl=3, xbr=7, ybr=9)
    pictures = {"x/a.png": ("Train", box), "x/b.png": ("Validation", box), "c.png": ("Train", "")}
    images = "".join(
        f'<image id="0" name="{name}" subset="{subset}" width="16" height="12">{of}</image>'
        for name, (subset, of) in pictures.items()
    )
    skeleton = '<image id="9" name="c.png" width="16" height="12"><skeleton label="bird"/></image>'
    places = [f"data/{name}" for name in pictures]
    # A path of Windows.
    images = images.replace("x/b.png", "x\\b.png")
    raw = make_cvat(tmp_path, images=images + skeleton, places=places)
    done = prepare(raw, tmp_path / "out", source="cvat")
    found = {
        file.relative_to(tmp_path / "out").as_posix() for file in done.spec.root.glob("*/i*/*")
    }
    assert found == {"train/images/x__a.png", "val/images/x__b.png"}
    assert "left out, for they are not read: skeleton." in str(done.notes)
    assert "Left out, for there is no mask: 2 pictures, the first" in str(done.notes)


def test_pictures_of_cvat_s_subsets_are_told_apart_by_their_folders(tmp_path):
    boxes = {
        "Train": cvat("box", xtl=2, ytl=3, xbr=7, ybr=9),
        "Test": cvat("mask", rle="0,192", left=0, top=0, width=16, height=12),
    }
    images = "".join(
        f'<image id="{i}" name="{i}.png" subset="{subset}" width="16" height="12">{of}</image>'
        for subset, of in boxes.items()
        for i in range(2 if subset == "Train" else 1)
    )
    # Of a subset that nobody has annotated the pictures may be elsewhere.
    images += '<image id="9" name="later.png" subset="Later" width="16" height="12"></image>'
    raw = make_cvat(tmp_path, images=images, places=["images/Train/0.png", "images/Train/1.png"])
    save_image(raw / "images/Test/0.png", (12, 16))
    (raw / "images/Test/0.png").write_bytes((raw / "images/Test/0.png").read_bytes() + b"its own")
    out = tmp_path / "out"
    prepare(raw, out, val_share=0)
    assert (out / "test/images/0.png").read_bytes() == (raw / "images/Test/0.png").read_bytes()
    assert cv2.imread(str(out / "test/masks/0.png"), cv2.IMREAD_UNCHANGED).min() == 1
    assert images_in(out) == {"train/images/0.png", "train/images/1.png", "test/images/0.png"}


def test_tasks_of_cvat_and_frames_without_a_suffix_are_found(tmp_path):
    for task in ("task_1", "task_2"):
        image = '<image id="0" name="frame_000000" width="16" height="12">'
        image += cvat("box", xtl=2, ytl=3, xbr=7, ybr=9) + "</image>"
        raw = make_cvat(tmp_path / task, images=image, places=["images/frame_000000.PNG"])
        raw.rename(tmp_path / f"raw_{task}")
    folder = tmp_path / "raw"
    folder.mkdir()
    for task in ("task_1", "task_2"):
        (tmp_path / f"raw_{task}").rename(folder / task)
    prepare(folder, tmp_path / "out", val_share=0, source="cvat")
    names = {f"train/images/task_{i}__frame_000000.PNG" for i in (1, 2)}
    assert images_in(tmp_path / "out") == names


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        (cvat("polygon", points="2,3;x,4"), "'a.png': shape 1 (polygon): 'x' is 'x'; expected"),
        (cvat("mask", rle="0,3,x", left=0, top=0, width=3, height=2), "its run lengths are"),
        (cvat("mask", rle="0,3", left=0, top=0, width=3, height=2), "sum up to 3; those of a mask"),
        (cvat("box", xtl="1"), "'ytl' is nothing; expected a number"),
        (cvat("box", "", xtl=1, ytl=1, xbr=2, ybr=2), "shape 1 (box) has no label"),
        ("<box", "annotations.xml is no XML: "),
        ("<!DOCTYPE a>", "defines entities, which CVAT's files don't"),
    ],
)
def test_what_is_wrong_in_a_file_of_cvat_is_told(tmp_path, shape, sentence):
    raw = make_cvat(tmp_path, shape)
    message = fault(raw, tmp_path / "out", source="cvat")
    assert str(raw / "annotations.xml") in message
    assert sentence in message


def test_a_file_of_cvat_without_a_shape_is_told(tmp_path):
    raw = make_cvat(tmp_path)
    assert f"{raw / 'annotations.xml'} holds no shape" in fault(
        raw, tmp_path / "out", source="cvat"
    )


def test_cvat_s_videos_are_refused_with_what_to_export(tmp_path):
    raw = make_cvat(tmp_path, images='<track id="0" label="leaf"></track>')
    assert "export `CVAT for images 1.1` there" in fault(raw, tmp_path / "out", source="cvat")


@pytest.mark.parametrize(
    "shape",
    [
        supervisely("polygon", **outline([[2, 3], [6, 3], [6, 8], [2, 8]])),
        supervisely("rectangle", **outline([[6, 8], [2, 3]])),  # both its pixels are its own
        supervisely("bitmap", **bitmap(np.ones((6, 5)), [2, 3])),
        supervisely("bitmap", **bitmap(np.ones((6, 5)), [2, 3], alpha=True)),
    ],
)
def test_objects_of_supervisely_are_where_they_were_drawn(tmp_path, shape):
    raw = make_supervisely(tmp_path, shape)
    assert find_format(raw) == "supervisely"
    drawn_hw = labels_of(raw, tmp_path / "out")
    np.testing.assert_array_equal(drawn_hw, filled(slice(3, 9), slice(2, 7)))


def test_lines_points_and_older_objects_of_supervisely_are_read_and_others_are_told(tmp_path):
    line = supervisely("line", **outline([[-9, 6], [8, 6]]))
    older = outline([[9, 0], [15, 0], [15, 11], [9, 11]]) | {"classTitle": "stem"}
    raw = make_supervisely(tmp_path, line, older, supervisely("cuboid"), supervisely("graph"))
    drawn_hw = labels_of(raw, tmp_path / "out")
    expected_hw = filled(slice(1, 11), slice(0, 8))
    expected_hw[:, 9:] = "stem"
    np.testing.assert_array_equal(drawn_hw, expected_hw)
    notes = str(prepare(raw, tmp_path / "again", val_share=0).notes)
    assert "left out, for they are not read: 'cuboid', 'graph'." in notes
    raw = make_supervisely(tmp_path / "point", supervisely("point", **outline([[8, 6]])))
    drawn_hw = labels_of(raw, tmp_path / "of_point") == "leaf"
    np.testing.assert_array_equal(drawn_hw, inside(lambda x, y: np.hypot(x, y) / 5) <= 1)
    raw = make_supervisely(tmp_path / "none", supervisely("cuboid"))
    assert "holds no object that has an area" in fault(raw, tmp_path / "of_none")


def test_a_later_object_of_supervisely_lies_on_top_unless_the_smaller_is_to(tmp_path):
    small = supervisely("rectangle", **outline([[2, 3], [6, 8]]))
    large = supervisely("rectangle", "stem", **outline([[0, 0], [15, 11]]))
    raw = make_supervisely(tmp_path, small, large)
    assert {*labels_of(raw, tmp_path / "out").flat} == {"stem"}
    assert {*labels_of(raw, tmp_path / "small", order="area").flat} == {"stem", "leaf"}


@pytest.mark.parametrize("alpha", [False, True])
def test_bitmaps_and_holes_of_supervisely_leave_out_what_they_leave_out(tmp_path, alpha):
    corner = supervisely("bitmap", "bird", **bitmap(CORNER, [10, 1], alpha))
    ring = outline([[2, 3], [7, 3], [7, 8], [2, 8]], [[3, 4], [6, 4], [6, 7], [3, 7]], [[0, 0]])
    raw = make_supervisely(tmp_path, supervisely("polygon", **ring), corner)
    drawn_hw = labels_of(raw, tmp_path / "out")
    expected_hw = filled(slice(3, 9), slice(2, 8))
    expected_hw[4:8, 3:7] = "background"
    expected_hw[1:3, 10:13][CORNER] = "bird"
    np.testing.assert_array_equal(drawn_hw, expected_hw)


def test_data_sets_of_supervisely_are_splits_and_keep_pictures_of_one_name_apart(tmp_path):
    box = supervisely("rectangle", **outline([[2, 3], [6, 8]]))
    for dataset in ("train", "val"):
        make_supervisely(tmp_path, box, dataset=dataset)
    make_supervisely(tmp_path, dataset="val", name="bare.png")
    done = prepare(tmp_path / "raw", tmp_path / "out")
    found = {
        file.relative_to(tmp_path / "out").as_posix() for file in done.spec.root.glob("*/i*/*")
    }
    assert found == {"train/images/train__a.png", "val/images/val__a.png"}
    assert "Left out, for there is no mask: 1 picture" in str(done.notes)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        (supervisely("polygon", points=[1]), "its points are [1]"),
        (supervisely("rectangle", **outline([[1, 2]])), "a rectangle has 2 points, and it has 1"),
        (supervisely("bitmap"), "its bitmap is nothing"),
        (supervisely("bitmap", bitmap={"origin": [0], "data": ""}), "not of two numbers"),
        (supervisely("bitmap", bitmap={"origin": [0, 0], "data": "AAAA"}), "not compressed as it"),
        (supervisely("bitmap", bitmap={"origin": [0, 0], "data": "!"}), "its bitmap is no base64"),
        ({"geometryType": "polygon"}, "'classTitle' is nothing; expected text"),
    ],
)
def test_what_is_wrong_in_a_file_of_supervisely_is_told(tmp_path, shape, sentence):
    raw = make_supervisely(tmp_path, shape)
    message = fault(raw, tmp_path / "out")
    assert str(raw / "ds/ann/a.png.json") in message
    assert sentence in message


@pytest.mark.parametrize("tool", ["cvat", "supervisely"])
def test_a_picture_of_another_size_than_was_annotated_is_refused(tmp_path, tool):
    if tool == "cvat":
        raw = make_cvat(tmp_path, cvat("box", xtl=2, ytl=3, xbr=7, ybr=9))
    else:
        raw = make_supervisely(tmp_path, supervisely("rectangle", **outline([[2, 3], [6, 8]])))
    (picture,) = raw.rglob("*.png")
    save_image(picture, (16, 12))
    assert "annotates a picture of 12 x 16" in fault(raw, tmp_path / "out", source=tool)

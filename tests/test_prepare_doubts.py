"""What may not be meant as it is read is said, with what to do about it."""

import shutil
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import read_classes
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import SIZE, SQUARE, coco, labelme, save_image, save_json, save_mask
from tests.raw_data import fault


def make(root, masks, suffix=".png"):
    raw = root / "raw"
    for i, mask in enumerate(masks):
        save_image(raw / f"images/{i}.jpg")
        save_mask(raw / f"masks/{i}{suffix}", mask)
    return raw


def objects(count, first=1):
    """As many, a row each, below the background."""
    mask = np.zeros(SIZE, np.uint8)
    mask[1 : 1 + count] = np.arange(first, first + count)[:, None]
    return mask


def test_numbers_of_objects_are_told_with_the_file_that_makes_them_a_class(tmp_path):
    raw = make(tmp_path, [objects(n) for n in (5, 2, 0, 3, 5)])
    (note,) = (note for note in prepare(raw, tmp_path / "out").notes if "counts from 1 on" in note)
    lines = "\n".join(note.split("`")[1::2])
    (tmp_path / "tree.yaml").write_text(lines)
    spec = read_classes(tmp_path / "tree.yaml")
    done = prepare(raw, tmp_path / "other", hierarchy=spec.hierarchy, labels=spec.labels)
    assert done.spec.hierarchy.class_names == ("background", "object")


@pytest.mark.parametrize("counts", [(3, 3, 3, 3), (1, 2, 3), (2, 5, 5), (0, 1, 2, 3)])
def test_classes_that_most_pictures_show_are_no_objects(tmp_path, counts):
    raw = make(tmp_path, [objects(n) for n in counts])
    assert "counts from 1 on" not in str(prepare(raw, tmp_path / "out").notes)
    # Nor where a mask leaves numbers out.
    raw = make(tmp_path / "other", [*(objects(n) for n in range(1, 6)), objects(2, first=4)])
    assert "counts from 1 on" not in str(prepare(raw, tmp_path / "last").notes)


def test_values_of_16_bits_are_black_and_white_or_of_objects(tmp_path):
    two, several = np.zeros(SIZE, np.uint16), np.zeros(SIZE, np.uint16)
    two[:4], several[:4], several[4:6] = 65535, 24_001, 24_002
    message = fault(make(tmp_path / "a", [two]), tmp_path / "out")
    assert "black and white are to be saved with 8" in message
    message = fault(make(tmp_path / "b", [several]), tmp_path / "out")
    assert "holds 0 to 24002" in message
    assert "write the number of the class in their place" in message


def test_many_numbers_of_objects_are_refused_with_what_they_may_be(tmp_path):
    masks = [np.arange(12 * 16).reshape(SIZE).clip(0, n).astype(np.uint8) for n in (60, 70, 80, 90)]
    message = fault(make(tmp_path, masks), tmp_path / "out")
    assert "hold 91 values, as masks do that were interpolated" in message
    assert "Every mask counts from 1 on, to as many as 90." in message
    assert "30: object, and so on to 90}" in message


HEAD = "name,r,g,b\nunlabeled,0,0,0\nbuilding,70,70,70\npaved,128,64,128\n"


@pytest.mark.parametrize(
    ("more", "taken"), [("", True), ("dirt,130,76,0\n", True), ("a,1,2,3\nb,3,2,1\n", False)]
)
def test_a_table_of_colours_names_numbers_that_are_those_of_its_lines(tmp_path, more, taken):
    """Nearly all of them have to be there."""
    raw = make(tmp_path, [objects(2)] * 3)
    table = raw / "class_dict_seg.csv"
    table.write_text(HEAD + more)
    done = prepare(raw, tmp_path / "out")
    told = [note for note in done.notes if note.startswith(f"{table} names colours, and the masks")]
    assert [("lines, the first of which is 0." in note) for note in told] == [taken]
    assert [note.endswith("numbers: it is passed over.") for note in told] == [not taken]
    names = ("unlabeled", "building", "paved", *(["dirt"] if more else []))
    found = done.spec.hierarchy.class_names
    assert found == (names if taken else ("background", "class_1", "class_2"))
    assert not taken or done.spec.labels == ()


def test_a_table_of_colours_is_passed_over_where_numbers_are_beyond_its_lines(tmp_path):
    raw = make(tmp_path, [objects(2), objects(3), objects(4)])
    (raw / "class_dict_seg.csv").write_text(HEAD)
    done = prepare(raw, tmp_path / "out")
    assert "it is passed over." in str(done.notes)
    assert done.spec.hierarchy.class_names[0] == "background"


@pytest.mark.parametrize(
    "last", ["unknown,0,0,0", "background,9,9,9", "forest,9,9,9", "unknown,0,0,0\nwater,0,0,9"]
)
def test_a_table_whose_background_is_not_its_first_line_is_passed_over(tmp_path, last):
    raw = make(tmp_path, [objects(2)] * 3)
    (raw / "class_dict_seg.csv").write_text(f"name,r,g,b\nurban,0,9,0\nwater,0,0,9\n{last}\n")
    done = prepare(raw, tmp_path / "out")
    assert "it is passed over." in str(done.notes)
    assert done.spec.hierarchy.class_names[0] == "background"


def test_a_table_in_which_a_line_stands_twice_numbers_nothing(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    (raw / "class_dict_seg.csv").write_text(f"{HEAD}paved,128,64,128\n")
    assert "it is passed over." in str(prepare(raw, tmp_path / "out").notes)


def test_names_in_the_order_of_a_tree_are_not_those_of_a_table_of_colours(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    (raw / "class_dict_seg.csv").write_text(HEAD)
    tree = Hierarchy.from_mapping(["a", "paved"], ["none", "a", "paved"], ["class"])
    done = prepare(raw, tmp_path / "out", hierarchy=tree)
    assert done.spec.labels == ()
    assert "it is passed over." in str(done.notes)
    names = ["unlabeled", "paved", "building"]
    message = fault(raw, tmp_path / "other", hierarchy=Hierarchy.from_mapping([1, 2], names))
    assert "1 is building, and by `names` it is paved" in message
    same = Hierarchy.from_mapping([1, 2], ["unlabeled", "building", "paved"])
    prepare(raw, tmp_path / "same", hierarchy=same)


def test_colours_of_supervisely_beside_numbers_are_passed_over(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    save_json(raw / "obj_class_to_machine_color.json", {"cat": [255, 0, 0], "dog": [0, 255, 0]})
    done = prepare(raw, tmp_path / "out")
    assert "it is passed over." in str(done.notes)
    assert done.spec.hierarchy.class_names == ("background", "class_1", "class_2")


def test_a_table_of_greys_is_that_of_the_numbers(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    table = raw / "class_dict_seg.csv"
    table.write_text("name,r,g,b\nunlabeled,0,0,0\npaved,2,2,2\ndirt,1,1,1\n")
    done = prepare(raw, tmp_path / "grey")
    assert done.spec.hierarchy.class_names == ("unlabeled", "paved", "dirt")
    assert dict(done.spec.labels)["#010101"] == "dirt"


@pytest.mark.parametrize("known", [True, False])
def test_a_table_of_colours_is_that_of_palettes_that_have_them(tmp_path, known):
    raw = tmp_path / "raw"
    (raw / "gt").mkdir(parents=True)
    for i in range(3):
        save_image(raw / f"pictures/{i}.jpg")
        mask = Image.fromarray(objects(2))
        mask.putpalette([0, 0, 0, 128, 64, 128, 130, 76, 0])
        mask.save(raw / f"gt/{i}.png")
    colours = ("128,64,128", "130,76,0") if known else ("1,2,3", "4,5,6")
    rows = map(",".join, zip(("paved", "dirt"), colours, strict=True))
    (raw / "class_dict.csv").write_text("\n".join(("name,r,g,b", "none,0,0,0", *rows, "")))
    names = ("none", "paved", "dirt") if known else ("background", "class_1", "class_2")
    assert prepare(raw, tmp_path / "out").spec.hierarchy.class_names == names


def test_a_table_of_numbers_names_black_and_white_and_is_no_table_of_colours(tmp_path):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:4] = 255
    raw = make(tmp_path, [mask] * 3)
    (raw / "classes.txt").write_text("background\npolyp\n")
    done = prepare(raw, tmp_path / "out")
    assert done.spec.hierarchy.class_names == ("background", "polyp")
    assert "passed over" not in str(done.notes)
    mask[8:] = 0, 0, 255
    raw = make(tmp_path / "coloured", [mask] * 3)
    (raw / "classes.txt").write_text("background\npolyp\ntool\n")
    assert "is a colour PNG (RGB)" in fault(raw, tmp_path / "of_colours")
    # Beside a table of colours that is the one.
    table = "name,r,g,b\npolyp,255,255,255\ntool,255,0,0\nnone,0,0,0\n"
    (raw / "class_dict_seg.csv").write_text(table)
    done = prepare(raw, tmp_path / "of_both")
    assert done.spec.hierarchy.class_names == ("none", "polyp", "tool")  # black, then as they stand


def test_what_a_stray_value_shows_drops_no_table(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[:4], mask[4, 4] = 200, 7
    raw = make(tmp_path, [mask] * 3)
    (raw / "class_dict.csv").write_text("name,r,g,b\nnone,0,0,0\npaved,200,200,200\n")
    assert "1 colour without a name in `labels`: #070707" in fault(raw, tmp_path / "out")


def test_jpegs_that_show_people_the_masks_are_passed_over(tmp_path):
    greys = np.kron([[0, 90, 160, 250]], np.ones((64, 24))).astype(np.uint8)
    raw = tmp_path / "raw"
    for name in "0123":
        save_image(raw / f"images/{name}.jpg", greys.shape)
        save_mask(raw / f"masks/{name}.jpg", greys)
        save_mask(raw / f"masks/{name}.png", greys)
    (raw / "masks/3.png").unlink()
    done = prepare(raw, tmp_path / "out", val_share=0)
    assert done.written == 6
    assert "Left out, for there is no mask: 1 picture" in str(done.notes)


def test_masks_as_jpeg_beside_others_are_not_passed_over(tmp_path):
    greys = np.kron([[0, 90, 160, 250]], np.ones((64, 24))).astype(np.uint8)
    raw = tmp_path / "raw"
    for name in "012":
        save_image(raw / f"images/{name}.jpg", greys.shape)
        save_mask(raw / f"masks/{name}.png", greys)
    prepare(raw, tmp_path / "out")
    for name in "12":
        (raw / f"masks/{name}.png").unlink()
        save_mask(raw / f"masks/{name}.jpg", greys)
    assert f"{raw / 'masks/1.jpg'} is JPEG or WebP. These change" in fault(raw, tmp_path / "other")
    # A photograph beside the mask of its name hides nothing, whatever else is left out.
    for name in "12":
        save_mask(raw / f"masks/{name}.png", greys)
    save_image(raw / "images/3.jpg", greys.shape)
    assert prepare(raw, tmp_path / "last").written == 6


def test_a_mask_that_can_not_be_read_is_named_as_it_is(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    whole = (raw / "masks/1.png").read_bytes()
    (raw / "masks/1.png").write_bytes(whole.replace(b"\r\n", b"\n"))
    message = fault(raw, tmp_path / "out")
    assert f"{raw / 'masks/1.png'} was a PNG: its line endings were changed" in message
    (raw / "masks/1.png").write_bytes(b"text")
    assert f"{raw / 'masks/1.png'} is no PNG image" in fault(raw, tmp_path / "out")


def test_stacks_are_told_of_by_prepare_and_by_the_doctor(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3, ".tif")
    cv2.imwritemulti(str(raw / "masks/1.tif"), [objects(2)] * 4)
    done = prepare(raw, tmp_path / "out", val_share=0)
    assert "1 file holds several pictures, of which the first is read, such as" in str(done.notes)
    assert f"such as {raw / 'masks/1.tif'}." in str(done.notes)
    found = [each for each in inspect_dataset(done.spec).findings if each.kind == "unread"]
    assert [each.file for each in found] == ["train/masks/1.tif"]
    assert found[0].message.endswith("is a TIFF of several pictures, of which the first is read.")


def test_stacks_of_pictures_are_told_of(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    for i in range(2):
        (raw / f"images/{i}.jpg").unlink()
        cv2.imwritemulti(str(raw / f"images/{i}.tif"), [np.zeros((*SIZE, 3), np.uint8)] * 2)
    notes = str(prepare(raw, tmp_path / "out", val_share=0).notes)
    assert f"2 files hold several pictures, of which the first is read, such as {raw}" in notes


@pytest.mark.parametrize(("kind", "told"), [(1, False), (4, False), (2, True)])
def test_overviews_of_a_picture_are_no_stack(tmp_path, kind, told):
    """As of satellites' pictures; 1 is a smaller picture, 4 transparency, 2 a page."""
    raw = make(tmp_path, [objects(2)] * 3, ".tif")
    file = raw / "masks/1.tif"
    cv2.imwritemulti(str(file), [objects(2)] * 3)
    first, *others = file.read_bytes().split(page := struct.pack("<HHII", 254, 4, 1, 2))
    assert len(others) == 3
    smaller = struct.pack("<HHII", 254, 4, 1, kind)
    file.write_bytes(first + page + smaller.join(others))
    notes = str(prepare(raw, tmp_path / "out", val_share=0).notes)
    assert ("several pictures" in notes) is told


def test_a_split_that_is_mostly_ignored_is_asked_about(tmp_path):
    mask = np.full((*SIZE, 3), 0, np.uint8)
    mask[:4] = 255
    raw = make(tmp_path, [mask] * 3)
    table = raw / "class_dict.csv"
    for void, said in (("void", 1), ("background", 0)):
        table.write_text(f"name,r,g,b\n{void},0,0,0\nsky,255,255,255\nsea,0,0,255\n")
        notes = str(prepare(raw, tmp_path / void).notes)
        assert notes.count("67% of the pixels of training are ignored, and teach nothing.") == said
    table.write_text("name,r,g,b\nground,0,0,0\nvoid,255,255,255\nsea,0,0,255\n")
    assert "are ignored" not in str(prepare(raw, tmp_path / "third").notes)
    # Validation is another matter.
    for i in range(3):
        save_mask(raw / f"masks/{i}.png", mask if i else np.full_like(mask, 255))
    table.write_text("name,r,g,b\nvoid,0,0,0\nsky,255,255,255\nsea,0,0,255\n")
    assert "are ignored" not in str(
        prepare(raw, tmp_path / "val", val_names=["1.jpg", "2.jpg"]).notes
    )


def test_faults_that_differ_by_their_file_alone_are_one_sentence(tmp_path):
    raw = make(tmp_path, [np.full(SIZE, 7, np.uint8)] * 5 + [np.full(SIZE, 8, np.uint8)])
    tree = Hierarchy.from_mapping(["paved"], ["none", "paved"])
    first, *lines = fault(raw, tmp_path / "out", hierarchy=tree).splitlines()
    assert first == f"{raw} has 6 faults, and nothing was written:"
    assert len(lines) == 2
    assert "holds the labels 7; " in lines[0]
    assert " The same of 4 more files (" in lines[0]
    assert "holds the labels 8; " in lines[1]


@pytest.mark.parametrize("segmentation", [[], SQUARE])
def test_of_boxes_of_coco_beside_masks_the_masks_are_meant(tmp_path, segmentation):
    raw = make(tmp_path, [objects(2)] * 3)
    save_json(raw / "boxes.json", coco([{"category_id": 1, "segmentation": segmentation}]))
    names = ("background", "class_1", "class_2") if not segmentation else ("background", "cat")
    assert prepare(raw, tmp_path / "out", val_share=0).spec.hierarchy.class_names == names
    if not segmentation:
        shutil.rmtree(raw / "masks")
        assert "boxes.json holds boxes alone" in fault(raw, tmp_path / "other")


def test_of_boxes_of_yolo_beside_masks_the_masks_are_meant(tmp_path):
    raw = make(tmp_path, [objects(2)] * 3)
    (raw / "a.yaml").write_text("names: [cat]\ntrain: images\nval: images\n")
    (raw / "labels").mkdir()
    (raw / "labels/0.txt").write_text("0 0.5  0.5 0.1 0.1\n" * 2000)
    names = ("background", "class_1", "class_2")
    assert prepare(raw, tmp_path / "out").spec.hierarchy.class_names == names
    # LabelImg writes its classes there, and people what they like.
    (raw / "labels/classes.txt").write_text("cat\n")
    (raw / "labels/a_readme.txt").write_text("\n")
    (raw / "labels/folder.txt").mkdir()
    (raw / "labels/zu_lesen.txt").write_bytes("What is in it: boxes für Katzen\n".encode("latin-1"))
    assert prepare(raw, tmp_path / "more").spec.hierarchy.class_names == names
    (raw / "labels/1.txt").write_text("0 0.1 1e-3 0.6 0.1 0.6 0.6\n")
    names = ("background", "cat")
    assert prepare(raw, tmp_path / "lines").spec.hierarchy.class_names == names


@pytest.mark.parametrize("kind", ["rectangle", "circle"])
def test_rectangles_alone_are_said_to_be_learned_as_they_are(tmp_path, kind):
    raw = tmp_path / "raw"
    shapes = [("cat", "rectangle", [[0, 0], [4, 4]]), ("dog", kind, [[8, 4], [10, 6]])]
    save_json(raw / "a.json", labelme(shapes))
    regions = [{"shape_attributes": {"name": "rect", "x": 2, "y": 2, "width": 4, "height": 3}}]
    if kind == "circle":
        regions += [{"shape_attributes": {"name": "circle", "cx": 9, "cy": 6, "r": 2}}]
    regions = [region | {"region_attributes": {"class": "cat"}} for region in regions]
    entry = {"filename": "a.jpg", "size": -1, "regions": regions, "file_attributes": {}}
    save_json(tmp_path / "via/raw/a.json", {"a.jpg-1": entry})
    for folder in (raw, tmp_path / "via/raw"):
        save_image(folder / "a.jpg")
        notes = prepare(folder, folder.parent / "out", val_share=0).notes
        assert any("all shapes are rectangles" in note for note in notes) == (kind == "rectangle")

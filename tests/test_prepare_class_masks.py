"""A mask for every class of a picture: they are found by name, united, and brought to its size."""

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import SIZE, labels_of, save_image, save_mask
from tests.raw_data import fault

INSIDE = {
    "r_eye": (slice(6, 8), slice(9, 11)),
    "skin": (slice(1, 11), slice(1, 15)),
    "l_eye": (slice(3, 5), slice(4, 6)),
    "hair": (slice(0, 3), slice(2, 12)),
}


def white(name, size=SIZE, value=255):
    mask_hw = np.zeros(SIZE, np.uint8)
    mask_hw[INSIDE[name]] = value
    return cv2.resize(mask_hw, size[::-1], interpolation=cv2.INTER_NEAREST)


def united(values, order=("skin", "hair", "l_eye", "r_eye")):
    """By numbers of classes; the later in the order lies on top."""
    mask_hw = np.zeros(SIZE, np.uint8)
    for name in order:
        if name in values:
            mask_hw[INSIDE[name]] = values[name]
    return mask_hw


LAYOUTS = [
    ("{}.jpg", "{}_{name}.png"),
    ("photos/{}.jpg", "masks/{}_mask_{name}.png"),
    ("images/{}.png", "masks/{name}/{}.png"),
    ("CelebA-HQ-img/{}.jpg", "CelebAMask-HQ-mask-anno/0/{:05}_{name}.png"),
    ("images/train/{}.jpg", "masks/{name}/train/{}.png"),
    ("images/mine/{}.jpg", "masks/mine/{name}/{}.png"),
    ("1. Images/a. Mine/{}.jpg", "2. Masks/a. Mine/1. {name}/{}_{name}.png"),
]


@pytest.mark.parametrize(("image", "mask"), LAYOUTS)
def test_masks_are_united_with_the_smaller_one_on_top(tmp_path, image, mask):
    raw = tmp_path / "raw"
    for i in range(8):
        save_image(raw / image.format(i))
        for name in INSIDE:
            if not (i == 3 and name == "hair"):
                save_mask(raw / mask.format(i, name=name), white(name))
    assert find_format(raw) == "class_masks"
    done = prepare(raw, tmp_path / "out")
    assert done.spec.hierarchy.class_names == ("background", "hair", "l_eye", "r_eye", "skin")
    assert done.spec.hierarchy.pairs == load_spec(done.spec.file).hierarchy.pairs == ((2, 3),)
    assert "has a mask for each class: hair, l_eye, r_eye, skin." in str(done.notes)
    assert "A mirror exchanges l_eye and r_eye" in str(done.notes)
    labels = labels_of(done.spec, "train") | labels_of(done.spec, "val")
    assert len(labels) == 8
    for stem, label in labels.items():
        values = {"hair": 1, "l_eye": 2, "r_eye": 3, "skin": 4}
        if stem == "3":
            del values["hair"]
        np.testing.assert_array_equal(label, united(values))


def test_pictures_of_any_format_lie_beside_one_another(tmp_path):
    raw = tmp_path / "raw"
    suffixes = ("jpg", "png", "bmp", "jpg")
    for i, suffix in enumerate(suffixes):
        save_image(raw / f"images/{i:03}.{suffix}")
        for name in INSIDE:
            save_mask(raw / f"masks/{name}/{i:03}.png", white(name))
    save_image(raw / "images/000.png")  # beside 000.jpg, which it may be a copy of
    done = prepare(raw, tmp_path / "out")
    assert sum(len(labels_of(done.spec, split)) for split in ("train", "val")) == 4
    assert "000.png" in str(done.notes)
    # Where masks lie beside photographs, a PNG is no picture.
    for name in INSIDE:
        save_mask(raw / f"images/000_{name}.png", white(name))
    assert "may both be the mask of" in fault(raw, tmp_path / "other")


def test_the_order_of_files_and_a_tree_of_ones_own(tmp_path):
    raw = tmp_path / "raw"
    for i in range(2):
        save_image(raw / f"{i}.jpg")
        for name in INSIDE:
            save_mask(raw / f"{i}_{name}.png", white(name, value=1))
    tree = Hierarchy.from_mapping(
        {"face": ["skin", "l_eye", "r_eye"], "hair": ["hair"]},
        ["-", "skin", "l_eye", "r_eye", "hair"],
    )
    done = prepare(raw, tmp_path / "out", order="file", hierarchy=tree)
    assert done.spec.hierarchy == tree
    assert done.spec.hierarchy.pairs == ((2, 3),)
    assert "A mirror exchanges l_eye and r_eye" in str(done.notes)
    values = {"skin": 1, "l_eye": 2, "r_eye": 3, "hair": 4}
    for label in labels_of(done.spec, "train").values():
        np.testing.assert_array_equal(label, united(values, sorted(INSIDE)))
    other = Hierarchy.from_mapping(["skin"], ["-", "skin"])
    assert "'hair' is annotated, and the tree has no class" in fault(
        raw, tmp_path / "other", hierarchy=other
    )


def test_masks_of_another_scale_fit_their_picture_and_of_another_shape_are_refused(tmp_path):
    raw = tmp_path / "raw"
    size = SIZE[0] * 2, SIZE[1] * 2
    for i in range(2):
        save_image(raw / f"{i}.jpg", size)
        for name in INSIDE:
            save_mask(raw / f"{i}_{name}.png", white(name))
    done = prepare(raw, tmp_path / "out")
    for label in labels_of(done.spec, "train").values():
        small = united({"hair": 1, "l_eye": 2, "r_eye": 3, "skin": 4})
        np.testing.assert_array_equal(label, small.repeat(2, axis=0).repeat(2, axis=1))
    save_mask(raw / "1_skin.png", white("skin")[:-3])
    message = fault(raw, tmp_path / "other")
    assert message.startswith(f"{raw / '1_skin.png'} is 9 x 16 (height x width), which is no scale")


def test_masks_with_numbers_are_of_no_class_that_is_known(tmp_path):
    raw = tmp_path / "raw"
    for i in range(3):
        save_image(raw / f"{i}.jpg")
        for number in (1, 2):
            save_mask(raw / f"{i}_{number}.png", white("skin"))
    assert "holds no data set that is known here" in fault(raw, tmp_path / "out")


def test_masks_of_more_values_than_two_are_of_no_single_class(tmp_path):
    raw = tmp_path / "raw"
    for i in range(2):
        save_image(raw / f"{i}.jpg")
        for name in ("parts", "things"):
            save_mask(raw / f"{i}_{name}.png", white("skin") // 255 + white("hair") // 100)
    assert "holds no data set that is known here" in fault(raw, tmp_path / "out")
    message = fault(raw, tmp_path / "out", source="class_masks")
    assert "holds 4 values; a mask of one class holds black and another" in message
    assert "give --from=masks" in message


def test_masks_with_transparency_are_refused(tmp_path):
    raw = tmp_path / "raw"
    save_image(raw / "0.jpg")
    for name in INSIDE:
        cv2.imwrite(str(raw / f"0_{name}.png"), np.dstack([white(name)] * 4))
    assert "has transparency, of which nobody knows" in fault(raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("picture", "mask"), [((721, 1283), (360, 642)), ((1003, 2000), (300, 600))]
)
def test_scales_may_be_rounded(tmp_path, picture, mask):
    raw = tmp_path / "raw"
    for i in range(2):
        save_image(raw / f"{i}.jpg", picture)
        for name in INSIDE:
            save_mask(raw / f"{i}_{name}.png", white(name, mask))
    assert prepare(raw, tmp_path / "out").written == 4


def save_tooth(raw, whole):
    """Masks of a crown and a root, of both together, and of all as numbers."""
    for i in range(4):
        numbers_hw = np.zeros(SIZE, np.uint8)
        numbers_hw[2:6, 3 + i : 9 + i], numbers_hw[6:10, 5 + i : 8 + i] = 1, 2
        save_image(raw / f"images/{i}.jpg")
        save_mask(raw / f"masks_all/{i}.png", numbers_hw)
        of = {"crown": numbers_hw == 1, "root": numbers_hw == 2, "tooth": whole(numbers_hw)}
        for name, inside_hw in of.items():
            save_mask(raw / f"masks_{name}/{i}_{name}.png", inside_hw * np.uint8(255))


def test_a_class_that_is_all_others_united_is_said_to_be_their_group(tmp_path):
    save_tooth(tmp_path / "raw", lambda numbers_hw: numbers_hw > 0)
    notes = prepare(tmp_path / "raw", tmp_path / "out").notes
    (said,) = [note for note in notes if note.startswith("tooth is all of crown, root in the 4 ")]
    assert "`names: [background, crown, root]`, `hierarchy: {tooth: [crown, root]}`" in said
    tree = Hierarchy.from_mapping({"tooth": ["crown", "root"]}, ["background", "crown", "root"])
    done = prepare(tmp_path / "raw", tmp_path / "as_said", hierarchy=tree)
    for label in {**labels_of(done.spec, "train"), **labels_of(done.spec, "val")}.values():
        assert set(np.unique(label)) == {0, 1, 2}
    # Something that holds others, and has pixels of its own, is no group.
    save_tooth(tmp_path / "other", lambda numbers_hw: numbers_hw < 9)
    assert "is all of" not in str(prepare(tmp_path / "other", tmp_path / "third").notes)


def test_masks_that_may_hold_all_classes_are_named_beside_those_of_one(tmp_path):
    save_tooth(tmp_path / "raw", lambda numbers_hw: numbers_hw > 0)
    notes = prepare(tmp_path / "raw", tmp_path / "out").notes
    whole = tmp_path / "raw/masks_all/0.png"
    assert any(note.startswith(f"{whole} has the name of a picture.") for note in notes)
    done = prepare(tmp_path / "raw", tmp_path / "all", source="masks")
    assert done.spec.hierarchy.class_names == ("background", "class_1", "class_2")

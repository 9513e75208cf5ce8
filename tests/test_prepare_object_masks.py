"""Masks of single objects in a folder for each picture are united; other folders are no such."""

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import SIZE, save_image, save_mask
from tests.raw_data import fault


def make_nuclei(root, below="stage1_train"):
    for number, name in enumerate(("3f2a", "77b0", "c91d", "e04e")):
        folder = root / below / name
        save_image(folder / f"images/{name}.png")
        for i in range(2 + number):
            mask = np.zeros(SIZE, np.uint8)
            mask[2 * i : 2 * i + 2, 3:9] = 255
            save_mask(folder / f"masks/{i}f00{number}.png", mask)
    return root


@pytest.mark.parametrize("below", ["", "stage1_train"])
def test_masks_of_objects_are_united(tmp_path, below):
    raw = make_nuclei(tmp_path / "raw", below)
    assert find_format(raw) == "object_masks"
    prepared = prepare(raw, tmp_path / "out", val_share=0.25)
    assert prepared.spec.hierarchy.class_names == ("background", "object")
    assert "14 masks of objects are united, picture by picture, as object." in prepared.notes
    for number, name in enumerate(("3f2a", "77b0", "c91d", "e04e")):
        (file,) = (tmp_path / "out").glob(f"*/masks/{name}.png")
        expected = np.zeros(SIZE, np.uint8)
        expected[: 2 * (2 + number), 3:9] = 1
        np.testing.assert_array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), expected)


def test_the_object_has_the_name_of_the_tree(tmp_path):
    raw = make_nuclei(tmp_path / "raw")
    tree = Hierarchy.from_mapping(["nucleus"], ["background", "nucleus"])
    assert prepare(raw, tmp_path / "out", hierarchy=tree).spec.hierarchy == tree
    more = Hierarchy.from_mapping(["a", "b"], ["background", "a", "b"])
    assert "masks of objects without a class" in fault(raw, tmp_path / "b", hierarchy=more)


@pytest.mark.parametrize("name", ["{}.png", "{}_mask.png"])
def test_a_folder_for_each_picture_with_its_one_mask_is_read_as_before(tmp_path, name):
    for picture in ("a", "b", "c"):
        save_image(tmp_path / picture / f"images/{picture}.png")
        mask = np.zeros(SIZE, np.uint8)
        mask[2:5] = 255
        save_mask(tmp_path / picture / "masks" / name.format(picture), mask)
    assert find_format(tmp_path) == "masks"

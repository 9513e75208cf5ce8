"""Names that annotations give: of classes, of what is none, and of files."""

import numpy as np
import pytest

from hierseg_jax.data.prepare.colours import read_colour_table
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.system.errors import HiersegError
from tests.annotated_data import (
    SIZE,
    SMALL,
    SQUARE,
    coco,
    labelme,
    make_camvid,
    save_image,
    save_json,
    save_mask,
)
from tests.raw_data import fault


def draw_coco(root, small="cat", large="dog", **category):
    """The mask of a small square on a large one, and the data set."""
    squares = [
        {"category_id": 1, "segmentation": SMALL},
        {"category_id": 3, "segmentation": SQUARE},
    ]
    document = coco([*squares, {"category_id": 5, "segmentation": [[0, 0, 1, 0, 1, 1]]}])
    for record, name in zip(document["categories"], (small, large), strict=False):
        record["name"] = name
    document["categories"] += [{"id": 1, "name": small, **category}] if category else []
    save_json(root / "raw/a.json", document)
    save_image(root / "raw/0.jpg")
    done = prepare(root / "raw", root / "out", val_share=0)
    return read_mask(root / "out/train/masks/0.png"), done.spec.hierarchy


@pytest.mark.parametrize("name", ["Background", "bg", "_background_", "Void", "IGNORE"])
def test_what_is_no_class_is_none_in_any_letters_and_lies_where_it_is_drawn(tmp_path, name):
    mask, tree = draw_coco(tmp_path, small=name)
    assert tree.class_names == ("background", "dog", "lamp")
    assert mask[2, 2] == 1
    assert mask[4, 4] == (255 if name in ("Void", "IGNORE") else 0)


def test_two_categories_of_one_id_are_refused(tmp_path):
    with pytest.raises(HiersegError, match=r"\[3\]: 'zebra' has the id 1 of 'horse'"):
        draw_coco(tmp_path, small="horse", **{"name": "zebra"})
    _, tree = draw_coco(tmp_path / "same", small="horse", **{"supercategory": "none"})
    assert tree.class_names == ("background", "horse", "dog", "lamp")


def test_half_a_surrogate_pair_names_nothing(tmp_path):
    shapes = [("cat", "polygon", [[0, 0], [4, 0], [4, 4]])]
    save_json(tmp_path / "raw/a.json", labelme(shapes, imagePath="\ud800.jpg"))
    assert "'imagePath' is '\\ud800.jpg'; expected text" in fault(tmp_path / "raw", tmp_path / "o")


def test_pictures_of_coco_are_looked_for_in_the_download_alone(tmp_path):
    save_json(tmp_path / "raw/a.json", coco([{"category_id": 1, "segmentation": SQUARE}]))
    message = fault(tmp_path / "raw", tmp_path / "out", FileNotFoundError)
    tried = message.rstrip(".").partition("none of these is in ")[2].split(", ")
    assert all(folder.startswith(str(tmp_path / "raw")) for folder in tried)


def test_a_mask_without_a_picture_hides_no_other(tmp_path):
    raw = make_camvid(tmp_path)
    for name in ("train_1", "train_10"):
        save_image(raw / f"train/{name}.png")
        save_mask(raw / f"train_labels/{name}_L.png", np.full((*SIZE, 3), 128, np.uint8))
    save_mask(raw / "train_labels/a_L.png", np.full((*SIZE, 3), 128, np.uint8))
    done = prepare(raw, tmp_path / "out")
    assert done.summary["splits"]["train"]["images"] == 3
    assert not done.notes


def test_a_table_that_is_none_ends_in_a_sentence(tmp_path):
    (tmp_path / "class_dict.csv").write_text(f"name,r,g,b\n{'x' * 200_000},1,2,3\n")
    with pytest.raises(HiersegError, match=r"class_dict.csv: line 2: field larger"):
        read_colour_table(tmp_path / "class_dict.csv")

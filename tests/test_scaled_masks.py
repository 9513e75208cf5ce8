"""Masks of whole pictures at another scale are brought to the pictures' size by preparation."""

import cv2
import numpy as np
import pytest
from PIL import Image

from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.image_files import is_scaled, read_mask
from tests.raw_data import contents, fault

HALF = np.array([[0, 0, 1], [0, 2, 1]], np.uint8).repeat(5, 0).repeat(6, 1)  # 10 x 18
SIZE = (20, 36)


def save(root, masks, sides=SIZE):
    """Pictures, and the masks by a writer of one."""
    pixels = np.random.default_rng(0).integers(0, 256, (*sides, 3), dtype=np.uint8)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        assert cv2.imwrite(str(root / f"images/{number}.jpg"), pixels)
        masks(root / f"masks/{number}.png")
    return root


def of_numbers(mask_hw):
    return lambda file: cv2.imwrite(str(file), mask_hw)


def with_palette(file):
    image = Image.fromarray(HALF, "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9])
    image.save(file)


def of_colours(file):
    cv2.imwrite(str(file), np.array([[0, 0, 0], [128, 64, 32], [1, 2, 255]], np.uint8)[HALF])


@pytest.mark.parametrize("write", [of_numbers(HALF), with_palette])
def test_every_pixel_has_the_value_at_its_centre(tmp_path, write):
    done = prepare(save(tmp_path / "raw", write), tmp_path / "data")
    for split in ("train", "val"):
        for file in (tmp_path / f"data/{split}/masks").iterdir():
            np.testing.assert_array_equal(read_mask(file), HALF.repeat(2, 0).repeat(2, 1))
    told = [note for note in done.notes if "at another scale" in note]
    assert told == [
        f"4 masks are of their whole pictures at another scale, the first "
        f"{tmp_path / 'raw/masks/0.png'}; the copies have the pictures' size."
    ]


def test_larger_masks_and_sides_that_were_rounded_are_scaled_as_well(tmp_path):
    mask_hw = np.zeros((41, 73), np.uint8)
    mask_hw[:20] = 1
    prepare(save(tmp_path / "raw", of_numbers(mask_hw)), tmp_path / "data")
    found = read_mask(tmp_path / "data/train/masks/1.png")
    assert found.shape == SIZE
    assert found[:9].all()
    assert not found[11:].any()


def test_colours_stay_colours(tmp_path):
    done = prepare(save(tmp_path / "raw", of_colours), tmp_path / "data")
    found = cv2.imread(str(tmp_path / "data/train/masks/1.png"))
    wanted = cv2.imread(str(tmp_path / "raw/masks/1.png")).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(found, wanted)
    assert {value for value, _ in done.spec.labels} == {"#000000", "#204080", "#FF0201"}


def test_a_second_time_nothing_is_written_and_another_mask_is_not_overwritten(tmp_path):
    raw, out = save(tmp_path / "raw", of_colours), tmp_path / "data"
    prepare(raw, out)
    before = contents(out)
    assert prepare(raw, out).written == 0
    assert contents(out) == before
    cv2.imwrite(str(raw / "masks/1.png"), np.zeros((10, 18, 3), np.uint8))
    assert "masks/1.png is there already with another content" in fault(raw, out)


def test_masks_of_0_alone_are_of_any_size(tmp_path):
    """As Roboflow's of pictures that nobody has annotated, which it scales."""
    raw = save(tmp_path / "raw", of_numbers(HALF.repeat(2, 0).repeat(2, 1)))
    for number in (1, 3):
        assert cv2.imwrite(str(raw / f"masks/{number}.png"), np.zeros((30, 17), np.uint8))
    done = prepare(raw, tmp_path / "data")
    for file in tmp_path.glob("data/*/masks/*"):
        mask_hw = read_mask(file)
        assert mask_hw.shape == SIZE
        assert mask_hw.any() == (int(file.stem) % 2 == 0)
    assert [note for note in done.notes if "copies" in note] == [
        f"2 masks hold 0 alone, at another size than the picture, the first {raw / 'masks/1.png'}; "
        "the copies have the pictures' size."
    ]


def test_masks_of_0_alone_are_of_their_picture_s_size_where_0_is_a_class(tmp_path):
    raw = save(tmp_path / "raw", of_numbers(HALF.repeat(2, 0).repeat(2, 1)))
    (raw / "classes.txt").write_text("road\nsky\ntree\n")
    prepare(raw, tmp_path / "data")
    assert cv2.imwrite(str(raw / "masks/1.png"), np.zeros((30, 17), np.uint8))
    assert "1.png is 30 x 17 (height x width), but its image" in fault(raw, tmp_path / "other")


def test_masks_of_other_proportions_are_refused(tmp_path):
    raw = save(tmp_path / "raw", of_numbers(HALF[:, :15]))
    told = fault(raw, tmp_path / "data")
    assert "is 10 x 15 (height x width), but its image" in told
    assert "the two must be of one size" in told


@pytest.mark.parametrize(
    ("mask", "size", "wanted"),
    [
        ((400, 625), (639, 1000), True),
        ((375, 667), (449, 800), True),
        ((100, 150), (101, 150), True),
        ((100, 150), (102, 150), False),
        ((150, 100), (100, 150), False),
        ((1, 1), (7, 7), True),
    ],
)
def test_a_pixel_is_given_to_rounding(mask, size, wanted):
    assert is_scaled(mask, size) == is_scaled(size, mask) == wanted


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.float32, np.uint64])
def test_numbers_of_any_type_stay_what_they_are(tmp_path, dtype):
    """-1 is ignored; OpenCV's PNG would have 0 for it, and colours for 32 bits."""
    mask_hw = HALF.astype(dtype)
    if np.dtype(dtype).kind != "u":
        mask_hw[0, :2] = -1
    root = save(tmp_path / "raw", lambda file: np.save(file.with_suffix(".npy"), mask_hw))
    prepare(root, tmp_path / "data")
    found = read_mask(tmp_path / "data/train/masks/1.npy")
    np.testing.assert_array_equal(found, mask_hw.repeat(2, 0).repeat(2, 1))
    assert prepare(root, tmp_path / "data").written == 0


@pytest.mark.parametrize("suffix", [".tif", ".bmp"])
def test_files_of_other_kinds_become_what_holds_their_values(tmp_path, suffix):
    root = save(tmp_path / "raw", lambda file: cv2.imwrite(str(file.with_suffix(suffix)), HALF))
    prepare(root, tmp_path / "data")
    found = read_mask(tmp_path / "data/train/masks/1.png")
    np.testing.assert_array_equal(found, HALF.repeat(2, 0).repeat(2, 1))


def test_masks_that_are_drawn_by_a_table_of_colours_are_scaled_as_well(tmp_path):
    root = save(tmp_path / "raw", of_colours)
    (root / "images").rename(root / "train")
    (root / "masks").rename(root / "train_labels")
    for file in (root / "train_labels").iterdir():
        file.rename(file.with_name(f"{file.stem}_L.png"))
    rows = ["name,r,g,b", "nothing,0,0,0", "cat,32,64,128", "dog,255,2,1"]
    (root / "class_dict.csv").write_text("\n".join(rows))
    done = prepare(root, tmp_path / "data")
    assert done.source == "camvid"
    found = read_mask(next((tmp_path / "data").glob("*/masks/1.png")))
    assert found.shape == SIZE
    assert np.unique(found).size == 3


def test_masks_of_pictures_as_they_are_stored_are_told_to_be_turned(tmp_path):
    root = save(tmp_path / "raw", of_numbers(HALF), sides=SIZE[::-1])
    assert "take the orientation out of the picture's file" in fault(root, tmp_path / "data")

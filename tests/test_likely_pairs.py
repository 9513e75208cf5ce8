"""Masks that nothing is called after are found by what they show, each with its own picture."""

import string

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.prepare.file_words import OTHER_WORDS, has
from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.likely_pairs import find_likely_pairs
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.spec import load_spec
from tests.raw_data import fault

SIDES = (12, 16)


def save_photo(file, sides=SIDES):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*sides, 3), dtype=np.uint8)
    assert cv2.imwrite(str(file), pixels)


def save_mask(file, sides=SIDES, colour=255):
    file.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((*sides, *np.shape(colour)), np.uint8)
    mask[3:9, 4:9] = colour
    assert cv2.imwrite(str(file), mask)


def write(root, image, mask, numbers=range(1, 7), **given):
    """Pictures and masks of these names, where # is a number."""
    for number in numbers:
        save_photo(root / image.replace("#", str(number)))
        save_mask(root / mask.replace("#", str(number)), **given)
    return root


def found_in(root):
    pairs, _ = find_likely_pairs(root)
    return {
        pair.image.relative_to(root).as_posix(): pair.mask.relative_to(root).as_posix()
        for pair in pairs
    }


def named(image, mask, numbers=range(1, 7)):
    return {image.replace("#", str(n)): mask.replace("#", str(n)) for n in numbers}


LAYOUTS = [
    ("Training_Images/#.jpg", "Ground_Truth/#.png"),
    ("Original/#.tif", "Ground Truth/#.tif"),
    ("#.jpg", "#_ground_truth.png"),
    ("#.bmp", "#.png"),
    ("#.png", "#.bmp"),
    ("images/#_training.tif", "1st_manual/#_manual1.png"),
    ("TrainImages/a#.jpg", "TrainMasks/a#.png"),
    ("PNGImages/F#.png", "PedMasks/F#_mask.png"),
    ("images/image#.jpg", "masks/mask#.png"),
    ("image#.jpg", "mask#.png"),
    ("images/img00#.jpg", "labels/label#.png"),
    ("x/#.jpg", "y/#.png"),
    ("images/#.jpg", "annotations/trimaps/#.png"),
    ("frames/#.jpg", "mattes/#.png"),
    ("a/#.png", "a/#_P.png"),
    ("701/#_v2.jpg", "701_L/#_v2_L.png"),
    ("img#Rgb.jpg", "img#Mask.png"),
    ("Bilder/Straße#.jpg", "Flächen/Fläche#.png"),
]


@pytest.mark.parametrize(("image", "mask"), LAYOUTS)
def test_every_picture_finds_its_own_mask(tmp_path, image, mask):
    numbers = range(1, 13)
    write(tmp_path, image, mask, numbers)
    assert found_in(tmp_path) == named(image, mask, numbers)
    assert find_format(tmp_path) == "masks"


# But for those that say of a file that it is no mask.
WORD = st.text(string.ascii_letters + "äß", min_size=1, max_size=6).filter(
    lambda word: not has(word, OTHER_WORDS)
)
WORDS = st.lists(WORD, max_size=2)


@settings(max_examples=25)
@given(
    st.tuples(WORDS, WORDS),
    st.tuples(WORDS, WORDS),
    st.lists(st.integers(0, 999), min_size=2, max_size=5, unique=True),
)
def test_words_around_numbers_are_of_no_matter(tmp_path_factory, of_images, of_masks, numbers):
    image, mask = ("_".join([*before, "#", *behind]) for before, behind in (of_images, of_masks))
    image, mask = f"one/{image}.jpg", f"two/{mask}.png"
    root = write(tmp_path_factory.mktemp("raw"), image, mask, numbers)
    assert found_in(root) == named(image, mask, numbers)


def test_names_without_numbers_are_told_by_the_words_that_differ(tmp_path):
    names = ["anna", "anton", "bob's cat", "cat"]
    for name in names:
        save_photo(tmp_path / f"shots/{name}.jpg")
        save_mask(tmp_path / f"drawn/{name} by eva.png")
    assert found_in(tmp_path) == {f"shots/{n}.jpg": f"drawn/{n} by eva.png" for n in names}


def test_masks_of_colours_are_masks(tmp_path):
    write(tmp_path, "x/#.jpg", "y/#.png", colour=(0, 128, 255))
    assert found_in(tmp_path) == named("x/#.jpg", "y/#.png")


def test_splits_keep_to_themselves(tmp_path):
    for split in ("train", "val"):
        write(tmp_path, f"{split}_x/#.jpg", f"{split}_y/#.png")
    assert found_in(tmp_path) == {
        **named("train_x/#.jpg", "train_y/#.png"),
        **named("val_x/#.jpg", "val_y/#.png"),
    }


def test_masks_of_all_splits_may_lie_together(tmp_path):
    write(tmp_path, "train/#.jpg", "drawn/#.png", range(1, 9))
    write(tmp_path, "val/#.jpg", "drawn/#.png", range(9, 12))
    found = find_likely_pairs(tmp_path)[0]
    assert {(pair.split, pair.mask.stem == pair.image.stem) for pair in found} == {
        ("train", True),
        ("val", True),
    }
    assert len(found) == 11


def test_pictures_without_masks_are_left_out_and_told(tmp_path):
    write(tmp_path, "x/#.jpg", "y/#.png")
    save_photo(tmp_path / "x/77.jpg")
    save_mask(tmp_path / "y/99.png")
    pairs, left = find_likely_pairs(tmp_path)
    assert len(pairs) == 6
    assert [sentence.split(", the first ")[1] for sentence in left] == [
        f"{tmp_path / 'x/77.jpg'}.",
        f"{tmp_path / 'y/99.png'}.",
    ]


@pytest.mark.parametrize(
    ("image", "mask", "sides"),
    [
        ("x/#.jpg", "y/#.png", (16, 12)),
        ("x/#.jpg", "predictions/#.png", SIDES),
        ("x/#.jpg", "depth/#.png", SIDES),
        ("x/day1_#.jpg", "y/day2_#.png", SIDES),
        ("train_x/#.jpg", "val_y/#.png", SIDES),
    ],
)
def test_what_is_no_mask_of_a_picture_is_taken_for_none(tmp_path, image, mask, sides):
    write(tmp_path, image, mask, sides=sides)
    assert not found_in(tmp_path)


def test_photographs_and_drawings_are_no_masks_of_one_another(tmp_path):
    raw = tmp_path / "raw"
    for number in range(1, 7):
        save_photo(raw / f"left/{number}.jpg")
        save_photo(raw / f"right/{number}.png")
        save_mask(raw / f"drawings/{number}.bmp", sides=(20, 20))
        save_mask(raw / f"sketches/{number}.png", sides=(20, 20))
        (raw / f"right/{number + 50}.png").write_bytes(b"no picture")
    assert not found_in(raw)
    told = fault(raw, tmp_path / "data")
    assert told.startswith(f"{raw} holds no data set that is known here.")


def test_what_may_be_meant_in_two_ways_is_refused(tmp_path):
    write(tmp_path, "x/#.jpg", "y/#.png")
    write(tmp_path, "x/#.jpg", "z/#.png")
    with pytest.raises(ValueError, match=r"y/1.png and .*z/1.png may both be the mask of .*x/1"):
        find_likely_pairs(tmp_path)
    # The nearest ones are meant where some are.
    write(tmp_path, "x/#.jpg", "x_drawn/#.png")
    assert found_in(tmp_path) == named("x/#.jpg", "x_drawn/#.png")
    # One folder of masks of pictures of one name in two.
    again = tmp_path / "again"
    write(again, "a/#.jpg", "drawn/#.png")
    write(again, "b/#.jpg", "drawn/#.png")
    with pytest.raises(ValueError, match=r"may be the mask of .* and of .*; take the one"):
        find_likely_pairs(again)


def test_preparation_makes_a_data_set_of_them(tmp_path):
    write(tmp_path / "raw", "TrainImages/a#.jpg", "TrainMasks/a#.png", range(20))
    done = prepare(tmp_path / "raw", tmp_path / "data", val_share=0.25)
    assert any("Their names don't say which are masks" in note for note in done.notes)
    spec = load_spec(tmp_path / "data" / "data.yaml")
    assert spec.hierarchy.class_names == ("background", "object")


def test_no_scene_takes_the_masks_of_another(tmp_path):
    write(tmp_path, "cam/garden/#.jpg", "drawn/garden/#.png")
    for number in range(1, 7):
        save_photo(tmp_path / f"cam/kitchen/{number}.jpg")
    save_photo(tmp_path / "cam/garden/01.jpg")
    assert found_in(tmp_path) == named("cam/garden/#.jpg", "drawn/garden/#.png")
    left = " ".join(find_likely_pairs(tmp_path)[1])
    assert "Left out, for there is no mask: 7 pictures" in left


def test_numbers_in_another_order_are_others(tmp_path):
    for one, two in ((1, 2), (2, 1), (1, 1), (2, 2)):
        save_photo(tmp_path / f"x/s{one}_f{two}.jpg")
        save_mask(tmp_path / f"y/f{one}_s{two}.png")
    assert not found_in(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask", "stray"),
    [
        ("x/DSC#.jpg", "y/DSC#_drawn.png", "x/cover.jpg"),
        ("x/cat_#.jpg", "y/cat_#.png", "x/dog_1.jpg"),
        ("x/-#.jpg", "y/-#_p.png", "x/1.jpg"),
        ("x/Ba\u0308r #.jpg", "y/B\u00e4r #.png", "x/Ba\u0308r.jpg"),
        ("写真/#.jpg", "正解/#番.png", "写真/１２.jpg"),
    ],
)
def test_a_stray_picture_is_left_out_and_told(tmp_path, image, mask, stray):
    write(tmp_path, image, mask)
    save_photo(tmp_path / stray)
    assert found_in(tmp_path) == named(image, mask)
    (told,) = find_likely_pairs(tmp_path)[1]
    assert told == f"Left out, for there is no mask: 1 picture, the first {tmp_path / stray}."


def test_names_that_are_equal_count_before_words_that_are_common(tmp_path):
    write(tmp_path, "x/right_#.jpg", "y/right_#.png")
    for number in range(1, 7):
        save_photo(tmp_path / f"x/left_{number}.jpg")
    assert found_in(tmp_path) == named("x/right_#.jpg", "y/right_#.png")


@pytest.mark.parametrize("first", ["film/1.png", "traced/1.png", "x/0.png"])
def test_a_black_frame_or_a_damaged_file_is_one_of_many(tmp_path, first):
    write(tmp_path, "film/#.png", "traced/#.png", range(1, 13))
    if first.startswith("film"):
        save_mask(tmp_path / first)
    else:
        (tmp_path / first).parent.mkdir(exist_ok=True)
        (tmp_path / first).write_bytes(b"")
    assert found_in(tmp_path) == named("film/#.png", "traced/#.png", range(1, 13))


def test_a_few_of_one_number_are_no_pairs(tmp_path):
    write(tmp_path, "x/a#.jpg", "elsewhere/#.png", range(1, 11))
    for number in (1, 2, *range(101, 111)):
        save_mask(tmp_path / f"y/{number}.png")
    for number in range(1, 11):
        (tmp_path / f"elsewhere/{number}.png").unlink()
    assert not found_in(tmp_path)


@pytest.mark.parametrize("kind", ["noise", "ramp"])
def test_what_shows_many_values_or_small_areas_is_no_mask(tmp_path, kind):
    shown = {
        "noise": np.random.default_rng(0).integers(0, 2, SIDES, np.uint8),
        # A value for every row.
        "ramp": np.arange(72, dtype=np.uint8).repeat(96).reshape(72, 96),
    }[kind]
    for number in range(1, 7):
        save_photo(tmp_path / f"x/{number}.jpg", shown.shape)
        (tmp_path / "y").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"y/{number}.png"), shown)
    assert not found_in(tmp_path)

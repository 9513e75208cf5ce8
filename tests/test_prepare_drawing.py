"""Masks of regions, and splits by a hash: pure functions of preparing."""

import itertools
import pathlib
import re

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.prepare.draw import (
    Region,
    paint,
    polygon,
    polygon_of_pixels,
    run_lengths,
    unpack_counts,
)
from hierseg_jax.data.prepare.folders import split_of
from hierseg_jax.data.prepare.picture import Picture, flat_name
from hierseg_jax.data.prepare.split import split_by_names, split_pictures
from hierseg_jax.system.errors import HiersegError

SIZE = (9, 11)
# Quarters of pixels: centres lie on edges now and then.
COORDINATES = st.tuples(st.integers(-8, 52), st.integers(-8, 44))


def crossings(points, x, y):
    """Edges of a polygon to the left of a point or through it, one by one."""
    count = 0
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (y0 <= y) != (y1 <= y):
            count += x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x
    return count


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(st.lists(COORDINATES, max_size=9))
def test_a_pixel_is_inside_if_its_centre_is(quarters):
    points = np.array(quarters, np.float64).reshape(-1, 2) / 4
    mask = paint([Region(1, polygon(points, SIZE))], SIZE, by_area=True)
    wanted = [[crossings(points, x + 0.5, y + 0.5) % 2 for x in range(11)] for y in range(9)]
    np.testing.assert_array_equal(mask, wanted)


def test_polygons_far_beyond_the_picture_are_cut():
    far = np.array([[-1e7, -1e7], [1e7, -1e7], [1e7, 1e7], [-1e7, 1e7]])
    assert polygon(far, SIZE).inside_hw.all()
    assert polygon(far, SIZE).inside_hw.shape == SIZE
    assert not polygon(far[:2], SIZE).inside_hw.size


def test_run_lengths_of_cocos_mask_api():
    """Written by pycocotools 2.0.11 of a frame with a window."""
    frame = np.zeros((30, 40), bool)
    frame[1:29, 2:38], frame[10:12, 5:9] = True, False
    text = "m1l020000]O080H080H080H080;00000000000000000000000000000000000000000000000000000000k1"
    np.testing.assert_array_equal(run_lengths(unpack_counts(text), (30, 40)).inside_hw, frame)


def pictures(names, split=""):
    return [Picture(split, name, pathlib.Path(f"{name}.jpg"), pathlib.Path()) for name in names]


def splits(names, share):
    return {p.name: p.split for p in split_pictures(pictures(names), share)}


def test_pictures_added_later_leave_the_others_where_they_are():
    names = [f"p{i}" for i in range(2000)]
    whole, part = splits(names, 0.25), splits(names[:500], 0.25)
    assert part == {name: whole[name] for name in part}
    assert 0.2 < sum(split == "val" for split in whole.values()) / 2000 < 0.3


@pytest.mark.parametrize("share", [1e-9, 0.5, 1 - 1e-9])
def test_of_a_few_pictures_one_goes_to_each_split(share):
    assert set(splits(["a", "b", "c"], share).values()) == {"train", "val"}
    assert splits(["a"], share) == {"a": "train"}
    assert set(splits(["a", "b"], 0).values()) == {"train"}


COORDINATES = st.lists(
    st.tuples(st.integers(-9, 25), st.integers(-9, 25)), min_size=1, max_size=6
).map(lambda pairs: np.array(pairs, float))


@given(COORDINATES, st.lists(COORDINATES, max_size=2))
def test_polygons_of_pixels_are_opencvs_wherever_they_lie(outline, holes):
    expected_hw = np.zeros((12, 16), np.uint8)
    for number, line in enumerate((outline, *holes)):
        cv2.fillPoly(expected_hw, [line.astype(np.int32)], int(number == 0))
    patch = polygon_of_pixels(outline, holes, (12, 16))
    np.testing.assert_array_equal(paint([Region(1, patch)], (12, 16), False), expected_hw)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_run_lengths_go_by_rows_or_by_columns(counts):
    size = (1, sum(counts)), (sum(counts), 1)
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    for by_row, of in itertools.product((False, True), size):
        found_hw = run_lengths(counts, of, by_row).inside_hw
        np.testing.assert_array_equal(found_hw, flat.reshape(of))
    doubled = run_lengths([*counts, *counts], (2, sum(counts)), by_row=True).inside_hw
    assert doubled.shape == (2, sum(counts))
    np.testing.assert_array_equal(doubled[0], flat)


def in_folders(*paths, split=""):
    root = pathlib.Path("raw")
    named = [(path, path.removesuffix(".jpg").replace("/", "__")) for path in paths]
    return [Picture(split, name, root / path, pathlib.Path()) for path, name in named]


@pytest.mark.parametrize(
    ("patterns", "val"),
    [
        (["clip2/*"], ["images/clip2/a.jpg", "images/clip2/b.jpg"]),
        (["images/clip2/*"], ["images/clip2/a.jpg", "images/clip2/b.jpg"]),
        (["./clip1/*"], ["clip1/a.jpg", "clip1/b.jpg"]),
        (["b.jpg"], ["clip1/b.jpg", "images/clip2/b.jpg"]),
        (["clip1/a*", "clip2/b*"], ["clip1/a.jpg", "images/clip2/b.jpg"]),
        (["clip1__*"], ["clip1/a.jpg", "clip1/b.jpg"]),  # as the new data set calls them
        (["[xy].jpg"], ["x.jpg"]),
        (["a[1].jpg"], ["a[1].jpg"]),
    ],
)
def test_names_choose_validation_by_file_or_folder(patterns, val):
    paths = ["clip1/a.jpg", "clip1/b.jpg", "images/clip2/a.jpg", "images/clip2/b.jpg"]
    paths += ["x.jpg", "a[1].jpg"]
    given = in_folders(*paths[:3], split="val") + in_folders(*paths[3:])
    given += in_folders("test/b.jpg", split="test")
    found = split_by_names(given, patterns, pathlib.Path("raw"))
    assert [p.image for p in found] == [p.image for p in given]
    assert found[-1].split == "test"
    expected = ["val" if path in val else "train" for path in paths]
    assert [picture.split for picture in found[:-1]] == expected


@pytest.mark.parametrize("pattern", ["z*", "", "A.jpg", "b", "ip/a.jpg", "of_test.jpg"])
def test_a_name_that_no_picture_has_is_refused_with_one_that_there_is(pattern):
    given = in_folders("clip/b.jpg", "clip/a.jpg") + in_folders("of_test.jpg", split="test")
    sentence = f"is called {pattern!r} (--val_names); capitals and the suffix count. The first is "
    with pytest.raises(HiersegError, match=re.escape(f"{sentence}clip/a.jpg.")):
        split_by_names(given, ["a*", pattern], pathlib.Path("raw"))


def test_names_of_all_pictures_are_refused():
    with pytest.raises(HiersegError, match="takes all 2 pictures for validation"):
        split_by_names(in_folders("b.jpg", "a.jpg"), ["a*", "b*"], pathlib.Path("raw"))


def test_a_validation_split_that_is_there_is_taken():
    given = pictures("ab", "train") + pictures("c", "val") + pictures("d", "test")
    assert split_pictures(given, 0.9) == given
    assert {p.split for p in split_pictures(given[:2], 0.5)} == {"train", "val"}


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("valid/_annotations.coco.json", "val"),
        ("Test/images/a.json", "test"),
        ("training_set/a.json", "train"),
        ("constraint/trainer.json", ""),
    ],
)
def test_splits_are_told_by_whole_words(path, split):
    assert split_of(pathlib.PurePath(path)) == split


def test_names_of_sub_folders_stay_apart():
    names = ["images/a.b.jpg", "x/a.jpg", "x\\y\\a.png"]
    assert [flat_name(name) for name in names] == ["a.b", "x__a", "x__y__a"]

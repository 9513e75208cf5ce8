"""Captions and legends over pictures, and legends below small ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.reports.drawing.legend import INK, PAPER, Entry, Layout, letter_size
from hierseg_jax.reports.drawing.overlay import overlay, paint_of
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.reports.drawing.plate import (
    Plate,
    calmest_corner,
    caption_plate,
    lay_over,
    legend_plate,
)
from hierseg_jax.system.fonts import find_fonts
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.test_drawing import painted

FONTS = find_fonts([], lambda letter: [])
PARTS = PASCAL_PERSON_PART.levels[-1]
NAMES = ["head", "upper_clothes", "lower_clothes", "footwear", "carried", "skin"]


def scene(height, width):
    image_hwc = np.full((height, width, 3), 100, np.uint8)
    label_hw = np.zeros((height, width), np.uint8)
    label_hw[height // 3 :, : width // 2], label_hw[: height // 4, width // 2 :] = 2, 4
    return image_hwc, label_hw


@pytest.mark.parametrize("size", [(260, 173), (300, 200), (195, 260), (225, 300)])
def test_a_legend_of_a_small_picture_takes_less_than_a_quarter_of_it(size):
    em = letter_size(size)
    layout = Layout.of("part", NAMES, size[1], em, FONTS, most=9)
    assert layout.rows(6) <= 3
    assert (layout.rows(6) * round(1.6 * em) + em) / size[0] < 0.25


def test_words_in_lines_neither_meet_nor_leave_the_strip():
    layout = Layout.of("part", NAMES, 173, 10, FONTS, most=9)
    places = [layout.place(number) for number in range(layout.places(9))]
    assert len(places) == len(NAMES)
    assert places == sorted(places, key=lambda place: (place[1], place[0]))
    assert all(0 < left < 173 for left, _ in places)
    # A table where it takes no more rows: its columns stand below one another.
    assert not Layout.of("part", NAMES, 425, 12, FONTS, most=9).line


@given(st.integers(40, 900), st.sampled_from([0, 1, 2, 9]), st.integers(1, 6))
def test_a_title_is_there_unless_it_makes_the_legend_higher_than_two_rows(width, most, count):
    """Beside the classes, or as their first word; it never lies on one of them."""
    names = NAMES[:count]
    layout = Layout.of("level", names, width, 12, FONTS, most)
    bare = Layout.of("", names, width, 12, FONTS, most)
    allowed = max(bare.rows(count), min(most or 2, 2))
    assert layout.rows(count) <= allowed
    if most and width > 120 and bare.rows(count) < allowed:
        assert layout.lead
    assert layout.lead <= width
    places = [layout.place(number) for number in range(count)]
    assert places == sorted(set(places), key=lambda place: (place[1], place[0]))
    first_row = min(bare.place(0)[1], *(baseline for _, baseline in places))
    for left, baseline in places:
        assert baseline > first_row or left > layout.lead


def test_a_title_is_beside_the_classes_or_their_first_word():
    def layout(title, names, width):
        return Layout.of(title, names, width, 12, FONTS, most=9)

    beside = layout("part", ["head", "skin"], 400)
    assert (beside.lead > 0, beside.line) == (True, ())
    # Words of a first row and others from the left below it, which a column beside leaves no room.
    first = layout("a long name of a level", ["head", "skin", "footwear", "carried"], 260)
    assert first.place(0)[0] > first.lead > first.place(2)[0] > 0
    alone = layout("a long name of a level", ["upper_clothes"], 200)
    assert alone.lead > 0
    assert alone.place(0)[1] > layout("", ["upper_clothes"], 200).place(0)[1]
    assert layout("a long name of a level", [], 150).rows(0) == 1


@pytest.mark.parametrize("size", [(260, 300), (480, 640), (600, 1000)])
def test_a_video_keeps_its_size_and_a_class_its_place_in_the_corner(size):
    painter = Painter(PASCAL_PERSON_PART.levels, steady=True, legend="corner")
    image_hwc, label_hw = scene(*size)
    drawn = painter.draw(image_hwc, label_hw, PARTS)
    assert drawn.shape == image_hwc.shape
    assert painter.legend_height(size) == 0
    plain = overlay(image_hwc, label_hw, paint_of(PARTS), bgr=True)
    changed_hw = (drawn != plain).any(2)
    assert 0 < changed_hw.mean() < 0.12
    rows, columns = np.nonzero(changed_hw)
    assert rows.min() > size[0] / 2  # in the corner below that has no class
    assert columns.min() > size[1] / 2
    one = painter.draw(image_hwc, np.where(label_hw == 2, label_hw, 0), PARTS)
    torso = [(each == PARTS.colors[2][::-1]).all(2) & changed_hw for each in (drawn, one)]
    np.testing.assert_array_equal(*torso)
    assert torso[0].any()


def test_no_legend_leaves_the_picture_alone():
    image_hwc, label_hw = scene(60, 80)
    drawn = Painter([PARTS], legend="none").draw(image_hwc, label_hw, PARTS)
    np.testing.assert_array_equal(drawn, overlay(image_hwc, label_hw, paint_of(PARTS), bgr=True))


def test_many_classes_in_a_corner_are_counted():
    level = Hierarchy.from_mapping([*range(1, 100)]).levels[-1]
    label_hw = np.arange(100, dtype=np.uint8)[None].repeat(120, 0).repeat(3, 1)
    image_hwc = np.zeros((*label_hw.shape, 3), np.uint8)
    drawn = Painter([level], steady=True, legend="corner").draw(image_hwc, label_hw, level)
    assert drawn.shape == image_hwc.shape


def test_more_and_less_paint():
    image_hwc, label_hw = scene(60, 80)
    paint = paint_of(PARTS)
    inside = np.s_[40, 10]
    for share in (0.0, 0.25, 0.75):
        drawn = overlay(image_hwc, label_hw, paint, photo_share=share)
        expected = painted(100, PARTS.colors[2], 1 - share)
        np.testing.assert_allclose(drawn[inside], expected, atol=1)
    drawn = overlay(image_hwc, label_hw, paint, photo_share=1.0)
    np.testing.assert_array_equal(drawn, image_hwc)
    assert drawn is not image_hwc


def test_a_plate_lets_the_picture_through_between_its_words():
    entries = [Entry("torso", (255, 0, 0)), None, Entry("head", (0, 0, 255))]
    plate = legend_plate(entries, 100, 12, FONTS)
    line = len(plate.cover_hw) // 3
    assert not plate.cover_hw[line : 2 * line].any()
    picture_hwc = np.full((200, 300, 3), 200, np.uint8)
    lay_over(picture_hwc, plate, (1, 0), bgr=True)
    assert (picture_hwc == (0, 0, 255)).all(2).any()
    assert (picture_hwc == INK[::-1]).all(2).any()
    behind = np.round(200 + 204 / 255 * (np.array(PAPER[::-1]) - 200.0))
    assert (picture_hwc == behind).all(2).any()
    assert (picture_hwc[:100] == 200).all()


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (300, 300)])
def test_a_plate_may_be_larger_than_its_picture(size):
    plate = caption_plate((("part 3/3   24 FPS", ""), ("l", "the next level")), 12, FONTS)
    for corner in ((0, 0), (1, 1)):
        picture_hwc = np.full((*size, 3), 200, np.uint8)
        lay_over(picture_hwc, plate, corner)
        assert (picture_hwc != 200).any()


def test_the_calmest_corner_has_the_fewest_pixels_of_classes():
    busy_hw = np.zeros((100, 100), np.uint8)
    assert calmest_corner(busy_hw, (20, 20)) == (1, 0)
    busy_hw[70:, :40] = 1
    assert calmest_corner(busy_hw, (20, 20)) == (1, 1)
    busy_hw[70:] = 1
    assert calmest_corner(busy_hw, (20, 20)) == (0, 1)


def test_what_is_there_alone_is_seen_of_a_plate():
    canvas_hwc = np.full((2, 2, 3), PAPER, np.uint8)
    plate = Plate(canvas_hwc, np.array([[0, 255], [0, 0]], np.uint8))
    picture_hwc = np.full((2, 2, 3), 90, np.uint8)
    lay_over(picture_hwc, plate, (0, 0))
    assert (picture_hwc == 90).all(2).sum() == 3

"""Paint, outlines, and legends of what is there, at any size."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.reports.drawing.legend import (
    NOTHING,
    PAPER,
    Entry,
    Layout,
    draw_legend,
    letter_size,
    most_rows,
)
from hierseg_jax.reports.drawing.lettering import letters_for
from hierseg_jax.reports.drawing.overlay import (
    STRIP,
    Paint,
    outline_width,
    overlaid,
    overlay,
    paint_of,
)
from hierseg_jax.reports.drawing.painter import Painter, pixels_of
from hierseg_jax.system.fonts import find_fonts
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

FONTS = find_fonts([], lambda letter: [])
PARTS = PASCAL_PERSON_PART.levels[-1]
HEAD, TORSO = 4, 2


def scene(height=60, width=80):
    """A grey photograph; a head on the left half, a torso on the right, background around."""
    image_hwc = np.full((height, width, 3), 100, np.uint8)
    label_hw = np.zeros((height, width), np.uint8)
    label_hw[10:-10, 10 : width // 2], label_hw[10:-10, width // 2 : -10] = HEAD, TORSO
    return image_hwc, label_hw


def painted(grey, color, paint=0.6):
    """A colour over a photograph, whose black and white are nearer to each other below paint."""
    below = 107 * paint + grey / 255 * (255 - 52 * paint - 107 * paint)
    return (1 - paint) * below + paint * color


def test_regions_are_mostly_paint_with_an_outline_in_full_colour():
    image_hwc, label_hw = scene()
    drawn = overlay(image_hwc, label_hw, paint_of(PARTS))
    for label, inside, border in ((HEAD, (30, 20), (30, 39)), (TORSO, (30, 60), (30, 40))):
        color = PARTS.colors[label]
        np.testing.assert_allclose(drawn[inside], painted(100, color), atol=1)
        np.testing.assert_array_equal(drawn[border], color)
    np.testing.assert_array_equal(drawn[label_hw == 0], 100)
    outlined = (drawn == PARTS.colors[label_hw]).all(2) & (label_hw > 0)
    # Thin, and around the whole of each region.
    eroded = cv2.erode((label_hw == HEAD).astype(np.uint8), np.ones((3, 3)))
    around_hw = (label_hw == HEAD) & (eroded == 0)
    np.testing.assert_array_equal(outlined[:, :40], around_hw[:, :40])


def test_an_image_s_own_edge_is_no_border():
    label_hw = np.full((40, 50), HEAD, np.uint8)
    drawn = overlay(np.full((40, 50, 3), 100, np.uint8), label_hw, paint_of(PARTS))
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 1


def test_large_pictures_are_drawn_as_if_in_one_piece():
    rng = np.random.default_rng(0)
    label_hw = cv2.resize(rng.integers(0, 7, (9, 7)).astype(np.uint8), (900, 950), interpolation=0)
    assert label_hw.size > 4 * STRIP
    image_hwc = rng.integers(0, 256, (950, 900, 3), np.uint8)
    reach = outline_width(label_hw.shape)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    border_hw = cv2.morphologyEx(label_hw, cv2.MORPH_GRADIENT, around) > 0
    drawn = overlay(image_hwc, label_hw, paint_of(PARTS))
    full = (drawn == PARTS.colors[label_hw]).all(2)
    assert full[border_hw & (label_hw > 0)].all()
    assert full[~border_hw].mean() < 0.01
    np.testing.assert_array_equal(drawn[label_hw == 0], image_hwc[label_hw == 0])


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(0, 2),
    st.sampled_from((0.0, 0.25, 0.5)),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_only_what_is_painted_is_looked_at_and_nothing_else_changes(size, most, share, seed):
    """By definition: the whole picture, mixed everywhere."""
    rng = np.random.default_rng(seed)
    label_hw = rng.choice([0, 0, 0, HEAD, TORSO, 255], (3, 4)).astype(np.uint8)
    label_hw = cv2.resize(label_hw, size, interpolation=cv2.INTER_NEAREST)
    image_hwc = rng.integers(0, 256, (*label_hw.shape, 3), np.uint8)
    colors_k3, painted_k = rng.integers(0, 256, (256, 3)).astype(np.uint8), np.zeros(256, np.uint8)
    painted_k[[HEAD, TORSO][:most]] = 1
    found = overlay(image_hwc, label_hw, Paint(colors_k3, painted_k), photo_share=share)
    reach = outline_width(label_hw.shape)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    border_hw = cv2.morphologyEx(label_hw, cv2.MORPH_GRADIENT, around) > 0
    grey_hwc = cv2.cvtColor(cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colors_hwc = colors_k3[label_hw]
    mixed_hwc = painted(grey_hwc.astype(float), colors_hwc, 1 - share)
    mixed_hwc[border_hw] = colors_hwc[border_hw]
    expected = np.where(painted_k[label_hw][..., None] == 1, mixed_hwc, image_hwc)
    assert np.abs(found - expected).max() <= 0.51  # rounded


@pytest.mark.parametrize("classes", [range(1, 4), range(1, 200)])
def test_pixels_of_classes_are_counted_alike(classes):
    labels_hw = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    counts = np.bincount(labels_hw.ravel(), minlength=256)
    np.testing.assert_array_equal(pixels_of(labels_hw, classes), counts[list(classes)])


def test_classes_of_one_group_have_no_border_where_the_group_is_drawn():
    image_hwc, label_hw = scene()
    drawn = overlaid(image_hwc, label_hw, PASCAL_PERSON_PART, 0)
    assert (drawn[20:40, 15:65] == drawn[20, 15]).all()
    finest = overlaid(image_hwc, label_hw, PASCAL_PERSON_PART, 2)
    assert (finest[20:40, 40] == PARTS.colors[TORSO]).all()


def test_ignored_pixels_are_pale_in_reports_and_the_photograph_in_the_runtime():
    image_hwc, label_hw = scene()
    label_hw[:] = 255
    pale_hwc = overlaid(image_hwc, label_hw, PASCAL_PERSON_PART, 2)
    assert (pale_hwc == round(painted(100, 224))).all()
    assert (overlay(image_hwc, label_hw, paint_of(PARTS)) == 100).all()


def test_outlines_and_letters_grow_with_the_picture():
    sizes = [(300, 200), (825, 550), (1500, 1000), (4500, 3000)]
    assert [outline_width(size) for size in sizes] == [1, 1, 2, 8]
    letters = [letter_size(size) for size in sizes]
    assert letters[0] == 12
    assert letters == sorted(letters)
    # At the size of a screen they are about as large in all.
    assert all(14 < 1000 * em / size[0] < 42 for em, size in zip(letters, sizes, strict=True))


def squares(strip_hw3, names, colors):
    """Names whose colour is in a strip."""
    shown = strip_hw3.astype(int) @ (1 << 16, 1 << 8, 1)
    present_c = np.isin(colors.astype(int) @ (1 << 16, 1 << 8, 1), shown)
    return [name for name, present in zip(names, present_c, strict=True) if present]


@pytest.mark.parametrize("size", [(300, 200), (825, 550), (550, 825), (1500, 1000)])
def test_a_legend_below_names_what_is_there_and_covers_nothing(size):
    image_hwc, label_hw = scene(*size)
    drawn = Painter(PASCAL_PERSON_PART.levels).draw(image_hwc, label_hw, PARTS)
    np.testing.assert_array_equal(
        drawn[: size[0]], overlay(image_hwc, label_hw, paint_of(PARTS), bgr=True)
    )
    strip_hw3 = drawn[size[0] :, :, ::-1]
    assert 0 < len(strip_hw3) < 0.3 * size[0]
    there = squares(strip_hw3, PARTS.class_names, PARTS.colors)
    assert there == ["torso", "head"]


@pytest.mark.parametrize("steady", [False, True])
def test_a_legend_of_nothing_says_so_beside_the_level(steady):
    image_hwc, label_hw = scene(300, 400)

    def ends(labels_hw):
        """Columns of a picture's legend that have ink, the first and the last."""
        drawn = Painter([PARTS], steady=steady).draw(image_hwc, labels_hw, PARTS)
        inked = np.flatnonzero((drawn[300:, :, ::-1] != PAPER).any((0, 2)))
        return inked[0], inked[-1]

    start, end = ends(0 * label_hw)
    assert start == ends(label_hw)[0]  # the title
    em = letter_size((300, 400))
    title, said = (letters_for(text, FONTS, em).width(text) for text in ("part", NOTHING))
    assert title + said < end - start < title + said + 2 * em


def test_a_class_of_a_pixel_or_two_is_not_named_in_a_large_picture():
    image_hwc, label_hw = scene(400, 400)
    label_hw[0, 0] = 6
    drawn = Painter([PARTS]).draw(image_hwc, label_hw, PARTS)
    assert squares(drawn[400:, :, ::-1], PARTS.class_names, PARTS.colors) == ["torso", "head"]


def test_frames_of_a_video_are_equally_high_and_classes_keep_their_place():
    painter = Painter(PASCAL_PERSON_PART.levels, steady=True)
    image_hwc, label_hw = scene(240, 320)
    both = painter.draw(image_hwc, label_hw, PARTS)
    torso = painter.draw(image_hwc, np.where(label_hw == TORSO, label_hw, 0), PARTS)
    none = painter.draw(image_hwc, 0 * label_hw, PARTS)
    assert both.shape == torso.shape == none.shape
    height = painter.legend_height((240, 320))
    assert height == len(both) - 240
    assert height % 2 == 0
    color = PARTS.colors[TORSO][::-1]
    at = [np.argwhere((drawn[240:] == color).all(2)).min(0).tolist() for drawn in (both, torso)]
    assert at[0] == at[1]
    levels = PASCAL_PERSON_PART.levels
    maps = {level.name: level.leaf_to_class[label_hw].astype(np.uint8) for level in levels}
    three = painter.draw_levels(image_hwc, maps, levels)
    assert three.shape == (240 + height, 3 * 320, 3)


def test_many_classes_are_counted_where_they_find_no_room_and_the_largest_stay():
    level = Hierarchy.from_mapping([*range(1, 100)]).levels[-1]
    label_hw = np.arange(100, dtype=np.uint8)[None].repeat(120, 0).repeat(3, 1)
    label_hw[:, :100] = 77
    drawn = Painter([level]).draw(np.zeros((*label_hw.shape, 3), np.uint8), label_hw, level)
    strip_hw3 = drawn[120:, :, ::-1]
    assert len(strip_hw3) <= 0.7 * 120
    there = squares(strip_hw3, level.class_names, level.colors)
    assert "class_77" in there
    assert 2 <= len(there) < 20


@pytest.mark.parametrize("place", ["below", "corner"])
def test_each_picture_s_legend_names_what_is_largest_in_it(place):
    tree = Hierarchy.from_mapping(
        list(range(1, 41)), ["background", *(f"c{i}" for i in range(1, 41))]
    )
    label_hw = np.arange(200 * 300).reshape(200, 300) // 600 % 41
    drawn = []
    for largest in (5, 39):
        shown_hw = label_hw.astype(np.uint8)
        shown_hw[100:] = largest
        drawn.append(shown_hw)
    image_bgr = np.full((200, 300, 3), 100, np.uint8)
    painter = Painter(tree.levels, legend=place)
    for shown_hw in [*drawn, *drawn]:
        alone = Painter(tree.levels, legend=place).draw(image_bgr, shown_hw, tree.levels[0])
        np.testing.assert_array_equal(painter.draw(image_bgr, shown_hw, tree.levels[0]), alone)


@pytest.mark.parametrize("width", [1, 8, 40, 90, 200, 3000])
def test_no_legend_is_wider_than_its_picture(width):
    names = ["head", "a name that is as long as names are", "x"]
    size = (100, width)
    layout = Layout.of("level", names, width, letter_size(size), FONTS)
    entries = [Entry(name, (255, 0, 0), hatched=True) for name in names]
    assert draw_legend(layout, "level", entries, most_rows(size), FONTS).shape[1:] == (width, 3)

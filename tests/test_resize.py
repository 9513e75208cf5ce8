"""Where pictures come to lie in the network's input, and the way back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.resize import GREY, RESIZES, SAMPLINGS, Box, Resize, place
from tests.test_pipeline import Photograph

SIDES = st.integers(1, 60)
SIZES = st.tuples(SIDES, SIDES)


def test_boxes_of_a_wide_picture_in_a_square():
    whole, square = Box(0, 0, 100, 200), Box(0, 0, 64, 64)
    found = {rule: place((100, 200), (64, 64), rule) for rule in RESIZES}
    assert (found["stretch"].seen, found["stretch"].filled) == (whole, square)
    assert (found["letterbox"].seen, found["letterbox"].filled) == (whole, Box(16, 0, 32, 64))
    assert (found["crop"].seen, found["crop"].filled) == (Box(0, 50, 100, 100), square)
    with pytest.raises(ValueError, match="'zoom'; choose stretch, letterbox, crop"):
        place((100, 200), (64, 64), "zoom")


@given(SIZES, SIZES, st.sampled_from(RESIZES), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_points_go_to_the_input_and_back(picture, size, rule, seed):
    placement = place(picture, size, rule)
    points = np.random.default_rng(seed).uniform(0, 1, (20, 2)) * picture
    there = placement.to_input(points)
    np.testing.assert_allclose(placement.to_picture(there), points, rtol=0, atol=1e-6)
    seen, filled = placement.seen, placement.filled
    corners = [(seen.top, seen.left), (seen.top + seen.height, seen.left + seen.width)]
    ends = [(filled.top, filled.left), (filled.top + filled.height, filled.left + filled.width)]
    np.testing.assert_allclose(placement.to_input(corners), ends, rtol=0, atol=1e-9)


@given(SIZES, SIZES, st.sampled_from(RESIZES), st.data())
@settings(max_examples=200, deadline=None)
def test_a_painted_pixel_is_found_where_its_centre_goes(picture, size, rule, data):
    placement = place(picture, size, rule)
    seen, filled = placement.seen, placement.filled
    y = seen.top + data.draw(st.integers(0, seen.height - 1))
    x = seen.left + data.draw(st.integers(0, seen.width - 1))
    # Where the picture shrinks, as wide as a pixel of the input, or bilinear steps over it.
    reach_y, reach_x = (
        0 if ratio <= 1 else int(np.ceil(ratio / 2)) + 1
        for ratio in (seen.height / filled.height, seen.width / filled.width)
    )
    image = np.zeros((*picture, 3), np.uint8)
    image[max(0, y - reach_y) : y + reach_y + 1, max(0, x - reach_x) : x + reach_x + 1] = 250
    fitted = np.zeros((*size, 3), np.uint8)
    # Bars as dark as the rest.
    fitted[filled.rows_columns] = placement.fit_image(image)[filled.rows_columns]
    row, column = np.floor(placement.to_input([(y + 0.5, x + 0.5)])[0]).astype(int)
    near = fitted[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    # OpenCV's fixed-point rounding may differ by a step along a row.
    assert near.max() + 1 >= fitted.max() >= 60
    # And what lies apart from it, in the picture, stays dark.
    rows, columns = np.nonzero(fitted[..., 0])
    back = placement.to_picture(np.stack([rows, columns], -1) + 0.5)
    far = np.abs(back - (y + 0.5, x + 0.5)) - (reach_y + 1.5, reach_x + 1.5)
    assert (far <= 1e-6).all()


@given(SIZES, SIZES, st.sampled_from(RESIZES))
@settings(max_examples=100, deadline=None)
def test_bars_are_grey_and_ignored_and_unseen_pixels_come_back_as_ignored(picture, size, rule):
    placement = place(picture, size, rule)
    image = placement.fit_image(np.full((*picture, 3), 7, np.uint8))
    label = placement.fit_labels(np.full(picture, 3, np.uint8))
    assert image.shape == (*size, 3)
    assert label.shape == size
    inside = np.zeros(size, bool)
    inside[placement.filled.rows_columns] = True
    np.testing.assert_array_equal(image, np.where(inside, 7, GREY)[..., None].repeat(3, -1))
    np.testing.assert_array_equal(label, np.where(inside, 3, 255))
    assert inside.all() == (rule != "letterbox" or placement.filled == Box(0, 0, *size))

    # What stands in the bars never comes back.
    predicted = np.where(inside, np.uint8(2), np.uint8(9))
    seen = np.zeros(picture, bool)
    seen[placement.seen.rows_columns] = True
    np.testing.assert_array_equal(placement.restore_labels(predicted), np.where(seen, 2, 255))
    scores = placement.restore_scores(np.where(inside, np.float32(0.5), np.float32(9)))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, np.where(seen, 0.5, 0), atol=1e-6)


@pytest.mark.parametrize(("size", "filled"), [((32, 48), (32, 46)), ((48, 24), (17, 24))])
def test_batches_are_letterboxed(size, filled):
    source = Photograph()  # 37 x 53
    how = Resize("letterbox", "reference")
    (batch,) = eval_batches(source, size=size, resize=how, batch_size=1)
    height, width = filled
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    part = np.s_[top : top + height, left : left + width]
    image = cv2.resize(source.image, (width, height))
    label = cv2.resize(source.label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    np.testing.assert_array_equal(batch["image"][0][part], image)
    np.testing.assert_array_equal(batch["label"][0][part], label)
    batch["label"][0][part] = 255
    assert (batch["label"] == 255).all()

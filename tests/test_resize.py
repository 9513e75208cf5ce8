"""Where pictures come to lie in the network's input, and the way back."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.resize import GREY, RESIZES, Box, Resize, place
from hierseg_jax.data.sampling import SAMPLINGS
from hierseg_jax.data.sizes import share_of_size
from tests.test_pipeline import Photograph

SIDES = st.integers(1, 60)
SIZES = st.tuples(SIDES, SIDES)


def test_boxes_of_a_wide_picture_in_a_square():
    whole, square = Box(0, 0, 100, 200), Box(0, 0, 64, 64)
    found = {rule: place((100, 200), (64, 64), rule) for rule in RESIZES}
    assert (found["stretch"].seen, found["stretch"].filled) == (whole, square)
    assert (found["letterbox"].seen, found["letterbox"].filled) == (whole, Box(16, 0, 32, 64))
    assert (found["crop"].seen, found["crop"].filled) == (Box(0, 50, 100, 100), square)
    with pytest.raises(ValueError, match="'zoom'; choose one of stretch, letterbox, crop"):
        place((100, 200), (64, 64), "zoom")


@given(SIZES, SIZES, st.sampled_from([1, 4, 8, 32]), st.sampled_from(RESIZES))
@settings(max_examples=200, deadline=None)
def test_a_letterbox_is_trimmed_to_the_multiples_that_hold_the_picture(
    picture, multiples, stride, rule
):
    size = multiples[0] * stride, multiples[1] * stride
    placement = place(picture, size, rule)
    trimmed = placement.trimmed(stride)
    if rule != "letterbox":
        assert trimmed == placement
        return
    before, after = placement.filled, trimmed.filled
    assert (trimmed.picture, trimmed.seen) == (placement.picture, placement.seen)
    assert (after.height, after.width) == (before.height, before.width)
    for axis, (start, length) in enumerate(((after.top, after.height), (after.left, after.width))):
        bars = trimmed.size[axis] - length
        assert trimmed.size[axis] % stride == 0
        assert trimmed.size[axis] <= size[axis]
        assert 0 <= bars < stride
        assert start == bars // 2
    # The picture itself comes to the same pixels.
    image = np.random.default_rng(0).integers(0, 256, (*picture, 3), np.uint8)
    np.testing.assert_array_equal(
        trimmed.fit_image(image)[after.rows_columns],
        placement.fit_image(image)[before.rows_columns],
    )


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


@given(SIZES, SIZES, st.sampled_from(RESIZES), st.sampled_from(SAMPLINGS), st.data())
@settings(max_examples=200, deadline=None)
def test_a_painted_pixel_is_found_where_its_centre_goes(picture, size, rule, sampling, data):
    placement = place(picture, size, rule, sampling)
    seen, filled = placement.seen, placement.filled
    y = seen.top + data.draw(st.integers(0, seen.height - 1))
    x = seen.left + data.draw(st.integers(0, seen.width - 1))
    # Where the picture shrinks, as wide as a pixel of the input, or bilinear steps over it.
    ratios = seen.height / filled.height, seen.width / filled.width
    reach_y, reach_x = (0 if ratio <= 1 else int(np.ceil(ratio / 2)) + 1 for ratio in ratios)
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
    # A filter sees all that a pixel of the input covers, plain bilinear sampling its middle.
    covered = [ratio / 2 if sampling == "exact" and ratio > 2 else 0 for ratio in ratios]
    far = np.abs(back - (y + 0.5, x + 0.5)) - (reach_y + 1.5, reach_x + 1.5) - covered
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


def disc(picture, center, radii):
    """Ones within an ellipse, uint8, and its centre of gravity (y, x) in pixels."""
    y, x = (np.indices(picture) + 0.5).astype(np.float64)
    inside = ((y - center[0]) / radii[0]) ** 2 + ((x - center[1]) / radii[1]) ** 2 <= 1
    return inside.astype(np.uint8), gravity(inside)


def gravity(weights_hw):
    y, x = np.indices(weights_hw.shape) + 0.5
    return np.array([(weights_hw * y).sum(), (weights_hw * x).sum()]) / weights_hw.sum()


def shifts(picture, size, rule, sampling, seed, places):
    """How far labels and image lie beside where an ellipse belongs, in pixels of the input.

    Of many places, for at each the pixels cut it up otherwise: [places, 2, (y, x)].
    """
    rng = np.random.default_rng(seed)
    placement = place(picture, size, rule, sampling)
    seen = np.array([placement.seen.height, placement.seen.width])
    corner = np.array([placement.seen.top, placement.seen.left])
    found = []
    for _ in range(places):
        # Within what is seen, wherever it lies.
        middle = corner + seen * rng.uniform(0.4, 0.6, 2)
        inside, center = disc(picture, middle, seen * rng.uniform(0.2, 0.3, 2))
        label = placement.fit_labels(inside)
        image = placement.fit_image(np.repeat(250 * inside[..., None], 3, axis=2))[..., 0]
        there = placement.to_input(center[None])[0]
        image = np.where(label == 255, 0, image.astype(float))
        found.append((gravity(label == 1) - there, gravity(image) - there))
    return np.array(found)


@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.5, 2, 3, 4, (6, 3.375), (1.33, 2)])
def test_labels_and_images_lie_where_they_belong(ratio):
    size = (64, 48)
    picture = tuple(np.rint(np.array(size) * ratio).astype(int).tolist())
    assert (np.abs(shifts(picture, size, "stretch", "exact", 0, 300).mean(0)) < 0.02).all()


RATIOS = st.one_of(st.floats(0.3, 7), st.sampled_from((0.5, 1.5, 2.0, 3.0, 4.0, 6.0)))


@given(st.tuples(RATIOS, RATIOS), st.sampled_from(RESIZES), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_under_every_rule_they_do_at_any_size(ratios, rule, seed):
    size = (41, 64) if seed % 2 else (64, 48)
    picture = tuple(max(16, round(side * ratio)) for side, ratio in zip(size, ratios, strict=True))
    filled = place(picture, size, rule).filled
    assume(min(filled.height, filled.width) >= 12)
    found = shifts(picture, size, rule, "exact", seed, 40)
    # What is left of the cutting up, five times its standard error.
    noise = 5 * found.std(0) / len(found) ** 0.5
    assert (np.abs(found.mean(0)) < 0.02 + noise).all()


def test_the_reference_moves_labels_by_almost_half_a_pixel():
    label_shift, image_shift = shifts((384, 162), (64, 48), "stretch", "reference", 0, 300).mean(0)
    np.testing.assert_allclose(label_shift, (0.42, 0.48), atol=0.02)
    assert (np.abs(image_shift) < 0.02).all()


def test_a_disc_comes_back_as_it_was():
    """Of 60 pixels in a picture of 1920 x 1080, by 320 x 320 of a network that misses nothing."""
    inside, center = disc((1080, 1920), (540, 960), (60, 60))
    placement = place((1080, 1920), (320, 320), "stretch")
    # The network's scores: how much of each of its pixels is disc.
    scores = placement.fit_image(np.repeat(255 * inside[..., None], 3, axis=2))[..., 0]
    back = placement.restore_scores(scores.astype(np.float32) / 255) > 0.5
    assert (back & (inside > 0)).sum() / (back | (inside > 0)).sum() > 0.99
    np.testing.assert_allclose(gravity(back), center, atol=0.05)


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.floats(0.3, 2),
    st.sampled_from([8, 32]),
)
def test_a_share_of_a_size_keeps_its_proportions_as_well_as_multiples_allow(times, share, stride):
    size = (times[0] * stride, times[1] * stride)
    found = share_of_size(size, share, stride)
    for side, of in zip(found, size, strict=True):
        assert side >= stride
        assert side % stride == 0
        assert side == stride or abs(side - share * of) <= stride
    skew = abs(np.log(found[0] / found[1] * size[1] / size[0]))
    nearest = [max(stride, round(share * of / stride) * stride) for of in size]
    assert skew <= abs(np.log(nearest[0] / nearest[1] * size[1] / size[0])) + 1e-6
    assert share_of_size(size, 1, stride) == size

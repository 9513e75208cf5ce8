"""Borders of labels follow a picture's edges: a guided filter, as its paper defines it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.guided_labels import CELL, COARSE, NEAR, NOISE, REACH, guided_labels
from hierseg_jax.data.picture_labels import log_planes, picture_labels, scores_of
from hierseg_jax.data.resize import RESIZES, place
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.parsing import IGNORE_LABEL
from tests.test_picture_labels import flat, smooth_logits, softmax

SIDES = st.integers(1, 30)


def box_mean(of_hw, radius):
    """Over the square around each point, mirrored at the edges; one point after another."""
    width = of_hw.shape[1]
    rows = np.pad(of_hw, radius, mode="symmetric")
    span = 2 * radius + 1
    return np.array(
        [
            [rows[y : y + span, x : x + span].mean() for x in range(width)]
            for y in range(of_hw.shape[0])
        ]
    )


def counts_around(bears_chw, radius):
    """How many of the square around each pixel bear a class, mirrored at the edges."""
    counts = np.int64(bears_chw)
    for axis in (1, 2):
        pad = [(radius + 1, radius) if i == axis else (0, 0) for i in range(3)]
        sums = np.pad(counts, pad, mode="symmetric").cumsum(axis)
        size, span = bears_chw.shape[axis], 2 * radius + 1
        counts = sums.take(np.arange(span, span + size), axis) - sums.take(np.arange(size), axis)
    return counts


def enlarged(of_hw, size):
    """Bilinear, centres of pixels at half-integers: float64."""
    for axis, pixels in ((0, size[0]), (1, size[1])):
        cells = of_hw.shape[axis]
        at = ((np.arange(pixels) + 0.5) * cells / pixels - 0.5).clip(0, cells - 1)
        below = np.minimum(at.astype(int), max(cells - 2, 0))
        above, share = np.minimum(below + 1, cells - 1), at - below
        share = share[:, None] if axis == 0 else share
        of_hw = of_hw.take(below, axis) * (1 - share) + of_hw.take(above, axis) * share
    return of_hw


def slow_scores(planes_chw, placement, image_hwc, every=False):
    """Of the part of the picture that was seen, every class by itself: float64 [C, H, W]."""
    seen = image_hwc[placement.seen.rows_columns]
    scores = [scores_of(placement.filled_scores(plane)) for plane in planes_chw]
    filled = placement.filled
    height = min(scores[0].shape[0], max(1, filled.height // CELL))
    width = min(scores[0].shape[1], max(1, filled.width // CELL))
    if scores[0].shape != (height, width):
        scores = [cv2.resize(of, (width, height), interpolation=cv2.INTER_AREA) for of in scores]
    radius = max(1, round(REACH * width / filled.width))
    small = cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA)
    guide = np.moveaxis(small.reshape(height, width, 3), -1, 0) / 255.0
    mean = [box_mean(channel, radius) for channel in guide]
    covariance = np.array(
        [
            [box_mean(a * b, radius) - m * n for b, n in zip(guide, mean, strict=True)]
            for a, m in zip(guide, mean, strict=True)
        ]
    )
    inverse = np.linalg.inv(np.moveaxis(covariance, (0, 1), (2, 3)) + NOISE * np.eye(3))
    found = []
    for score in np.float64(scores):
        score_mean = box_mean(score, radius)
        together = [
            box_mean(score * a, radius) - score_mean * m for a, m in zip(guide, mean, strict=True)
        ]
        factors = np.einsum("hwij,jhw->ihw", inverse, np.array(together))
        constant = score_mean - (factors * mean).sum(0)
        of_pixels = enlarged(box_mean(constant, radius), seen.shape[:2])
        for factor, channel in zip(factors, np.moveaxis(seen, -1, 0), strict=True):
            of_pixels += enlarged(box_mean(factor, radius), seen.shape[:2]) * channel / 255.0
        # What is far from the likeliest everywhere is not sought.
        close = every or (score >= NEAR * np.max(scores, axis=0)).any()
        found.append(of_pixels if close else np.full(seen.shape[:2], -np.inf))
    return np.array(found)


@given(
    st.integers(2, 9),
    st.tuples(st.integers(1, 250), st.integers(1, 250)),
    st.tuples(SIDES, SIDES),
    st.sampled_from((1, 2, 4)),
    st.sampled_from(RESIZES),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_labels_are_the_filter_s_most_frequent_ones_but_where_two_scores_meet(
    channels, picture, grid, stride, rule, seed
):
    planes = log_planes(softmax(smooth_logits(channels, *grid, seed)))
    placement = place(picture, (grid[0] * stride, grid[1] * stride), rule)
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    image = cv2.resize(blocks, picture[::-1], interpolation=cv2.INTER_LINEAR)
    label = guided_labels(planes, placement, flat(channels), image)
    seen_label = label[placement.seen.rows_columns]
    scores = slow_scores(planes, placement, image)
    first, second = np.sort(scores, axis=0)[[-1, -2]]
    seen, filled = placement.seen, placement.filled
    scale = min(seen.width / filled.width, seen.height / filled.height)
    radius = max(1, int(scale / 2)) if scale >= COARSE else 0
    # The most frequent class of the square around a pixel; where two scores meet it may be either.
    possible = counts_around(scores >= first - 1e-3, radius)
    certain = counts_around((scores == first) & (first > second + 1e-3), radius)
    chosen = np.take_along_axis(possible, seen_label[None].astype(int), 0)[0]
    # What is far from the likeliest in a part of the picture is not sought there either.
    assert np.mean(chosen >= certain.max(0)) > 0.99
    outside = np.ones(picture, bool)
    outside[placement.seen.rows_columns] = False
    assert np.array_equal(label == IGNORE_LABEL, outside)


def test_texture_leaves_no_specks():
    rng = np.random.default_rng(0)
    true = disc(240, 70)
    # Fine light and dark dots in two colours, which overlap.
    image = (np.where(true, 140, 100)[..., None] + rng.integers(-30, 31, (240, 240, 1))).repeat(
        3, 2
    )
    p = cv2.GaussianBlur(np.float32(cv2.resize(np.float32(true), (30, 30))), (0, 0), 1)
    label = guided_labels(
        log_planes(np.stack([1 - p, p])),
        place((240, 240), (60, 60), "stretch"),
        flat(2),
        image.astype(np.uint8),
    )
    regions = sum(cv2.connectedComponents(np.uint8(label == of))[0] - 1 for of in (0, 1))
    assert regions <= 6
    assert iou(label == 1, true) > 0.95


def disc(side, radius):
    at = np.arange(side) + 0.5 - side / 2
    return np.hypot(at[:, None], at) < radius


def iou(found, true):
    return (found & true).sum() / (found | true).sum()


@pytest.mark.parametrize(
    "colours", [((200, 60, 60), (60, 60, 60)), ((130, 130, 130), (90, 90, 90))]
)
def test_a_blurred_disc_has_the_picture_s_edge(colours):
    true = disc(240, 70)
    image = np.where(true[..., None], *(np.uint8(colour) for colour in colours)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(-6, 7, image.shape)
    image = (image + noise).astype(np.uint8)
    # As a network sees it that looks at 48 pixels a side, and is a cell beside.
    p = cv2.GaussianBlur(
        cv2.resize(np.float32(true), (24, 24), interpolation=cv2.INTER_AREA), (0, 0), 1
    )
    p = np.roll(p, 1, axis=1)
    planes, placement = log_planes(np.stack([1 - p, p])), place((240, 240), (48, 48), "stretch")
    enlarged_iou = iou(picture_labels(planes, placement, flat(2)) == 1, true)
    refined_iou = iou(guided_labels(planes, placement, flat(2), image) == 1, true)
    assert enlarged_iou < 0.9
    assert refined_iou > 0.95


def test_a_picture_of_one_colour_says_nothing():
    logits = smooth_logits(3, 24, 24, 5)
    planes, placement = log_planes(softmax(logits)), place((96, 96), (48, 48), "stretch")
    image = np.full((96, 96, 3), 77, np.uint8)
    twice = [box_mean(box_mean(np.float64(of), 2), 2) for of in scores_of(planes)]
    expected = np.array([enlarged(of, (96, 96)) for of in twice]).argmax(0)
    assert np.mean(guided_labels(planes, placement, flat(3), image) == expected) > 0.995


def test_channels_may_be_in_any_order_and_arrays_anyhow_in_memory():
    planes = log_planes(softmax(smooth_logits(4, 16, 20, 1)))
    placement = place((90, 110), (32, 40), "stretch")
    image = np.random.default_rng(1).integers(0, 256, (90, 110, 3)).astype(np.uint8)
    expected = guided_labels(planes, placement, flat(4), image)
    for other in (image[..., ::-1], np.asfortranarray(image)):
        assert np.mean(guided_labels(planes, placement, flat(4), other) == expected) > 0.999


def test_top_down_decides_level_by_level():
    tree = PASCAL_PERSON_PART
    planes = log_planes(softmax(smooth_logits(tree.num_classes, 16, 16, 3)))
    placement = place((70, 50), (32, 32), "stretch")
    image = np.random.default_rng(3).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    image = cv2.resize(image, (50, 70))
    found = guided_labels(planes, placement, tree, image, "top_down")
    expected = top_down(list(slow_scores(planes, placement, image, True).astype(np.float32)), tree)
    assert np.mean(found == expected) > 0.99


def test_top_down_adds_up_leaves_that_are_unlikely_one_by_one():
    tree = Hierarchy.from_mapping({"a": [1], "b": [2, 3, 4, 5, 6, 7]})
    p = np.full((8, 16, 16), 0.1 - 0.001 / 6, np.float32)
    p[0], p[1] = 0.001, 0.4
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    placement = place((64, 64), (16, 16), "stretch")
    found = guided_labels(log_planes(p), placement, tree, image, "top_down")
    assert np.all(found >= 2)


def test_a_class_that_is_likeliest_everywhere_is_everywhere():
    p = np.full((3, 8, 8), 0.01, np.float32)
    p[1] = 0.98
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    found = guided_labels(log_planes(p), place((40, 40), (16, 16), "stretch"), flat(3), image)
    assert np.all(found == 1)


def test_many_classes_are_told_apart():
    tree = Hierarchy.from_mapping(list(range(1, 150)))
    p = np.full((150, 10, 15), 1e-4, np.float32)
    p.reshape(150, 150)[np.arange(150), np.arange(150)] = 0.9
    image = np.kron(np.random.default_rng(0).integers(0, 256, (10, 15, 3)), np.ones((20, 20, 1)))
    found = guided_labels(
        log_planes(p), place((200, 300), (20, 30), "stretch"), tree, image.astype(np.uint8)
    )
    assert len(np.unique(found)) > 100

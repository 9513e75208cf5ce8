"""Scores come to the picture's size, and are decoded there."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hierseg_jax.data.picture_labels import (
    FLOOR,
    Workspace,
    log_planes,
    picture_labels,
    scores_of,
)
from hierseg_jax.data.resize import RESIZES, place
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

SIDES = st.integers(1, 40)
WORKSPACE = Workspace()


def softmax(logits_chw):
    exp = np.exp(logits_chw - logits_chw.max(0))
    return (exp / exp.sum(0)).astype(np.float32)


def smooth_logits(channels, height, width, seed):
    noise = np.random.default_rng(seed).normal(0, 4, (channels, height, width))
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in noise])


def flat(channels):
    return Hierarchy.from_mapping(list(range(1, channels)))


@given(st.integers(2, 12), SIDES, SIDES, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_at_the_networks_own_size_labels_are_the_first_of_the_greatest(channels, h, w, seed):
    values = np.random.default_rng(seed).integers(1, 4, (channels, h, w)) / 4
    placement = place((h, w), (h, w), "stretch")
    label = picture_labels(log_planes(values.astype(np.float32)), placement, flat(channels))
    np.testing.assert_array_equal(label, values.argmax(0))


@given(
    st.integers(2, 9),
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.sampled_from((1, 4)),
    st.sampled_from(RESIZES),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_labels_are_those_of_bilinear_logits_but_where_two_scores_meet(
    channels, picture, grid, stride, rule, seed
):
    logits = smooth_logits(channels, *grid, seed)
    placement = place(picture, (grid[0] * stride, grid[1] * stride), rule)
    found = picture_labels(log_planes(softmax(logits)), placement, flat(channels))
    expected = np.stack([placement.restore_scores(plane.astype(np.float32)) for plane in logits])
    best = np.sort(softmax(expected), axis=0)
    seen = np.zeros(picture, bool)
    seen[placement.seen.rows_columns] = True
    clear = seen & (best[-1] - best[-2] > 1e-3)
    np.testing.assert_array_equal(found[clear], expected.argmax(0)[clear])
    assert (found[~seen] == 255).all()
    assert (found[seen] < channels).all()


def test_scores_beside_bars_that_end_within_a_cell_are_bilinear():
    """30 of 32 rows are the picture's, and a score stands for 4 x 4 pixels."""
    placement = place((60, 64), (32, 32), "letterbox")
    assert (placement.filled.top, placement.filled.height) == (1, 30)
    scores_hw = np.random.default_rng(0).random((8, 8), np.float32)
    at = ((np.arange(32) + 0.5) / 4 - 0.5).clip(0, 7)
    below, share = np.minimum(at.astype(int), 6), np.float32(at - np.minimum(at.astype(int), 6))
    rows = scores_hw[below] * (1 - share[:, None]) + scores_hw[below + 1] * share[:, None]
    expected = rows[:, below] * (1 - share) + rows[:, below + 1] * share
    np.testing.assert_allclose(placement.filled_scores(scores_hw), expected[1:31], atol=1e-5)


def test_top_down_chooses_at_the_pictures_size():
    scores = softmax(smooth_logits(7, 20, 30, 3))
    placement = place((77, 91), (20, 30), "letterbox")
    planes = log_planes(scores)
    found = picture_labels(planes, placement, PASCAL_PERSON_PART, "top_down")
    there = [scores_of(placement.restore_scores(plane)) for plane in planes]
    np.testing.assert_array_equal(found, top_down(there, PASCAL_PERSON_PART))


def test_planes_are_linear_in_the_logarithm_and_end_at_the_floor():
    scores = np.float32([0, 1e-30, np.exp(FLOOR), np.exp(FLOOR / 2), 0.5, 1])[:, None, None]
    planes = log_planes(scores)
    assert planes.dtype == np.uint16
    assert planes.ravel()[:4].tolist() == [0, 0, 0, 32768]
    assert planes[-1] == 65535
    np.testing.assert_allclose(scores_of(planes)[2:], scores[2:], rtol=2.5e-4)


@pytest.mark.parametrize("stride", [1, 4])
def test_an_edge_lies_where_the_scores_say_and_not_where_pixels_end(stride):
    """A slanted edge through a coarse grid, sought at eight times its size."""
    rows, columns = np.indices((12, 16)) + 0.5
    logits = np.stack([np.zeros((12, 16)), 0.7 * rows + columns - 12])
    placement = place((96, 128), (12 * stride, 16 * stride), "stretch")
    found = picture_labels(log_planes(softmax(logits)), placement, flat(2))
    y, x = (np.indices((96, 128)) + 0.5) / 8
    inside = np.s_[4:-4, 4:-4]  # where scores lie on all sides
    np.testing.assert_array_equal(found[inside], (0.7 * y + x > 12)[inside])


def one_by_one(planes, placement):
    """The definition: every class at every pixel."""
    scores = np.stack([placement.restore_scores(plane) for plane in planes])
    seen = placement.within_picture(np.ones(placement.seen.width_height[::-1], np.uint8), 0)
    return np.where(seen == 1, scores.argmax(0), 255)


@given(
    st.integers(2, 7),
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.sampled_from((1, 4)),
    st.sampled_from(RESIZES),
    st.sampled_from((3, 60, 65535)),
    st.integers(0, 2**31),
)
@example(5, (1, 35), (1, 7), 1, "stretch", 60, 35709)  # a part's end lay in what it won
@settings(max_examples=200, deadline=None)
def test_classes_sought_only_where_they_may_be_are_found_everywhere(
    channels, picture, grid, stride, rule, largest, seed
):
    """Exactly, ties included; most classes in small places, some nowhere."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, largest, (channels, *grid), np.uint16)
    for plane in planes[1:]:
        rows, columns = (np.sort(rng.integers(0, side + 1, 2)) for side in grid)
        somewhere = np.zeros(grid, bool)
        somewhere[slice(*rows), slice(*columns)] = True
        plane[~somewhere] //= 3
    planes[0] |= np.uint16(largest // 3)
    placement = place(picture, (grid[0] * stride, grid[1] * stride), rule)
    for _ in range(2):
        found = picture_labels(planes, placement, flat(channels), workspace=WORKSPACE)
        np.testing.assert_array_equal(found, one_by_one(planes, placement))


def test_memory_that_is_used_again_is_not_what_was_given():
    planes = log_planes(softmax(smooth_logits(4, 10, 12, 0)))
    placement = place((31, 37), (10, 12), "stretch")
    first = picture_labels(planes, placement, flat(4), workspace=WORKSPACE)
    kept = first.copy()
    picture_labels(planes[::-1].copy(), placement, flat(4), workspace=WORKSPACE)
    np.testing.assert_array_equal(first, kept)

"""Windows that cover a picture, and what their scores become."""

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.resize import place
from hierseg_jax.data.tiles import OVERLAP, lay_tiles, part_labels, scores_at
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

SIDES = st.tuples(st.integers(1, 90), st.integers(1, 90))
WINDOWS = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(SIDES, WINDOWS)
@settings(max_examples=80, deadline=None)
def test_windows_are_evenly_spread_from_edge_to_edge_and_overlap(picture, window):
    tiles = lay_tiles(picture, window)
    for length, side, starts in zip(picture, window, (tiles.tops, tiles.lefts), strict=True):
        steps = np.diff(starts)
        assert starts[0] == 0
        assert starts[-1] == max(0, length - side)
        assert ((steps > 0) & (steps <= max(1, side * (1 - OVERLAP)))).all()
        assert np.ptp(steps) <= 1 if len(steps) else length <= side


def test_a_window_says_least_at_its_ends():
    """Two of 8 pixels in 12, that share the 4 in the middle: shares of raised cosines."""
    raised = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(8) + 0.5) / 8)
    shared = raised[4:] + raised[:4]
    first, second = lay_tiles((12, 8), (8, 8)).weights(0)
    np.testing.assert_allclose(first, [1, 1, 1, 1, *raised[4:] / shared], rtol=1e-6)
    np.testing.assert_allclose(second, first[::-1], rtol=1e-6)


@given(SIDES, WINDOWS)
@settings(max_examples=60, deadline=None)
def test_every_pixel_comes_once_and_its_weights_sum_to_1(picture, window):
    tiles = lay_tiles(picture, window)
    ones = [np.ones((1, *window), np.float32)] * len(tiles.boxes)
    seen = np.zeros(picture, int)
    for box, scores in tiles.blend(ones):
        assert scores.shape == (1, box.height, box.width)
        assert box.height <= window[0]
        assert box.width <= window[1]
        seen[box.rows_columns] += 1
        np.testing.assert_allclose(scores, 1, atol=1e-6)
    assert (seen == 1).all()
    assert all((tiles.weights(axis) > 0).all() for axis in (0, 1))


@given(SIDES, WINDOWS, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_what_windows_agree_on_comes_back_as_it_was(picture, window, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*picture, 3), np.uint8)
    tiles = lay_tiles(picture, window)
    found = np.empty((*picture, 3))
    cut = list(tiles.cut(image))
    assert all(part.shape == (*window, 3) for part in cut)
    scores = (part.transpose(2, 0, 1).astype(np.float32) / 255 for part in cut)
    for box, part in tiles.blend(scores):
        found[box.rows_columns] = part.transpose(1, 2, 0)
    np.testing.assert_allclose(found, image / 255, atol=1e-6)


def test_one_window_gives_its_scores_and_labels_to_the_bit():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(7), (24, 36)).transpose(2, 0, 1).astype(np.float32)
    tiles = lay_tiles((24, 36), (24, 36))
    box, blended = next(tiles.blend([scores]))
    assert (box.height, box.width) == (24, 36)
    np.testing.assert_array_equal(blended, scores)
    for decoding in ("leaf", "top_down"):
        expected = picture_labels(
            log_planes(scores),
            place((24, 36), (24, 36), "stretch"),
            PASCAL_PERSON_PART,
            decoding,
        )
        found = part_labels(blended, PASCAL_PERSON_PART, decoding)
        np.testing.assert_array_equal(found, expected)


def test_a_missing_side_is_the_picture_reflected():
    image = np.arange(5 * 9 * 3, dtype=np.uint8).reshape(5, 9, 3)
    (part, *_) = lay_tiles((5, 9), (8, 6)).cut(image)
    np.testing.assert_array_equal(part[:5], image[:, :6])
    np.testing.assert_array_equal(part[5:], image[:1:-1, :6])


@pytest.mark.parametrize("picture", [(400, 70), (70, 400)])
def test_windows_that_disagree_leave_no_seams(picture):
    """Each window says one number, another than its neighbours': steps of up to 1 at its edges."""
    window = (40, 40)
    tiles = lay_tiles(picture, window)
    says = np.random.default_rng(3).random(len(tiles.boxes)).astype(np.float32)
    found = np.empty(picture)
    for box, part in tiles.blend(np.full((1, *window), s, np.float32) for s in says):
        found[box.rows_columns] = part[0]
    # From one to the other within the overlap of a third: a raised cosine is at most pi / 2 times
    # as steep as a straight line, in each of two directions.
    most = np.pi / 2 / (window[0] * OVERLAP) * 1.1
    assert max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1)) < most


@pytest.mark.parametrize("turned", [False, True])
def test_no_more_than_a_band_is_in_memory(turned):
    """A picture of 4000 x 80 pixels has 125 times the scores of a band of 32 x 80."""
    picture, window, classes = (4000, 80), (32, 32), 13
    if turned:
        picture = picture[::-1]
    tiles = lay_tiles(picture, window)
    zeros = np.zeros((classes, *window), np.float32)
    tracemalloc.start()
    try:
        for _, scores in tiles.blend(zeros for _ in tiles.boxes):
            log_planes(scores)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < classes * 4000 * 80 * 4 / 20


def test_scores_a_stride_apart_are_bilinear_in_their_logarithm():
    logs = np.random.default_rng(0).normal(-3, 1, (2, 6, 8)).astype(np.float32)
    found = scores_at(np.exp(logs), (24, 32))
    expected = [cv2.resize(plane, (32, 24)) for plane in logs]
    np.testing.assert_allclose(np.log(found), expected, atol=1e-5)
    assert scores_at(found, (24, 32)) is found

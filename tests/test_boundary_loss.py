"""The boundary loss: exact distances, the sum of its definition, and what costs more than what."""

import functools

import cv2
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import boundary
from hierseg_jax.losses.boundary_loss import squared_distances
from tests.loss_walks import slow_boundary, softmax

C = 4
SHAPE = (2, 4, 6)
REACH = 3
loss = jax.jit(jax.value_and_grad(functools.partial(boundary, reach=REACH / 6)))
plain = jax.jit(boundary)
distances = jax.jit(squared_distances, static_argnums=1)


@settings(max_examples=20)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(1, 1), (1, 30), (25, 3), (33, 40)]),
    st.sampled_from([1, 2, 7, 16]),
    st.sampled_from([0.0, 0.003, 0.05, 0.9]),
)
def test_distances_are_those_of_opencv_up_to_the_reach(seed, shape, reach, share):
    regions = np.random.default_rng(seed).random((2, 3, *shape)) < share
    found = distances(regions, reach)
    assert found.shape == regions.shape
    for index in np.ndindex(2, 3):
        outside = (~regions[index]).astype(np.uint8)
        far = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        np.testing.assert_array_equal(found[index], np.rint(np.minimum(far, reach) ** 2))


def test_distances_reach_as_far_as_large_pictures_need():
    regions = np.zeros((1, 600), bool)
    regions[0, 0] = True
    expected = np.minimum(np.arange(600), 400) ** 2
    np.testing.assert_array_equal(distances(regions, 400)[0], expected)
    np.testing.assert_array_equal(distances(regions.T, 400)[:, 0], expected)


@settings(max_examples=6)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 3]))
def test_the_loss_is_the_sum_over_signed_distances(seed, patch):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (*SHAPE, C)).astype(np.float32)
    coarse = rng.choice([0, 1, 3, 255], SHAPE)
    labels = np.repeat(np.repeat(coarse, patch, 1), patch, 2)[:, : SHAPE[1], : SHAPE[2]]
    sets = np.empty(SHAPE, object)
    for index, label in np.ndenumerate(labels):
        sets[index] = {label} - {255}
    p = np.apply_along_axis(softmax, -1, logits)
    value, gradient = loss(logits, labels.astype(np.uint8))
    np.testing.assert_allclose(value, slow_boundary(p, sets, REACH), rtol=1e-5, atol=1e-7)
    assert not np.any(gradient[labels == 255])


def sure(classes):
    return np.where(classes[..., None] == np.arange(C), 1e4, -1e4).astype(np.float32)


def test_mistakes_far_from_the_edge_cost_more_than_as_many_near_it():
    labels = np.zeros((1, 48, 48), np.uint8)
    labels[0, 10:20, 10:20] = 1
    near, far, shrunk = labels.copy(), labels.copy(), labels.copy()
    near[0, 10:20, 20:22] = 1
    far[0, 40:42, 30:40] = 1
    shrunk[0, 10:20, 18:20] = 0
    found = [plain(sure(x), labels) * 48**2 * 4 for x in (near, shrunk, far)]
    # Distances of 1 and 2 pixels, of a reach of 4; two are nearer to another side of the square.
    np.testing.assert_allclose(found, [10 * 1 + 10 * 2, 12 * 1 + 8 * 2, 20 * 4], rtol=1e-5)
    assert plain(sure(labels), labels) == 0


@pytest.mark.parametrize("size", [12, 48])
def test_a_class_that_the_picture_lacks_costs_1_at_any_size(size):
    labels = np.full((1, size, size), 2, np.uint8)
    np.testing.assert_allclose(plain(sure(np.zeros_like(labels)), labels), 1, rtol=1e-6)


def test_what_is_ignored_makes_no_edge():
    labels = np.full((1, 48, 48), 2, np.uint8)
    labels[0, :, 20:] = 255
    # Also beside ignored pixels a wrong class is as far away as can be.
    np.testing.assert_allclose(plain(sure(np.zeros_like(labels)), labels), 1, rtol=1e-6)


def test_edges_of_one_picture_are_none_of_the_next():
    labels = np.stack([np.full((12, 12), v, np.uint8) for v in (0, 1)])
    np.testing.assert_allclose(plain(sure(1 - labels), labels), 1, rtol=1e-6)


def test_descending_clears_what_is_far_from_an_object_first():
    labels = np.zeros((1, 24, 24), np.uint8)
    labels[0, 8:16, 4:12] = 1
    start = np.random.default_rng(0).normal(0, 1, (1, 24, 24, 2)).astype(np.float32)

    def step(_, logits):
        return logits - 100 * jax.grad(boundary)(logits, labels)

    ends = []
    for steps in (6, 600):
        descend = jax.jit(lambda logits, n=steps: jax.lax.fori_loop(0, n, step, logits))
        ends.append(np.asarray(descend(start)).argmax(-1))
    wrong = ends[0] != labels
    rows, columns = np.mgrid[:24, :24]
    beside = np.maximum(np.abs(rows - 11.5), np.abs(columns - 7.5))[None] < 5.1
    assert wrong[beside].mean() > wrong[~beside].mean()
    np.testing.assert_array_equal(ends[1], labels)

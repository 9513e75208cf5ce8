"""Boundary IoU against its definition, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hierseg_jax.evaluation.boundary import DISTANCE, boundary_counts, boundary_ious
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, PASCAL_PERSON_PART, Hierarchy

TREE = Hierarchy.from_mapping({"a": [1, 2], "b": [3]})


def near_contour(mask_hw, ignored_hw, distance):
    """Pixels of a mask with something else, or the outside, within a square around them."""
    height, width = mask_hw.shape
    near_hw = np.zeros(mask_hw.shape, bool)
    for y, x in np.argwhere(mask_hw):
        for v in range(y - distance, y + distance + 1):
            for u in range(x - distance, x + distance + 1):
                inside = 0 <= v < height and 0 <= u < width
                near_hw[y, x] |= not inside or (not mask_hw[v, u] and not ignored_hw[v, u])
    return near_hw


def slow_counts(label_hw, prediction_hw, hierarchy):
    ignored_hw = (label_hw == IGNORE_LABEL) | (prediction_hw == IGNORE_LABEL)
    distance = max(1, round(DISTANCE * np.hypot(*label_hw.shape)))
    columns = []
    for level in hierarchy.levels:
        for index in range(level.num_classes):
            leaves = np.flatnonzero(level.leaf_to_class == index)
            near_true, near_predicted = (
                near_contour(np.isin(map_hw, leaves) & ~ignored_hw, ignored_hw, distance)
                for map_hw in (label_hw, prediction_hw)
            )
            both = near_true & near_predicted
            columns.append([both.sum(), near_true.sum(), near_predicted.sum()])
    return np.transpose(columns)


LABELS = st.sampled_from([0, 1, 2, 3, IGNORE_LABEL])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_counts_are_those_of_the_definition(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    label_hw, prediction_hw = (
        data.draw(hnp.arrays(np.uint8, shape, elements=LABELS, fill=LABELS)) for _ in range(2)
    )
    found = boundary_counts(label_hw, prediction_hw, TREE)
    np.testing.assert_array_equal(found, slow_counts(label_hw, prediction_hw, TREE))


def test_a_contour_is_as_thick_as_two_percent_of_the_diagonal():
    label_hw = np.zeros((120, 160), np.uint8)  # diagonal 200: 4 pixels
    label_hw[20:60, 30:90] = 1
    both, true, predicted = boundary_counts(label_hw, label_hw, TREE)
    ring = 40 * 60 - 32 * 52
    leaf = TREE.num_nodes - TREE.num_classes + 1
    assert (both[leaf], true[leaf], predicted[leaf]) == (ring, ring, ring)


@pytest.mark.parametrize(("side", "thickness"), [(158, 4), (161, 5)])  # 4.47 and 4.55 pixels
def test_two_percent_are_rounded_to_the_nearest_pixel(side, thickness):
    label_hw = np.zeros((side, side), np.uint8)
    label_hw[40:100, 40:100] = 1
    true_n = boundary_counts(label_hw, label_hw, TREE)[1]
    leaf = TREE.num_nodes - TREE.num_classes + 1
    assert true_n[leaf] == 60**2 - (60 - 2 * thickness) ** 2


def test_shifted_edges_cost_more_than_in_iou():
    label_hw = np.zeros((120, 160), np.uint8)
    label_hw[20:80, 30:110] = 1
    prediction_hw = np.roll(label_hw, 2, axis=1)
    counts = boundary_counts(label_hw, prediction_hw, TREE)
    inside = (label_hw & prediction_hw).sum() / (label_hw | prediction_hw).sum()
    assert boundary_ious(counts, TREE)[TREE.level_names[-1]][1] < 0.75 < 0.95 < inside


def test_ignored_pixels_contribute_nothing_and_make_no_contour():
    rng = np.random.default_rng(0)
    label_hw = np.full((40, 40), 1, np.uint8)
    label_hw[15:25] = IGNORE_LABEL
    prediction_hw = np.full((40, 40), 1, np.uint8)
    plain = boundary_counts(label_hw, prediction_hw, TREE)
    prediction_hw[15:25] = rng.integers(0, 4, (10, 40))
    np.testing.assert_array_equal(boundary_counts(label_hw, prediction_hw, TREE), plain)
    leaf = TREE.num_nodes - TREE.num_classes + 1
    # The picture's edge alone, without what is ignored of it.
    assert plain[1, leaf] == 2 * 40 + 2 * 38 - 2 * 10


def test_a_class_without_contour_is_undefined_and_most_labels_work():
    iou = boundary_ious(np.zeros((3, TREE.num_nodes), int), TREE)
    assert all(np.isnan(values).all() for values in iou.values())
    many = Hierarchy.from_mapping(list(range(1, 255)))
    label_hw = np.tile(np.arange(255, dtype=np.uint8), (6, 1)).repeat(2, axis=1)
    (values,) = boundary_ious(boundary_counts(label_hw, label_hw, many), many).values()
    np.testing.assert_array_equal(values, np.ones(255))


@pytest.mark.parametrize("size", [(320, 320), (100, 333)])
def test_a_perfect_prediction_has_one_everywhere(size):
    label_hw = np.random.default_rng(1).integers(0, 7, (5, 5)).astype(np.uint8)
    label_hw = np.kron(label_hw, np.ones((64, 67), np.uint8))[: size[0], : size[1]]
    label_hw = np.ascontiguousarray(label_hw)
    tree = PASCAL_PERSON_PART
    for values in boundary_ious(boundary_counts(label_hw, label_hw, tree), tree).values():
        assert (values[~np.isnan(values)] == 1).all()

"""Lovász-softmax and the boundary loss with every head and labels of any node."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import LossOptions, boundary, build_loss, dice, lovasz
from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.tree.siblings import find_siblings
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices
from tests.loss_walks import (
    leaves_below,
    slow_at_finest_levels,
    slow_boundary,
    slow_lovasz,
    softmax,
)
from tests.test_labels import trees
from tests.test_losses_of_inner_labels import ODD, ODD_TREE, make_batch

LOVASZ, BOUNDARY = 0.5, 2.0
SUM = f"{LOVASZ}*lovasz + {BOUNDARY}*boundary"
# What bins make of Lovász-softmax at one level.
NEAR = LOVASZ / 1024 + 1e-5
# Pictures so long that the boundary loss reaches 3 pixels far.
LONG = (2, 1, 36)


def walk_sum(hierarchy, logits, labels, reach):
    below, sets = leaves_below(hierarchy), np.empty(labels.shape, object)
    for index, label in np.ndenumerate(labels):
        sets[index] = set() if label == 255 else below[label]
    p = np.apply_along_axis(softmax, -1, logits)
    of_lovasz = slow_at_finest_levels(hierarchy, logits, labels, slow_lovasz)
    return LOVASZ * of_lovasz + BOUNDARY * slow_boundary(p, sets, reach)


@jax.jit
def both_losses(logits, labels, valid):
    """Of `ODD`: the value and its gradient."""
    loss = build_loss(SUM, ODD, hierarchical=False)
    return jax.value_and_grad(loss)(logits, labels, valid_b=valid)


ALL_VALID = np.ones(2, bool)


@settings(max_examples=3)
@given(trees(most=3), st.integers(0, 2**31))
def test_labels_of_any_tree_have_the_losses_of_slow_walks(hierarchy, seed):
    logits, labels = make_batch(hierarchy, seed, hierarchy.num_classes)
    value = jax.jit(build_loss(SUM, hierarchy, hierarchical=False))(logits, labels)
    assert abs(value - walk_sum(hierarchy, logits, labels, reach=1)) <= NEAR


@settings(max_examples=5)
@given(st.integers(0, 2**31), st.sampled_from([1, 3, 12]))
def test_regions_of_any_node_have_the_losses_of_slow_walks(seed, length):
    logits, labels = make_batch(ODD, seed, ODD.num_classes, LONG)
    labels = np.repeat(labels[..., ::length], length, 2)
    value, _ = both_losses(logits, labels, ALL_VALID)
    assert abs(value - walk_sum(ODD, logits, labels, reach=3)) <= NEAR


def test_what_does_not_count_adds_nothing_to_labels_of_groups():
    logits, labels = make_batch(ODD, 8, ODD.num_classes, LONG)
    assert_nothing_else_counts(both_losses, logits, labels, outside=len(ODD.labels.names))


def test_which_leaf_below_a_group_is_likely_is_all_the_same():
    logits, labels = make_batch(ODD, 5, ODD.num_classes, LONG)
    # No leaf of the group is known: Lovász-softmax would count it at its own level.
    group = ODD.labels.names.index("a")
    below = np.flatnonzero(ODD.labels.leaves_lc[group])
    labels[np.isin(labels, np.flatnonzero(ODD.labels.leaves_lc[:, below].any(1)))] = group
    moved = logits.copy()
    for index in np.argwhere(labels == group):
        at = moved[tuple(index)]
        at[below] = np.log(np.exp(at[below]).sum() * softmax(np.arange(len(below)) * 2.0))
    (value, gradient), (other, _) = (both_losses(x, labels, ALL_VALID) for x in (logits, moved))
    assert np.abs(moved - logits).max() > 1
    np.testing.assert_allclose(other, value, atol=NEAR)
    assert np.any(gradient[labels == group])


def test_a_batch_of_groups_spread_over_devices_has_the_loss_of_the_whole():
    logits, labels = make_batch(ODD, 9, ODD.num_classes, LONG)
    labels[0] %= 7  # no groups on the first device
    labels[0, 0, :3] = 255
    loss = build_loss(SUM, ODD, hierarchical=False)
    assert_same_over_devices(loss, logits, labels, rtol=1e-5)


def test_labels_of_leaves_have_the_losses_that_they_have_without_groups():
    logits, labels = make_batch(ODD_TREE, 10, ODD.num_classes, LONG)
    value, gradient = both_losses(logits, labels, ALL_VALID)
    parts = build_loss(f"dice + {SUM}", ODD_TREE, hierarchical=False)

    @jax.jit
    def both(x, y):
        sums = (loss(x, y) for loss in (parts, dice))
        one_by_one = LOVASZ * lovasz(x, y) + BOUNDARY * boundary(x, y)
        return *sums, one_by_one

    of_parts, of_dice, one_by_one = both(logits, labels)
    np.testing.assert_allclose([of_parts - of_dice, one_by_one], value, rtol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("head", ["every level", "hierarchical"])
def test_every_level_adds_the_losses_of_its_classes(head):
    hierarchical = head == "hierarchical"
    tree = ODD if hierarchical else ODD_TREE
    channels = tree.num_nodes if hierarchical else tree.num_classes
    logits, labels = make_batch(tree, 11, channels, LONG)
    total = 0.0
    for k, (level, own) in enumerate(zip(tree.levels, tree.level_channels, strict=True)):
        p = np.apply_along_axis(softmax, -1, logits[..., own] if hierarchical else logits)
        if not hierarchical:
            classes = range(level.num_classes)
            p = np.stack([p[..., level.leaf_to_class == v].sum(-1) for v in classes], -1)
        true, sets = tree.labels.table(k)[labels], np.empty(LONG, object)
        for index, v in np.ndenumerate(true):
            sets[index] = {v} - {255}
        known = true != 255
        total += LOVASZ * slow_lovasz(p[known], true[known].tolist(), level.num_classes)
        total += BOUNDARY * slow_boundary(p, sets, 3)
    options = LossOptions(every_level=not hierarchical)
    loss = build_loss(SUM, tree, hierarchical=hierarchical, options=options)
    assert abs(jax.jit(loss)(logits, labels) - total) <= tree.num_levels * NEAR


def test_descending_a_conditional_head_lowers_the_losses_of_labels_of_groups():
    siblings = find_siblings(ODD)
    logits, labels = make_batch(ODD, 12, siblings.num_nodes)
    loss = build_loss(SUM, ODD, hierarchical=False)

    @jax.jit
    @jax.value_and_grad
    def of_head(logits):
        return loss(leaf_log_probabilities(logits, siblings), labels)

    first, gradient = of_head(logits)
    for _ in range(20):
        logits = logits - 2 * gradient
        value, gradient = of_head(logits)
    assert value < 0.9 * first

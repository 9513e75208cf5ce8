"""Losses of labels of any node: against slow walks, and what they must not depend on."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import LossOptions, build_loss, dice, tree_triplet
from hierseg_jax.losses.inner_labels import weights_of_labels
from hierseg_jax.losses.tree_triplet_loss import _draw_labels, _edges
from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import find_siblings
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices
from tests.loss_walks import (
    expected_flat,
    expected_hierarchical,
    leaves_below,
    slow_tree_min,
    softmax,
    triplets_by_walk,
)
from tests.test_labels import trees

# Ends at different depths, and has groups of one class.
ODD_TREE = Hierarchy.from_mapping({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})
FLAT = ["crossentropy", "focal", "tversky", "hierarchical_crossentropy"]
HIERARCHICAL = ["crossentropy", "dice", "tree_min_focal"]
HEADS = [(name, False) for name in FLAT] + [(name, True) for name in HIERARCHICAL]
# Whether training's options help.
HELPED = [("crossentropy", False, True), ("focal", False, True)]
HELPED_NAMES = [(name, True) for name, *_ in HELPED]


def test_a_label_counts_for_the_weight_of_its_class_at_the_level_or_above():
    tree = dataclasses.replace(
        Hierarchy.from_mapping({"a": [1, 2], "b": [3, 4]}), inner_labels=True
    )
    weights = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0, 7.0, 8.0))  # nothing, a, b; nothing, 1 to 4
    leaves = {f"class_{i}": (2 + i // 3, 4 + i) for i in range(1, 5)} | {"background": (1, 4)}
    for level in (0, 1):
        found = weights_of_labels(weights, tree, level)
        of_name = dict(zip(tree.labels.names, found.tolist(), strict=True))
        assert of_name == {n: w[level] for n, w in leaves.items()} | {"a": 2, "b": 3}


def with_groups(hierarchy):
    return dataclasses.replace(hierarchy, inner_labels=True)


def weights_by_level(hierarchy):
    return tuple(
        tuple(0.5 + (7 * k + 3 * v) % 5 for v in range(level.num_classes))
        for k, level in enumerate(hierarchy.levels)
    )


def make_batch(hierarchy, seed, channels, shape=(2, 2, 4)):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (*shape, channels)).astype(np.float32)
    labels = rng.integers(0, len(hierarchy.labels.names), shape).astype(np.uint8)
    labels[0, 0, -1] = 255
    return logits, labels


OPTIONS = [
    LossOptions(),
    LossOptions(gamma=1.5, label_smoothing=0.2, hard_share=0.4, class_weights=((),)),
]


def check_against_walks(hierarchy, seed, options):
    if options.class_weights:
        options = dataclasses.replace(options, class_weights=weights_by_level(hierarchy))
    logits, labels = make_batch(hierarchy, seed, hierarchy.num_classes)
    for name in FLAT:
        loss = build_loss(name, hierarchy, hierarchical=False, options=options)
        expected = expected_flat(name, hierarchy, logits, labels, options)
        np.testing.assert_allclose(jax.jit(loss)(logits, labels), expected, rtol=2e-5, atol=1e-6)
    logits, labels = make_batch(hierarchy, seed, hierarchy.num_nodes)
    for name in HIERARCHICAL:
        loss = build_loss(name, hierarchy, hierarchical=True)
        expected = expected_hierarchical(name, hierarchy, logits, labels)
        np.testing.assert_allclose(jax.jit(loss)(logits, labels), expected, rtol=2e-5, atol=1e-6)


@settings(max_examples=4)
@given(trees(most=4), st.integers(0, 2**31), st.sampled_from(OPTIONS))
def test_losses_equal_slow_walks_over_any_tree(hierarchy, seed, options):
    check_against_walks(hierarchy, seed, options)


ODD = with_groups(ODD_TREE)


@functools.cache
def compiled(name, hierarchical, inner=True, helped=False):
    """Value and gradient of a loss for `ODD_TREE`."""
    hierarchy = ODD if inner else ODD_TREE
    options = dataclasses.replace(OPTIONS[1], class_weights=weights_by_level(hierarchy))
    options = options if helped else LossOptions()
    loss = build_loss(name, hierarchy, hierarchical=hierarchical, options=options)
    return jax.jit(jax.value_and_grad(lambda x, y, v: loss(x, y, valid_b=v)))


ALL_VALID = np.ones(2, bool)


@pytest.mark.parametrize("seed", range(2))
def test_the_derivative_of_tree_min_is_the_walk_s_and_exactly_0_below_the_label(seed):
    logits, labels = make_batch(ODD, seed, ODD.num_nodes)
    value, gradient = compiled("tree_min_focal", True)(logits, labels, ALL_VALID)
    expected, slope = slow_tree_min(ODD, logits, labels, 2.0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-7)
    below = leaves_below(ODD)
    for index, label in np.ndenumerate(labels):
        for level, channels in zip(ODD.levels, ODD.level_channels, strict=True):
            for v in range(level.num_classes):
                leaves = set(np.flatnonzero(level.leaf_to_class == v).tolist())
                if label == 255 or leaves < below[label]:
                    assert gradient[(*index, channels.start + v)] == 0


@pytest.mark.parametrize("name", ["crossentropy", "dice"])
def test_levels_that_are_unknown_have_no_gradient(name):
    logits, labels = make_batch(ODD, 4, ODD.num_nodes)
    gradient = np.asarray(compiled(name, True)(logits, labels, ALL_VALID)[1])
    for k, channels in enumerate(ODD.level_channels):
        known_bhw = ODD.labels.table(k)[labels] != 255
        assert np.any(gradient[..., channels], axis=-1).tolist() == known_bhw.tolist()


@pytest.mark.parametrize(("name", "helped"), [*((name, False) for name in FLAT), *HELPED_NAMES])
def test_which_leaf_below_the_label_is_likely_is_all_the_same(name, helped):
    logits, labels = make_batch(ODD, 5, ODD.num_classes)
    moved, rng = logits.astype(np.float64), np.random.default_rng(6)
    for index, label in np.ndenumerate(labels):
        if label != 255:
            leaves = np.flatnonzero(ODD.labels.leaves_lc[label])
            total = np.exp(moved[index][leaves]).sum()
            moved[index][leaves] = np.log(total * softmax(rng.normal(0, 3, len(leaves))))
    loss = compiled(name, False, helped=helped)
    value, _ = loss(logits, labels, ALL_VALID)
    other, _ = loss(moved.astype(np.float32), labels, ALL_VALID)
    assert np.abs(moved - logits).max() > 1
    np.testing.assert_allclose(other, value, rtol=2e-6)


@pytest.mark.parametrize("name", ["dice", "crossentropy"])
def test_a_group_says_nothing_to_a_conditional_head_of_the_classes_below_it(name):
    siblings = find_siblings(ODD)
    loss = build_loss(name, ODD, hierarchical=False, options=LossOptions(every_level=True))
    logits, labels = make_batch(ODD, 6, siblings.num_nodes)

    @jax.jit
    @jax.grad
    def gradient_of(logits_bhwk):
        return loss(leaf_log_probabilities(logits_bhwk, siblings), labels)

    gradient = gradient_of(logits)
    below, pulls = leaves_below(ODD), []
    for index, label in np.ndenumerate(labels):
        for family in siblings.families:
            pulled = np.abs(gradient[index][family]).max()
            of_family = set(np.flatnonzero(siblings.on_path_kc[family].any(0)).tolist())
            if label == 255 or of_family <= below[label]:
                assert pulled < 1e-6  # of rounding
            else:
                pulls.append(pulled)
    assert max(pulls) > 1e-3


@pytest.mark.parametrize("every_level", [False, True])
def test_unknown_parts_of_other_pictures_do_not_make_background_likelier(every_level):
    """At the best guess of what is known nothing pulls, however many pictures have no parts."""
    labels = np.repeat(np.array([[0], [0], [1], [4], [0], [0], [7], [7]], np.uint8), 3, 1)[None]
    tree = with_groups(Hierarchy.from_mapping({"a": [1, 4], "b": [2, 3]}))
    assert tree.labels.names[5] == "a"
    labels[labels == 7] = 5
    options = LossOptions(every_level=every_level)
    loss = build_loss("crossentropy", tree, hierarchical=False, options=options)
    # Half background, a quarter each of the classes of a.
    logits = np.log(np.array([0.5, 0.25, 1e-9, 1e-9, 0.25], np.float32))
    pull = jax.jit(jax.grad(lambda x: loss(jnp.broadcast_to(x, (*labels.shape, 5)), labels)))
    np.testing.assert_allclose(pull(logits), 0, atol=1e-6)


def test_pixels_of_known_parts_stand_for_those_of_their_group_that_are_not():
    logits, _ = make_batch(ODD, 10, ODD.num_classes)
    labels = np.arange(16, dtype=np.uint8).reshape(2, 2, 4) % ODD.num_classes
    # Once more, and nobody says which classes of `a` there are.
    again, group = labels.copy(), ODD.labels.names.index("a")
    again[ODD.labels.leaves_lc[group][labels]] = group
    options = LossOptions(every_level=True, level_weights=(0,) * (ODD.num_levels - 1) + (1,))
    loss = build_loss("dice", ODD, hierarchical=False, options=options)
    found = loss(np.concatenate([logits] * 2), np.concatenate([labels, again]))
    expected = dice(np.concatenate([logits] * 2), np.concatenate([labels] * 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "hierarchical", "helped"), [*((*head, False) for head in HEADS), *HELPED]
)
def test_labels_of_leaves_have_the_losses_that_they_have_without_groups(name, hierarchical, helped):
    channels = ODD.num_nodes if hierarchical else ODD.num_classes
    logits, labels = make_batch(ODD_TREE, 7, channels)
    found = compiled(name, hierarchical, True, helped)(logits, labels, ALL_VALID)
    expected = compiled(name, hierarchical, False, helped)(logits, labels, ALL_VALID)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("name", "hierarchical"), HEADS)
def test_ignored_pixels_and_padding_contribute_nothing(name, hierarchical):
    loss = compiled(name, hierarchical, helped=name == "crossentropy")
    channels = ODD.num_nodes if hierarchical else ODD.num_classes
    logits, labels = make_batch(ODD, 8, channels)
    assert_nothing_else_counts(loss, logits, labels, outside=len(ODD.labels.names))


@pytest.mark.parametrize("name", ["crossentropy", "tversky", "hierarchical_crossentropy"])
def test_a_batch_spread_over_devices_has_the_loss_and_gradient_of_the_whole(name):
    logits, labels = make_batch(ODD, 9, ODD.num_classes)
    labels[0] = [[0, 1, 2, 3], [255, 5, 6, 4]]  # no groups on the first device
    assert_same_over_devices(build_loss(name, ODD, hierarchical=False), logits, labels)


@given(trees())
def test_distances_of_labels_are_those_of_their_leaves(hierarchy):
    below, edges = leaves_below(hierarchy), hierarchy.distances
    for found_ll, extreme in zip(_edges(hierarchy, np.int32), (min, max), strict=True):
        for (a, b), found in np.ndenumerate(found_ll):
            assert found == extreme(edges[i, j] for i in below[a] for j in below[b])


TRIPLETS = 4000
draw_labels = jax.jit(functools.partial(_draw_labels, hierarchy=ODD, triplets=TRIPLETS))


@functools.cache
def triplet_loss(inner):
    hierarchy = ODD if inner else ODD_TREE
    return jax.jit(functools.partial(tree_triplet, hierarchy=hierarchy, triplets=TRIPLETS))


@settings(max_examples=30)
@given(st.sets(st.integers(0, len(ODD.labels.names) - 1), min_size=1, max_size=4))
def test_triplets_are_those_that_hold_whichever_leaves_the_labels_are(present):
    labels = np.full(16, 255)
    labels[: len(present)] = sorted(present)
    expected = triplets_by_walk(ODD, present)
    drawn, exists = draw_labels(jax.random.key(0), labels)
    assert bool(exists[0]) == bool(expected)
    if expected:
        assert set(map(tuple, drawn.tolist())) == set(expected)


def test_triplets_cost_what_their_margin_and_distances_say():
    a, b, c = (ODD.labels.names.index(name) for name in "abc")
    labels = np.array([0, 1, 2, a, b, c, a, 255] * 2, np.uint8).reshape(1, 4, 4)
    directions = np.random.default_rng(0).normal(size=(256, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    key = jax.random.key(1)
    value = triplet_loss(True)(directions[labels].astype(np.float32), labels, key=key)
    margins = triplets_by_walk(ODD, np.unique(labels)[:-1])
    assert (2, c, 1) in margins
    # Which leaf of `a` a pixel is decides whether another class of `a` is near.
    assert (a, 1, 0) not in margins
    drawn, _ = draw_labels(key, labels.ravel())
    losses = []
    for anchor, positive, negative in drawn.tolist():
        near, far = (
            (1 - directions[anchor] @ directions[other]) / 2 for other in (positive, negative)
        )
        losses.append(max(near - far + margins[anchor, positive, negative], 0))
    np.testing.assert_allclose(value, np.mean(losses), rtol=1e-5)


def test_triplets_of_leaves_are_those_that_are_drawn_without_groups():
    rng, key = np.random.default_rng(2), jax.random.key(4)
    labels = rng.integers(0, 7, (1, 4, 4)).astype(np.uint8)
    embedding = rng.normal(size=(1, 4, 4, 5)).astype(np.float32)
    found, expected = (triplet_loss(inner)(embedding, labels, key=key) for inner in (True, False))
    assert found == expected

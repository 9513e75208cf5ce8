"""The tree-min loss: the public code's numbers, and a slow walk over any tree."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import tree_min
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices
from tests.reference_weights import load_golden
from tests.test_hierarchy import trees

# The numbering of the public code.
HSSN_TREE = Hierarchy.from_mapping({"body": {"upper": [1, 2, 3, 4], "lower": [5, 6]}})
# Ends at different depths, and its groups' indices are not contiguous.
ODD_TREE = Hierarchy.from_mapping({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})


def walk_nodes(hierarchy):
    """Every (level, class) with its leaves, ancestors-and-self and descendants-and-self."""
    nodes = {}
    for k, level in enumerate(hierarchy.levels):
        for v in range(level.num_classes):
            leaves = frozenset(np.flatnonzero(level.leaf_to_class == v).tolist())
            nodes[k, v] = leaves
    for (k, v), leaves in nodes.items():
        above = [n for n in nodes if n[0] <= k and nodes[n] >= leaves]
        below = [n for n in nodes if n[0] >= k and nodes[n] <= leaves]
        yield (k, v), leaves, above, below


def slow_tree_min(hierarchy, logits_nk, labels_n, gamma):
    """Pixel by pixel, node by node, in float64: the mean loss and its gradient."""
    channel = {
        (k, v): hierarchy.level_channels[k].start + v
        for k, level in enumerate(hierarchy.levels)
        for v in range(level.num_classes)
    }
    total, gradient_nk = 0.0, np.zeros(logits_nk.shape)
    nodes = list(walk_nodes(hierarchy))
    counted = [n for n, label in enumerate(labels_n) if label != 255]
    for n in counted:
        z = logits_nk[n].astype(np.float64)
        for (k, _), leaves, above, below in nodes:
            if labels_n[n] in leaves:
                c = min((channel[a] for a in above), key=lambda c: z[c])
                x, sign = -z[c], -1
            else:
                c = max((channel[b] for b in below), key=lambda c: z[c])
                x, sign = z[c], 1
            s, soft = 1 / (1 + np.exp(-x)), np.logaddexp(0, x)
            share = 1 / (hierarchy.levels[k].num_classes * len(counted))
            total += share * soft * s**gamma
            gradient_nk[n, c] += sign * share * s**gamma * (s + gamma * (1 - s) * soft)
    return total, gradient_nk


def compare_with_slow(hierarchy, gamma, seed, pixels=6):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (1, 1, pixels, hierarchy.num_nodes)).astype(np.float32)
    labels = rng.integers(0, hierarchy.num_classes, (1, 1, pixels)).astype(np.uint8)
    labels[0, 0, -1] = 255

    @jax.jit
    def found(logits, labels):
        loss = functools.partial(tree_min, labels_bhw=labels, hierarchy=hierarchy, gamma=gamma)
        return jax.value_and_grad(loss)(logits), loss(logits)

    (value, gradient), plain = found(logits, labels)
    expected, slope = slow_tree_min(hierarchy, logits[0, 0], labels[0, 0], gamma)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient[0, 0], slope, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(plain, value, rtol=1e-6)


@pytest.mark.parametrize(("gamma", "key"), [(0.0, "tree_min"), (2.0, "tree_min_focal_gamma2")])
def test_it_equals_the_public_code(gamma, key):
    golden, _ = load_golden("tree_min_loss")
    loss = jax.jit(functools.partial(tree_min, hierarchy=HSSN_TREE, gamma=gamma))
    value = loss(golden["scores_nchw"].transpose(0, 2, 3, 1), golden["labels"])
    np.testing.assert_allclose(value, golden[key], rtol=0, atol=1e-5)


@settings(max_examples=6)
@given(trees(max_leaves=20), st.sampled_from([0.0, 2.0, 0.7]), st.integers(0, 2**31))
def test_it_equals_a_slow_walk_over_any_tree(tree, gamma, seed):
    compare_with_slow(Hierarchy.from_mapping(tree), gamma, seed)


@pytest.mark.slow
def test_it_equals_a_slow_walk_at_depth_5_with_60_leaves():
    tree = list(range(49, 61))
    for depth in range(4):  # leaves and groups side by side at every level
        first = 12 * depth + 1
        beside = {f"beside_{depth}": list(range(first + 6, first + 12))}
        tree = [*range(first, first + 6), {f"group_{depth}": tree}, beside]
    hierarchy = Hierarchy.from_mapping(tree)
    assert (hierarchy.num_levels, hierarchy.num_classes) == (5, 61)
    compare_with_slow(hierarchy, 2.0, 7)


def test_blocks_of_pixels_give_the_loss_and_gradient_of_all(monkeypatch):
    monkeypatch.setattr("hierseg_jax.losses.tree_min_loss.CPU_BLOCK", 8)
    monkeypatch.setattr("hierseg_jax.losses.tree_min_loss.SMALLEST_BLOCK", 2)
    compare_with_slow(ODD_TREE, 0.7, 3, pixels=24)
    compare_with_slow(ODD_TREE, 0.7, 3, pixels=23)  # prime: one block


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_saturated_scores_have_finite_gradients(gamma, dtype):
    labels = np.arange(7, dtype=np.uint8).reshape(1, 1, 7)
    signs = np.sign(np.random.default_rng(0).normal(size=(1, 1, 7, ODD_TREE.num_nodes)))
    compiled = jax.jit(
        jax.value_and_grad(lambda x: tree_min(x, labels, hierarchy=ODD_TREE, gamma=gamma))
    )
    for size in (0.0, 50.0, 1e4, 1e30):
        value, gradient = compiled(jnp.asarray(signs * size, dtype))
        assert value.dtype == jnp.float32
        assert gradient.dtype == dtype
        assert np.isfinite(value)
        assert np.isfinite(np.asarray(gradient, np.float32)).all()
        if size == 1e4:
            assert np.any(gradient)


def test_among_equal_scores_one_gets_the_whole_gradient():
    labels = np.zeros((1, 1, 1), np.uint8)
    logits = np.zeros((1, 1, 1, HSSN_TREE.num_nodes), np.float32)
    loss = functools.partial(tree_min, hierarchy=HSSN_TREE)
    gradient = jax.jit(jax.grad(loss))(logits, labels)[0, 0, 0]
    # Half a slope for every term: 3 levels of the background, 6 + 2 + 1 absent nodes.
    pulled = sum(0.5 / level.num_classes for level in HSSN_TREE.levels)
    pushed = sum(0.5 * (n.num_classes - 1) / n.num_classes for n in HSSN_TREE.levels)
    np.testing.assert_allclose(gradient.sum(), pushed - pulled, rtol=1e-6)


def test_ignored_pixels_and_padding_contribute_nothing():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3, 4, 5, 12)).astype(np.float32)
    labels = rng.integers(0, 7, (3, 4, 5)).astype(np.uint8)
    loss = functools.partial(tree_min, hierarchy=PASCAL_PERSON_PART, gamma=2.0)
    graded = jax.jit(jax.value_and_grad(lambda x, y, valid: loss(x, y, valid_b=valid)))
    value, _ = graded(logits, labels, np.array([True, True, False]))
    np.testing.assert_allclose(value, jax.jit(loss)(logits[:2], labels[:2]), rtol=1e-6)
    outside = len(PASCAL_PERSON_PART.labels.names)
    assert_nothing_else_counts(graded, logits, labels, outside)


def test_a_batch_spread_over_devices_has_the_loss_and_gradient_of_the_whole():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4, 3, 2, 12)).astype(np.float32)
    labels = rng.integers(0, 7, (4, 3, 2)).astype(np.uint8)
    labels[0] = 255  # devices count different numbers of pixels
    loss = functools.partial(tree_min, hierarchy=PASCAL_PERSON_PART)
    assert_same_over_devices(loss, logits, labels)


def test_wrong_arguments_are_refused():
    logits, labels = np.zeros((1, 2, 3, 12)), np.zeros((1, 2, 3), np.uint8)
    with pytest.raises(ValueError, match=r"has 12 nodes in all its levels; .* got 7"):
        tree_min(logits[..., :7], labels, hierarchy=PASCAL_PERSON_PART)
    with pytest.raises(ValueError, match=r"got \(1, 2, 3, 12\) and \(1, 3, 2\)"):
        tree_min(logits, labels.transpose(0, 2, 1), hierarchy=PASCAL_PERSON_PART)
    with pytest.raises(ValueError, match="gamma 0 or more"):
        tree_min(logits, labels, hierarchy=PASCAL_PERSON_PART, gamma=-1.0)

"""Labels that are soft along the tree, against walks over pixels and classes."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import crossentropy, soft_crossentropy
from hierseg_jax.losses.soft_labels import soft_targets
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices
from tests.runs import small_settings
from tests.test_labels import trees, with_groups

TREE = with_groups(PASCAL_PERSON_PART)


def slow_loss(hierarchy, logits_nc, labels_n, beta):
    """Of every pixel that counts: what is below its label is one class among the others."""
    losses = []

    def distance(a, b):
        differ = [level.leaf_to_class[a] != level.leaf_to_class[b] for level in hierarchy.levels]
        return np.mean(differ)

    for logits_c, label in zip(logits_nc.astype(float), labels_n, strict=True):
        if label == 255:
            continue
        p = np.exp(logits_c) / np.exp(logits_c).sum()
        below = np.flatnonzero(hierarchy.labels.leaves_lc[label])
        parts = [(0, below)]
        for leaf in set(range(len(p))) - set(below.tolist()):
            parts.append((min(distance(leaf, other) for other in below), [leaf]))
        weights = [np.exp(-beta * d) for d, _ in parts]
        losses.append(
            -sum(
                weight / sum(weights) * np.log(sum(p[leaf] for leaf in leaves))
                for weight, (_, leaves) in zip(weights, parts, strict=True)
            )
        )
    return np.mean(losses)


@settings(max_examples=8, deadline=None)
@given(trees(), st.floats(0.1, 30), st.integers(0, 2**31))
def test_the_loss_equals_a_slow_walk(hierarchy, beta, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (1, 3, 4, hierarchy.num_classes)).astype(np.float32)
    labels = rng.integers(0, len(hierarchy.labels.names), (1, 3, 4)).astype(np.uint8)
    labels[0, 0, 0] = 255
    loss = jax.jit(functools.partial(soft_crossentropy, hierarchy=hierarchy, beta=beta))
    expected = slow_loss(hierarchy, logits.reshape(12, -1), labels.ravel(), beta)
    np.testing.assert_allclose(loss(logits, labels), expected, rtol=1e-5)


def test_targets_are_those_of_the_paper():
    own, others = soft_targets(TREE, beta=4.0)
    # Heights of the nearest nodes above a lower hand (1) and every class; the tree's is 3.
    weights = np.exp(-4.0 * np.array([3, 0, 1, 2, 1, 2, 1]) / 3)
    expected = weights / weights.sum()
    np.testing.assert_allclose(own[1], expected[1])
    np.testing.assert_allclose(np.delete(others[1], 1), np.delete(expected, 1))
    np.testing.assert_allclose(own + others.sum(1), 1)


def test_hard_labels_are_those_of_crossentropy():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 5, 4, 7)).astype(np.float32)
    labels = rng.integers(0, 7, (2, 5, 4)).astype(np.uint8)
    found = jax.jit(functools.partial(soft_crossentropy, hierarchy=TREE, beta=1e4))(logits, labels)
    np.testing.assert_allclose(found, jax.jit(crossentropy)(logits, labels), rtol=1e-6)


def test_ignored_pixels_and_padding_contribute_nothing():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (3, 4, 4, 7)).astype(np.float32)
    labels = rng.integers(0, 10, (3, 4, 4)).astype(np.uint8)
    loss = functools.partial(soft_crossentropy, hierarchy=TREE)
    graded = jax.jit(jax.value_and_grad(lambda x, y, valid: loss(x, y, valid_b=valid)))
    assert_nothing_else_counts(graded, logits, labels, outside=len(TREE.labels.names))


def test_devices_see_the_loss_of_the_whole_batch():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 4, 4, 7)).astype(np.float32)
    labels = rng.integers(0, 10, (2, 4, 4)).astype(np.uint8)
    labels[0, :3] = 255
    loss = functools.partial(soft_crossentropy, hierarchy=TREE)
    assert_same_over_devices(loss, logits, labels)


def test_mistakes_end_in_one_sentence():
    with pytest.raises(HiersegError, match="sums leaf probabilities and is for flat heads"):
        small_settings(loss="soft_crossentropy", model__hierarchical=True)
    with pytest.raises(HiersegError, match=r"loss_options\.beta is 0.0; it must be above 0"):
        small_settings(loss="soft_crossentropy", loss_options__beta=0.0)
    with pytest.raises(HiersegError, match="has 7 classes; soft_crossentropy takes as many"):
        soft_crossentropy(np.zeros((1, 1, 1, 8)), np.zeros((1, 1, 1)), hierarchy=TREE)
    with pytest.raises(HiersegError, match="needs beta above 0; got 0"):
        soft_crossentropy(np.zeros((1, 1, 1, 7)), np.zeros((1, 1, 1)), hierarchy=TREE, beta=0)

"""Losses of labels of any node: against slow walks, pixel by pixel and node by node, in float64."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import LossOptions, build_loss, tree_triplet
from hierseg_jax.losses.tree_triplet_loss import _draw_labels, _edges
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import Group, walk
from tests.test_labels import trees

# Ends at different depths, and has groups of one class.
ODD_TREE = Hierarchy.from_mapping({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})
FLAT = ["crossentropy", "focal", "tversky", "hierarchical_crossentropy"]
HIERARCHICAL = ["crossentropy", "dice", "tree_min_focal"]
HEADS = [(name, False) for name in FLAT] + [(name, True) for name in HIERARCHICAL]
# Whether training's options help.
HELPED = [("crossentropy", False, True), ("focal", False, True)]


def with_groups(hierarchy):
    return dataclasses.replace(hierarchy, inner_labels=True)


def leaves_below(hierarchy):
    """The leaf classes that each label may be."""
    groups = {}

    def collect(children):
        for child in children:
            if isinstance(child, Group):
                groups[child.name] = {leaf for leaf, _ in walk(child.children)}
                collect(child.children)

    collect(hierarchy.children)
    count = hierarchy.num_classes
    names = hierarchy.labels.names[count:]
    return [{leaf} for leaf in range(count)] + [groups[name] for name in names]


def class_at(level, leaves):
    """The class of leaves at a level; None where they differ."""
    found = {int(level.leaf_to_class[leaf]) for leaf in leaves}
    return found.pop() if len(found) == 1 else None


def softmax(z):
    e = np.exp(z.astype(np.float64) - z.max())
    return e / e.sum()


def slow_crossentropy(hierarchy, logits, labels, weights, gamma=0.0, smoothing=0.0, share=1.0):
    below, count = leaves_below(hierarchy), hierarchy.num_classes
    total = divisor = 0.0
    for image, labels_hw in zip(logits, labels, strict=True):
        pixels = []
        for index, label in np.ndenumerate(labels_hw):
            if label == 255:
                continue
            p, leaves = softmax(image[index]), below[label]
            p_label = sum(p[leaf] for leaf in leaves)
            known = [class_at(level, leaves) for level in hierarchy.levels]
            finest = max(k for k, v in enumerate(known) if v is not None)
            weight = weights[finest][known[finest]]
            target = 1 - smoothing + smoothing / count * len(leaves)
            loss = -weight * target * np.log(p_label)
            for leaf in set(range(count)) - leaves:
                loss -= weights[-1][leaf] * smoothing / count * np.log(p[leaf])
            pixels.append((p_label, loss * (1 - p_label) ** gamma, weight))
        pixels.sort()
        for _, loss, weight in pixels[: int(np.ceil(share * len(pixels)))]:
            total, divisor = total + loss, divisor + weight
    return total / divisor if divisor else 0.0


def slow_tversky(p_of_pixels, classes, num_classes, alpha, beta):
    """Of pixels with their probabilities and true classes."""
    loss = 0.0
    for v in range(num_classes):
        tp = fp = fn = 0.0
        for p, true in zip(p_of_pixels, classes, strict=True):
            tp += p[v] * (true == v)
            fp += p[v] * (true != v)
            fn += (1 - p[v]) * (true == v)
        if v in classes:
            loss += 1 - (tp + 1) / (tp + alpha * fp + beta * fn + 1)
    return loss / num_classes


def counted_pixels(hierarchy, logits, labels):
    """Logits, leaves below the label, and the class at every level of all that count."""
    below = leaves_below(hierarchy)
    for index, label in np.ndenumerate(labels):
        if label != 255:
            known = [class_at(level, below[label]) for level in hierarchy.levels]
            yield logits[index], below[label], known


def slow_flat_tversky(hierarchy, logits, labels, alpha, beta):
    pixels = list(counted_pixels(hierarchy, logits, labels))
    total = 0.0
    for k, level in enumerate(hierarchy.levels):
        ends_here = [known for *_, known in pixels if known[k] is not None]
        if k + 1 < hierarchy.num_levels:
            ends_here = [known for known in ends_here if known[k + 1] is None]
        p_of_pixels, classes = [], []
        for z, _, known in pixels:
            if known[k] is not None:
                p = softmax(z)
                grouped = [p[level.leaf_to_class == v].sum() for v in range(level.num_classes)]
                p_of_pixels.append(grouped)
                classes.append(known[k])
        value = slow_tversky(p_of_pixels, classes, level.num_classes, alpha, beta)
        total += value * len(ends_here) / max(len(pixels), 1)
    return total


def slow_by_level(hierarchy, logits, labels, of_level):
    """A sum over levels of `of_level(level, k, [(logits, true class) of those known there])`."""
    pixels = list(counted_pixels(hierarchy, logits, labels))
    return sum(
        of_level(level, k, [(z, known[k]) for z, _, known in pixels if known[k] is not None])
        for k, level in enumerate(hierarchy.levels)
    )


def slow_tree_min(hierarchy, logits, labels, gamma):
    """The loss and its gradient."""
    nodes = {}
    for k, (level, channels) in enumerate(
        zip(hierarchy.levels, hierarchy.level_channels, strict=True)
    ):
        for v in range(level.num_classes):
            leaves = set(np.flatnonzero(level.leaf_to_class == v).tolist())
            nodes[k, v] = (leaves, channels.start + v)
    below = leaves_below(hierarchy)
    count = max((labels != 255).sum(), 1)
    total, gradient = 0.0, np.zeros(logits.shape)
    for index, label in np.ndenumerate(labels):
        if label == 255:
            continue
        z = logits[index].astype(np.float64)
        for (k, _), (leaves, _) in nodes.items():
            if leaves >= below[label]:
                path = [c for (j, _), (ls, c) in nodes.items() if j <= k and ls >= leaves]
                c, sign = min(path, key=lambda c: z[c]), -1
            elif not leaves & below[label]:
                descend = [c for (j, _), (ls, c) in nodes.items() if j >= k and ls <= leaves]
                c, sign = max(descend, key=lambda c: z[c]), 1
            else:
                continue
            x = sign * z[c]
            s, soft = 1 / (1 + np.exp(-x)), np.logaddexp(0, x)
            share = 1 / (hierarchy.levels[k].num_classes * count)
            total += share * soft * s**gamma
            slope = s**gamma * (s + gamma * (1 - s) * soft)
            gradient[(*index, c)] += sign * share * slope
    return total, gradient


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


def expected_flat(name, hierarchy, logits, labels, options):
    ones = tuple((1.0,) * level.num_classes for level in hierarchy.levels)
    weights = options.class_weights or ones
    if name == "focal":
        given = {"gamma": options.gamma, "share": options.hard_share}
        return slow_crossentropy(hierarchy, logits, labels, weights, **given)
    if name == "crossentropy":
        given = {"smoothing": options.label_smoothing, "share": options.hard_share}
        return slow_crossentropy(hierarchy, logits, labels, weights, **given)
    if name == "hierarchical_crossentropy":

        def of_level(level, _, pixels):
            p = [softmax(z)[level.leaf_to_class == true].sum() for z, true in pixels]
            return -np.mean(np.log(p)) if p else 0.0

        return slow_by_level(hierarchy, logits, labels, of_level)
    return slow_flat_tversky(hierarchy, logits, labels, 0.3, 0.7)


def expected_hierarchical(name, hierarchy, logits, labels):
    if name == "tree_min_focal":
        return slow_tree_min(hierarchy, logits, labels, 2.0)[0]

    def of_level(level, k, pixels):
        p = [softmax(z[hierarchy.level_channels[k]]) for z, _ in pixels]
        true = [v for _, v in pixels]
        if name == "dice":
            return slow_tversky(p, true, level.num_classes, 0.5, 0.5)
        return -np.mean([np.log(q[v]) for q, v in zip(p, true, strict=True)]) if p else 0.0

    return slow_by_level(hierarchy, logits, labels, of_level)


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
        np.testing.assert_allclose(loss(logits, labels), expected, rtol=2e-5, atol=1e-6)
    logits, labels = make_batch(hierarchy, seed, hierarchy.num_nodes)
    for name in HIERARCHICAL:
        loss = build_loss(name, hierarchy, hierarchical=True)
        expected = expected_hierarchical(name, hierarchy, logits, labels)
        np.testing.assert_allclose(loss(logits, labels), expected, rtol=2e-5, atol=1e-6)


@settings(max_examples=5)
@given(trees(most=4), st.integers(0, 2**31), st.sampled_from(OPTIONS))
def test_losses_equal_slow_walks_over_any_tree(hierarchy, seed, options):
    # Op by op: compiling every tree would take minutes.
    with jax.disable_jit():
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


@pytest.mark.parametrize("seed", range(4))
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


@pytest.mark.parametrize(
    ("name", "helped"), [*((name, False) for name in FLAT), ("crossentropy", True), ("focal", True)]
)
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
    if name in ("crossentropy", "focal"):
        assert found[0] == expected[0]


@pytest.mark.parametrize(("name", "hierarchical"), HEADS)
def test_ignored_pixels_and_padding_contribute_nothing(name, hierarchical):
    loss = compiled(name, hierarchical, helped=name == "crossentropy")
    channels = ODD.num_nodes if hierarchical else ODD.num_classes
    logits, labels = make_batch(ODD, 8, channels)
    valid = np.array([True, False])
    value, gradient = loss(logits, labels, valid)
    assert np.isfinite(value)
    logits[labels == 255], logits[1], labels[1] = np.nan, np.inf, 0
    spoiled, of_spoiled = loss(logits, labels, valid)
    assert spoiled == value
    np.testing.assert_array_equal(of_spoiled, gradient)
    assert not np.any(of_spoiled[1])
    assert not np.any(of_spoiled[labels == 255])
    nothing, none = loss(logits, np.full_like(labels, 255), valid)
    assert nothing == 0
    assert not np.any(none)


@pytest.mark.parametrize("name", ["crossentropy", "tversky", "hierarchical_crossentropy"])
def test_a_batch_spread_over_devices_has_the_loss_and_gradient_of_the_whole(name):
    logits, labels = make_batch(ODD, 9, ODD.num_classes)
    labels[0] = [[0, 1, 2, 3], [255, 5, 6, 4]]  # no groups on the first device
    value, gradient = compiled(name, False)(logits, labels, ALL_VALID)
    loss = build_loss(name, ODD, hierarchical=False)

    @jax.jit
    @functools.partial(jax.vmap, axis_name="data")
    def on_a_device(x, y):
        return jax.value_and_grad(loss)(x, y, axis_name="data")

    values, gradients = on_a_device(logits[:, None], labels[:, None])
    np.testing.assert_allclose(values, [value] * 2, rtol=1e-6)
    # Of the sum over devices of their losses, which are all the same.
    np.testing.assert_allclose(gradients[:, 0] / 2, gradient, rtol=1e-4, atol=1e-7)


def triplets_by_walk(hierarchy, present):
    """Labels of all triplets that are known to be some, with their margins."""
    below, edges = leaves_below(hierarchy), hierarchy.distances
    found = {}
    for a in present:
        for p in present:
            farthest = max(edges[i, j] for i in below[a] for j in below[p])
            for n in present:
                nearest = min(edges[i, j] for i in below[a] for j in below[n])
                if farthest < nearest:
                    margin = 0.1 + 0.5 * (nearest - farthest) / (2 * hierarchy.num_levels)
                    found[a, p, n] = margin
    return found


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

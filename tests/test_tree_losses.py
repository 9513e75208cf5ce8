"""Losses of the tree beside tree-min, and sums of losses from a config."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.losses import (
    LOSSES,
    TREE_LOSSES,
    LossOptions,
    build_loss,
    crossentropy,
    dice,
    focal,
    hierarchical_crossentropy,
    parse_loss,
    tree_min,
    tree_triplet,
    triplet_weight,
)
from hierseg_jax.losses.sum_of_names import FOR_FLAT, FOR_HIERARCHICAL
from hierseg_jax.losses.tree_triplet_loss import _draw_pixels
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

ODD_TREE = Hierarchy.from_mapping({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, (2, 8, 8)).astype(np.uint8)
    labels[0, 0] = 255
    return rng.normal(0, 2, (2, 8, 8, 7)).astype(np.float32), labels


@pytest.mark.parametrize("tree", [PASCAL_PERSON_PART, ODD_TREE], ids=["person", "odd"])
def test_hierarchical_crossentropy_sums_probabilities_over_leaves(batch, tree):
    logits, labels = batch
    weights = tuple(float(k) for k in range(tree.num_levels))
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    expected = 0.0
    for level, weight in zip(tree.levels, weights, strict=True):
        losses = [
            -np.log(p[i][level.leaf_to_class == level.leaf_to_class[label]].sum())
            for i, label in np.ndenumerate(labels)
            if label != 255
        ]
        expected += weight * np.mean(losses)
    loss = jax.jit(
        functools.partial(hierarchical_crossentropy, hierarchy=tree),
        static_argnames="level_weights",
    )
    value = loss(logits, labels, level_weights=weights)
    np.testing.assert_allclose(value, expected, rtol=2e-6)
    # The leaves' level alone is cross-entropy.
    leaf = (0.0,) * (tree.num_levels - 1) + (1.0,)
    alone = loss(logits, labels, level_weights=leaf)
    np.testing.assert_allclose(alone, crossentropy(logits, labels), rtol=1e-6)


def test_losses_of_classes_are_taken_at_every_level_of_a_hierarchical_head(batch):
    labels = batch[1]
    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 12)).astype(np.float32)
    total = build_loss("dice", PASCAL_PERSON_PART, hierarchical=True)
    expected = 0.0
    for level, channels in zip(
        PASCAL_PERSON_PART.levels, PASCAL_PERSON_PART.level_channels, strict=True
    ):
        table = np.append(level.leaf_to_class, [255] * 249).astype(np.uint8)
        expected += jax.jit(dice)(logits[..., channels], table[labels])
    np.testing.assert_allclose(jax.jit(total)(logits, labels), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", [dice, crossentropy])
def test_every_level_of_a_flat_head_has_the_loss_of_summed_probabilities(loss, batch):
    logits, labels = batch
    tree = PASCAL_PERSON_PART
    options = LossOptions(every_level=True, level_weights=(0.5, 0.0, 2.0))
    expected = 0.0
    for level, weight in zip(tree.levels, options.level_weights, strict=True):
        p = np.exp(logits.astype(np.float64))
        of_class = [p[..., level.leaf_to_class == v].sum(-1) for v in range(level.num_classes)]
        table = np.append(level.leaf_to_class, [255] * 249).astype(np.uint8)
        log_p = np.log(np.stack(of_class, -1)).astype(np.float32)
        expected += weight * jax.jit(loss)(log_p, table[labels])
    total = build_loss(loss.__name__, tree, hierarchical=False, options=options)
    np.testing.assert_allclose(jax.jit(total.__call__)(logits, labels), expected, rtol=1e-5)
    # Labels of leaves are the same where there might be others.
    tree = dataclasses.replace(tree, inner_labels=True)
    total = build_loss(loss.__name__, tree, hierarchical=False, options=options)
    np.testing.assert_allclose(jax.jit(total.__call__)(logits, labels), expected, rtol=1e-5)


def test_a_sum_is_the_weighted_sum_of_its_losses(batch):
    logits, labels = batch
    flat = build_loss(
        {"focal": 2, "dice": 0.5},
        PASCAL_PERSON_PART,
        hierarchical=False,
        options=LossOptions(gamma=1.0),
    )
    expected = 2 * focal(logits, labels, gamma=1.0) + 0.5 * dice(logits, labels)
    np.testing.assert_allclose(jax.jit(flat.__call__)(logits, labels), expected, rtol=1e-6)

    wide = np.random.default_rng(1).normal(size=(2, 8, 8, 12)).astype(np.float32)
    both = build_loss("tree_min + 0.5*tree_min_focal", PASCAL_PERSON_PART, hierarchical=True)
    of = functools.partial(tree_min, wide, labels, hierarchy=PASCAL_PERSON_PART)
    np.testing.assert_allclose(
        jax.jit(both.__call__)(wide, labels), of() + 0.5 * of(gamma=2.0), rtol=1e-6
    )


weights = st.floats(1e-3, 1e3)


@given(st.dictionaries(st.sampled_from([*LOSSES, *TREE_LOSSES]), weights, min_size=1), st.data())
def test_sums_are_read_as_they_are_written(wanted, data):
    terms = []
    for name, weight in wanted.items():
        space = data.draw(st.sampled_from(["", " ", "  "]))
        form = data.draw(st.sampled_from([f"{weight}{space}*{name}", f"{name}*{space}{weight}"]))
        terms.append(form)
    assert parse_loss(data.draw(st.sampled_from([" + ", "+"])).join(terms)) == wanted
    assert parse_loss(wanted) == wanted


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        ("tree_min_focl", "no loss 'tree_min_focl'; did you mean tree_min_focal"),
        ("dice + ", "is no sum of names"),
        ("dice - iou", "is no sum of names"),
        ("", "is no sum of names"),
        ("0*dice", "weight 0.0; it must be above 0"),
        ({"dice": "1"}, "weight '1'; it must be above 0"),
        ({"dice": float("nan")}, "weight nan"),
        ({}, "names none"),
        ("dice + dice", "names 'dice' twice"),
        (3, "mapping to weights; got 3"),
    ],
)
def test_losses_that_are_none_end_in_one_sentence(loss, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        parse_loss(loss)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("loss", "hierarchical", "options", "sentence"),
    [
        ("tree_min", False, {}, "set model.hierarchical to True"),
        ("hierarchical_crossentropy", True, {}, "is for flat heads"),
        ("tree_triplet", True, {}, "trains embeddings, no scores"),
        ("focal", False, {"gamma": -1.0}, "gamma is -1.0"),
        ("dice", False, {"level_weights": (1.0,)}, "has 1 numbers; the tree has 3 levels"),
        ("dice", False, {"level_weights": (0.0, 0.0, 0.0)}, "one above 0"),
        ("dice", False, {"level_weights": ("a", "b", "c")}, "each must be 0 or more"),
        ("dice", False, {"level_weights": (True, 1.0, 1.0)}, "each must be 0 or more"),
    ],
)
def test_losses_that_do_not_suit_the_head_are_refused(loss, hierarchical, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build_loss(
            loss, PASCAL_PERSON_PART, hierarchical=hierarchical, options=LossOptions(**options)
        )


@pytest.mark.parametrize("hierarchical", [False, True])
def test_logits_of_another_head_are_refused(batch, hierarchical):
    loss = build_loss("crossentropy + dice", PASCAL_PERSON_PART, hierarchical=hierarchical)
    channels = PASCAL_PERSON_PART.num_nodes if hierarchical else 7
    for wrong in (5, 7 if hierarchical else 12):
        with pytest.raises(HiersegError, match=f"The loss is of {channels} logits a pixel; got"):
            loss(jnp.zeros((2, 8, 8, wrong)), batch[1])
    assert np.isfinite(loss(jnp.zeros((2, 8, 8, channels)), batch[1]))


@pytest.mark.parametrize("name", [*LOSSES, *FOR_FLAT, *FOR_HIERARCHICAL])
@pytest.mark.parametrize("inner_labels", [False, True])
def test_labels_that_are_none_of_the_tree_count_nowhere(batch, name, inner_labels):
    tree = dataclasses.replace(PASCAL_PERSON_PART, inner_labels=inner_labels)
    hierarchical = name in FOR_HIERARCHICAL
    term = f"tree_min + {name}" if name == "logic_rules" else name
    loss = jax.jit(build_loss(term, tree, hierarchical=hierarchical))
    channels = tree.num_nodes if hierarchical else tree.num_classes
    logits = jax.random.normal(jax.random.key(0), (*batch[1].shape, channels))
    none = len(tree.labels.names)
    expected = loss(logits, np.where(batch[1] == 6, 255, batch[1]))
    spoiled = jnp.where((batch[1] == 6)[..., None], jnp.nan, logits)
    found = loss(spoiled, np.where(batch[1] == 6, none, batch[1]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "weights",
    [
        (1.0, 2.0),
        ((1.0,) * 7,),
        ((1.0,) * 2, (1.0,) * 3, (1.0,) * 6),
        ((1.0,) * 2,) * 3,
        5,
        (None, 2),
    ],
)
def test_class_weights_are_of_every_level(weights):
    with pytest.raises(HiersegError, match=r"each of its classes \(2, 3, 7\); got ") as refused:
        build_loss("crossentropy", PASCAL_PERSON_PART, options=LossOptions(class_weights=weights))
    assert "class_weights has a tuple for every level" in str(refused.value)


def test_a_loss_that_knows_no_groups_is_refused_where_they_are_labelled(monkeypatch):
    monkeypatch.setitem(LOSSES, "mine", lambda logits, labels, **_: jnp.float32(3))
    assert build_loss("mine", PASCAL_PERSON_PART)(jnp.zeros((1, 2, 2, 7)), np.zeros((1, 2, 2))) == 3
    tree = dataclasses.replace(PASCAL_PERSON_PART, inner_labels=True)
    with pytest.raises(HiersegError, match="'mine' does not take labels of groups"):
        build_loss("mine", tree)


def embedded(labels, directions):
    """An embedding of stride 2 in which a class has one direction."""
    return jnp.asarray(np.asarray(directions, np.float32)[labels[:, ::2, ::2] % 7])


def test_triplets_of_a_perfect_embedding_cost_nothing_and_of_a_collapsed_one_the_margin():
    labels = np.tile(np.repeat([[1, 6], [3, 5]], 8, 0).repeat(8, 1), (2, 1, 1)).astype(np.uint8)
    loss = jax.jit(functools.partial(tree_triplet, hierarchy=PASCAL_PERSON_PART, triplets=500))
    key = jax.random.key(0)
    # Classes of one half of the body lie in one plane of their own.
    directions = np.zeros((7, 6))
    directions[[1, 6]] = [[1, 0.3, 0, 0, 0, 0], [1, -0.3, 0, 0, 0, 0]]
    directions[[3, 5]] = [[-1, 0, 0.3, 0, 0, 0], [-1, 0, -0.3, 0, 0, 0]]
    apart = loss(embedded(labels, directions), labels, key=key)
    collapsed = loss(jnp.ones((2, 8, 8, 6)), labels, key=key)
    # Distances 0, 2 and 4 edges of at most 6: margins are 0.1 + 0.5 * (2 or 4) / 6.
    assert 0.1 + 1 / 6 < collapsed < 0.1 + 2 / 6
    assert apart < 0.5 * collapsed


def test_triplets_are_drawn_by_tree_distance():
    labels = np.array([[[1, 6, 3, 0, 255, 255]]], np.uint8)
    one_hot = np.eye(7, dtype=np.float32)[np.array([[[1, 6, 3, 0, 2, 4]]])]
    edges = PASCAL_PERSON_PART.distances
    seen = set()

    @jax.jit
    def gradient_of(key):
        given = {"hierarchy": PASCAL_PERSON_PART, "key": key, "triplets": 1}
        return jax.grad(tree_triplet)(one_hot, labels, **given)

    for seed in range(200):
        gradient = np.asarray(gradient_of(jax.random.key(seed)))[0, 0]
        # Moving along the positive's direction lowers the loss, along the negative's raises it.
        anchor = [
            (c, int(np.argmin(row)), int(np.argmax(row)))
            for c, row in zip([1, 6, 3, 0, 2, 4], gradient, strict=True)
            if (row < -1e-6).any() and (row > 1e-6).any()
        ]
        assert not np.any(gradient[4:])
        for a, p, n in anchor:
            assert edges[a, p] < edges[a, n]
            seen.add((a, p, n))
    assert {(a, p, n) for a, p, n in seen if a == 1} >= {(1, 6, 3), (1, 6, 0)}


def test_all_pixels_of_a_label_are_drawn_alike():
    labels_n = jnp.asarray(np.random.default_rng(0).permutation(np.repeat([0, 2, 5], [3, 40, 7])))
    drawn_t3 = jnp.broadcast_to(jnp.array([2, 5, 0]), (2000, 3))
    pixels_t3 = _draw_pixels(jax.random.key(0), labels_n, drawn_t3, PASCAL_PERSON_PART)
    np.testing.assert_array_equal(labels_n[pixels_t3], drawn_t3)
    for pixels_t, count in zip(np.asarray(pixels_t3).T, (40, 7, 3), strict=True):
        times = np.unique(pixels_t, return_counts=True)[1]
        assert len(times) == count
        assert times.min() > 2000 / count / 2


def test_one_class_alone_has_no_triplets():
    loss = functools.partial(tree_triplet, hierarchy=PASCAL_PERSON_PART, triplets=8)
    value, gradient = jax.jit(jax.value_and_grad(loss))(
        jnp.ones((1, 4, 4, 3)), np.full((1, 8, 8), 2, np.uint8), key=jax.random.key(0)
    )
    assert value == 0
    assert np.isfinite(gradient).all()
    assert not np.any(gradient)


def test_the_weight_of_triplets_rises_by_a_cosine_from_nothing_to_a_half():
    np.testing.assert_allclose(
        [triplet_weight(jnp.float32(x)) for x in (0, 1 / 3, 0.5, 1, 2)],
        [0, 0.125, 0.25, 0.5, 0.5],
        atol=1e-6,
    )

"""The rules of a tree: as a loss, and as messages between nodes before decoding."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.evaluation.predictions import leaf_classes, leaf_scores
from hierseg_jax.losses import logic_rules
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import ROUNDS, reasoned
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices
from tests.runs import small_settings
from tests.test_labels import trees

ODD_TREE = Hierarchy.from_mapping({"a": [1, 2], "b": 3})


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def family(hierarchy):
    """Of every channel: its parent, its children and its rivals."""
    nodes = []
    for k, level in enumerate(hierarchy.levels):
        start = hierarchy.level_channels[k].start
        for v in range(level.num_classes):
            leaves = np.flatnonzero(level.leaf_to_class == v)
            parent, children = None, []
            if k:
                above = hierarchy.levels[k - 1].leaf_to_class[leaves[0]]
                parent = int(hierarchy.level_channels[k - 1].start + above)
            if k + 1 < hierarchy.num_levels:
                below = set(hierarchy.levels[k + 1].leaf_to_class[leaves].tolist())
                children = [hierarchy.level_channels[k + 1].start + c for c in sorted(below)]
            rivals = [start + c for c in range(level.num_classes) if c != v]
            nodes.append((start + v, parent, children, rivals))
    return nodes


def slow_loss(hierarchy, scores_nk):
    """Rule by rule, and pixel by pixel."""

    def broken(truths_of_pixels):
        return np.mean([(1 - truth) ** 5 for truth in truths_of_pixels]) ** (1 / 5)

    def implies(premise, conclusion):
        return 1 - premise + premise * conclusion

    kinds = [], [], []
    for v, parent, children, rivals in family(hierarchy):
        if parent is not None:
            kinds[0].append(broken([implies(s[v], s[parent]) for s in scores_nk]))
        if children:
            kinds[1].append(broken([implies(s[v], max(s[children])) for s in scores_nk]))
        each = [broken([implies(s[v], 1 - s[rival]) for s in scores_nk]) for rival in rivals]
        kinds[2].append(np.mean(each))
    return sum(np.mean(kind) for kind in kinds if kind)


@settings(max_examples=4, deadline=None)
@given(trees(), st.integers(0, 2**31))
def test_the_loss_equals_a_slow_walk(hierarchy, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (1, 3, 3, hierarchy.num_nodes)).astype(np.float32)
    labels = rng.integers(0, len(hierarchy.labels.names), (1, 3, 3)).astype(np.uint8)
    labels[0, 0, 0] = 255
    found = jax.jit(functools.partial(logic_rules, hierarchy=hierarchy))(logits, labels)
    expected = slow_loss(hierarchy, sigmoid(logits.reshape(9, -1)[1:]))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_scores_that_lie_on_a_path_keep_the_rules():
    logits = np.full((1, 1, 7, PASCAL_PERSON_PART.num_nodes), -12.0, np.float32)
    for leaf, channels in enumerate(PASCAL_PERSON_PART.path_channels):
        logits[0, 0, leaf, channels] = 12
    labels = np.zeros((1, 1, 7), np.uint8)
    rules = jax.jit(functools.partial(logic_rules, labels_bhw=labels, hierarchy=PASCAL_PERSON_PART))
    assert rules(logits) < 1e-3
    flipped = logits.copy()
    flipped[0, 0, 1, PASCAL_PERSON_PART.path_channels[1, 0]] = -12  # a hand of no body
    # One of seven pixels breaks one of ten rules of composition.
    np.testing.assert_allclose(rules(flipped), (1 / 7) ** (1 / 5) / 10, atol=1e-3)


def test_gradients_are_finite_and_ignored_pixels_have_none():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 60, (3, 4, 4, PASCAL_PERSON_PART.num_nodes)).astype(np.float32)
    labels, valid = np.zeros((3, 4, 4), np.uint8), np.array([True, True, False])
    rules = functools.partial(logic_rules, hierarchy=PASCAL_PERSON_PART)
    graded = jax.jit(jax.value_and_grad(lambda x, y, valid: rules(x, y, valid_b=valid)))
    for x in (logits, np.full_like(logits, -200), np.full_like(logits, -16)):
        assert np.isfinite(graded(x, labels, valid)[1]).all()
    outside = len(PASCAL_PERSON_PART.labels.names)
    assert_nothing_else_counts(graded, logits, labels, outside)


def test_devices_see_the_loss_of_the_whole_batch():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 4, 4, PASCAL_PERSON_PART.num_nodes)).astype(np.float32)
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[0, :3] = 255
    rules = functools.partial(logic_rules, hierarchy=PASCAL_PERSON_PART)
    assert_same_over_devices(rules, logits, labels)


def test_rules_alone_and_for_a_flat_head_are_refused():
    with pytest.raises(HiersegError, match="'logic_rules' knows no classes"):
        small_settings(loss="logic_rules + tree_triplet", model__hierarchical=True)
    with pytest.raises(HiersegError, match="'logic_rules' needs scores at every level"):
        small_settings(loss="crossentropy + logic_rules")
    with pytest.raises(HiersegError, match="'logic' is not for a flat head"):
        small_settings(decode="logic")
    with pytest.raises(HiersegError, match=r"has 12 nodes in all its levels; logic_rules takes"):
        logic_rules(np.zeros((1, 1, 1, 7)), np.zeros((1, 1, 1)), hierarchy=PASCAL_PERSON_PART)


def slow_reasoning(hierarchy, s):
    """Every node's messages, one by one."""
    for _ in range(ROUNDS):
        after = np.zeros(len(s))
        for v, parent, children, rivals in family(hierarchy):
            heard = s[v]
            if parent is not None:
                best = max(s[c] for c, above, *_ in family(hierarchy) if above == parent)
                heard += s[parent] * (1 - s[parent] + s[parent] * best)
            if children:
                heard += np.mean([s[c] * (1 - s[c] + s[c] * s[v]) for c in children])
            noes = []
            for rival in rivals:
                others = [other for other in [v, *rivals] if other != rival]
                noes.append(s[rival] * (1 - s[rival] * np.mean([s[o] for o in others])))
            after[v] = (1 + heard - np.mean(noes)) / 4
        s = after
    return s


@settings(max_examples=10, deadline=None)
@given(trees(), st.integers(0, 2**31))
def test_messages_equal_a_slow_walk(hierarchy, seed):
    scores_kn = np.random.default_rng(seed).uniform(0, 1, (hierarchy.num_nodes, 3))
    found_kn = np.stack(reasoned(list(scores_kn), hierarchy))
    assert found_kn.min() >= 0
    assert found_kn.max() <= 1
    for n in range(3):
        expected = slow_reasoning(hierarchy, scores_kn[:, n])
        np.testing.assert_allclose(found_kn[:, n], expected, rtol=1e-6)


def test_a_path_that_keeps_the_rules_is_decoded_as_it_is():
    logits = np.full((1, 1, 7, PASCAL_PERSON_PART.num_nodes), -4.0, np.float32)
    for leaf, channels in enumerate(PASCAL_PERSON_PART.path_channels):
        logits[0, 0, leaf, channels] = 4
    assert leaf_classes(logits, PASCAL_PERSON_PART, "logic").ravel().tolist() == list(range(7))
    scores = leaf_scores(logits, PASCAL_PERSON_PART, "logic")
    assert scores.shape == (1, 1, 7, 7)


def test_the_graph_reasons_as_the_network_does():
    model = create_model("esnet_mini", ODD_TREE.num_nodes, conv_impl="xla")
    variables = init_variables(model, jax.random.key(2))
    graph = build_graph("deploy", model, variables, ODD_TREE, decoding="logic")
    exported = convert(graph, (16, 16), dynamic_size=True).SerializeToString()
    photo = np.random.default_rng(3).integers(0, 256, (20, 25, 3), np.uint8)
    shapes = [(1, 16, 16), (1, 24, 16)]
    difference = largest_difference(
        exported, graph, model, variables, ODD_TREE, [photo], shapes, "logic"
    )
    assert difference <= 1e-4

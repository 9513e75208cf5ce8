"""Decoding by the tree: what is chosen, and that levels never contradict one another."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.evaluation.metrics import tree_metrics
from hierseg_jax.evaluation.predictions import inconsistent_pixels, leaf_classes, leaf_scores
from hierseg_jax.tree.decoding import choose_decoding, top_down
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.programs import program
from tests.test_hierarchy import trees

ODD_TREE = Hierarchy.from_mapping({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})


def path_of(hierarchy, leaf):
    return [int(level.leaf_to_class[leaf]) for level in hierarchy.levels]


def slow_top_down(hierarchy, p):
    chosen = range(hierarchy.num_classes)
    for level in hierarchy.levels:
        sums = {}
        for leaf in chosen:
            node = level.leaf_to_class[leaf]
            sums[node] = sums.get(node, 0.0) + p[leaf]
        best = max(sums, key=sums.__getitem__)
        chosen = [leaf for leaf in chosen if level.leaf_to_class[leaf] == best]
    (leaf,) = chosen
    return leaf


@settings(max_examples=12)
@given(trees(), st.integers(0, 2**31))
def test_paths_and_top_down_choices_equal_a_slow_walk(tree, seed):
    hierarchy = Hierarchy.from_mapping(tree)
    rng = np.random.default_rng(seed)
    wide = rng.normal(0, 2, (1, 1, 5, hierarchy.num_nodes)).astype(np.float32)
    flat = rng.normal(0, 2, (1, 1, 5, hierarchy.num_classes)).astype(np.float32)
    s = 1 / (1 + np.exp(-wide[0, 0].astype(np.float64)))

    def decoded(wide, flat):
        by_path = leaf_classes(wide, hierarchy, "path")
        by_level = leaf_classes(flat, hierarchy, "top_down")
        return by_path, by_level, leaf_scores(wide, hierarchy, "path"), jax.nn.softmax(flat)

    by_path, by_level, scores, p = (of[0, 0] for of in program(decoded)(wide, flat))
    for n in range(5):
        sums = [
            sum(
                s[n, channels.start + v]
                for channels, v in zip(
                    hierarchy.level_channels, path_of(hierarchy, leaf), strict=True
                )
            )
            for leaf in range(hierarchy.num_classes)
        ]
        np.testing.assert_allclose(scores[n], np.array(sums) / hierarchy.num_levels, rtol=1e-5)
        assert by_path[n] == np.argmax(sums)
        assert by_level[n] == slow_top_down(hierarchy, p[n])
    np.testing.assert_array_equal(top_down(list(p.T), hierarchy), by_level)


def test_leaf_and_top_down_differ_where_a_group_outweighs_a_leaf():
    p = np.zeros((1, 1, 1, 7))
    p[..., [1, 6, 3]] = 0.3, 0.3, 0.4  # both arms outweigh the lower leg
    logits = jnp.log(jnp.maximum(p, 1e-9))
    assert leaf_classes(logits, PASCAL_PERSON_PART, "leaf") == 3
    assert leaf_classes(logits, PASCAL_PERSON_PART, "top_down") == 1
    assert inconsistent_pixels(logits, PASCAL_PERSON_PART, "leaf") == True  # noqa: E712


def test_contradictions_are_levels_whose_best_classes_are_not_parent_and_child():
    tree = PASCAL_PERSON_PART
    top, middle, leaf = (slice_.start for slice_ in tree.level_channels)
    logits = np.full((1, 1, 3, tree.num_nodes), -5.0, np.float32)
    logits[0, 0, 0, [top + 1, middle + 1, leaf + 2]] = 5  # body, upper, torso
    logits[0, 0, 1, [top + 1, middle + 2, leaf + 2]] = 5  # the torso is not in the lower body
    logits[0, 0, 2, [top + 0, middle + 1, leaf + 2]] = 5  # nor is there an upper body without one
    found = inconsistent_pixels(logits, tree, "path")[0, 0]
    np.testing.assert_array_equal(found, [False, True, True])
    # Decoded, they agree by construction.
    assert leaf_classes(logits, tree, "path")[0, 0].tolist() == [2, 2, 2]


@given(trees(max_leaves=20))
def test_distances_are_edges_of_the_tree(tree):
    hierarchy = Hierarchy.from_mapping(tree)

    def above(children, path=("root",)):
        for child in children:
            if isinstance(child, dict):
                for name, inner in child.items():
                    yield from above(inner, (*path, name))
            else:
                yield child, (*path, child)

    paths = dict(above(tree)) | {0: ("root", 0)}
    for a, b in itertools.product(paths, repeat=2):
        shared = 0
        while paths[a][: shared + 1] == paths[b][: shared + 1] and shared < len(paths[a]):
            shared += 1
        edges = len(paths[a]) + len(paths[b]) - 2 * shared
        assert hierarchy.distances[a, b] == (0 if a == b else edges)


def test_distance_of_mistakes_is_the_mean_over_wrong_pixels():
    confusion = np.zeros((7, 7), int)
    confusion[2, 2], confusion[2, 4], confusion[2, 3], confusion[0, 2] = 6, 2, 1, 1
    # torso for head: 2 edges; for the lower leg: 4; for the background: 4.
    tree = tree_metrics(confusion, 5, PASCAL_PERSON_PART)
    assert tree.mistake_distance == pytest.approx((2 * 2 + 4 + 4) / 4)
    assert tree.mean_distance == pytest.approx(12 / 10)
    assert tree.contradictions == 0.5
    perfect = tree_metrics(np.eye(7, dtype=int), 0, PASCAL_PERSON_PART)
    assert np.isnan(perfect.mistake_distance)
    assert perfect.mean_distance == 0


def test_decodings_fit_their_heads():
    assert choose_decoding("auto", True) == "path"
    assert choose_decoding("auto", False) == "leaf"
    with pytest.raises(ValueError, match=r"'path' is not for a flat head .* auto or leaf or top"):
        choose_decoding("path", False)
    with pytest.raises(ValueError, match="'leaf' is not for a hierarchical head"):
        choose_decoding("leaf", True)
    with pytest.raises(ValueError, match="no decoding 'viterbi'; choose one of auto, leaf"):
        choose_decoding("viterbi", True)

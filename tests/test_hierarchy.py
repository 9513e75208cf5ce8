"""The class tree: what it derives, and what it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Group, Hierarchy


@st.composite
def trees(draw, max_leaves=40, max_depth=5):
    """A random tree over shuffled indices 1..N, with leaves and groups mixed at any depth."""
    leaves = draw(st.permutations(range(1, draw(st.integers(1, max_leaves)) + 1)))
    counter = iter(range(10_000))

    def split(indices, depth):
        if depth >= max_depth or len(indices) == 1 or draw(st.booleans()):
            cut = len(indices)
        else:
            cut = draw(st.integers(0, len(indices) - 1))
        children, rest = list(indices[:cut]), list(indices[cut:])
        while rest:
            size = draw(st.integers(1, len(rest)))
            children.append({f"group_{next(counter)}": split(rest[:size], depth + 1)})
            rest = rest[size:]
        return children

    return split(leaves, 1)


def walk(children, above=()):
    """The obvious walk: leaf -> names of the groups above it."""
    paths = {}
    for child in children:
        if isinstance(child, dict):
            for name, inner in child.items():
                paths |= walk(inner, (*above, name))
        else:
            paths[child] = above
    return paths


@given(trees())
def test_random_trees_round_trip_through_json(tree):
    hierarchy = Hierarchy.from_mapping(tree)
    text = json.dumps(hierarchy.to_json(), sort_keys=True)
    again = Hierarchy.from_json(json.loads(text))
    assert again == hierarchy
    assert hash(again) == hash(hierarchy)
    for a, b in zip(again.levels, hierarchy.levels, strict=True):
        assert a.class_names == b.class_names
        np.testing.assert_array_equal(a.leaf_to_class, b.leaf_to_class)


@given(trees())
def test_level_maps_agree_with_a_direct_walk(tree):
    hierarchy = Hierarchy.from_mapping(tree)
    paths = walk(tree)
    depth = 1 + max(map(len, paths.values()))
    assert hierarchy.num_levels == depth
    assert hierarchy.num_classes == len(paths) + 1
    for k, level in enumerate(hierarchy.levels):
        assert level.leaf_to_class.dtype == np.int32
        assert level.leaf_to_class[0] == 0
        assert level.class_names[0] == "background"
        assert sorted(set(level.leaf_to_class)) == list(range(level.num_classes))
        for leaf, path in paths.items():
            expected = path[k] if k < len(path) else f"class_{leaf}"
            assert level.class_names[level.leaf_to_class[leaf]] == expected
    np.testing.assert_array_equal(hierarchy.levels[-1].leaf_to_class, np.arange(len(paths) + 1))


@given(trees())
def test_ancestors_lead_from_level_to_level(tree):
    hierarchy = Hierarchy.from_mapping(tree)
    for fine in range(hierarchy.num_levels):
        for coarse in range(fine + 1):
            ancestors = hierarchy.ancestors(fine, coarse)
            assert ancestors.shape == (hierarchy.levels[fine].num_classes,)
            np.testing.assert_array_equal(
                ancestors[hierarchy.levels[fine].leaf_to_class],
                hierarchy.levels[coarse].leaf_to_class,
            )
        if fine:
            np.testing.assert_array_equal(
                hierarchy.parents(fine), hierarchy.ancestors(fine, fine - 1)
            )


@given(trees())
def test_every_class_and_group_is_one_node_below_its_group(tree):
    hierarchy = Hierarchy.from_mapping(tree)
    paths = {f"class_{leaf}": (*above, f"class_{leaf}") for leaf, above in walk(tree).items()}
    groups = {above[: i + 1] for above in walk(tree).values() for i in range(len(above))}
    background, *nodes = hierarchy.nodes
    assert background == ("background", ("background",), (0,))
    assert sorted(node.path for node in nodes) == sorted({*paths.values(), *groups})
    seen = {()}
    for node in nodes:
        assert node.path[:-1] in seen  # a group stands before what it holds
        seen.add(node.path)
        assert hierarchy.node(node.name) == node
        assert {f"class_{leaf}" for leaf in node.leaves} == {
            name for name, path in paths.items() if path[: len(node.path)] == node.path
        }
        level = hierarchy.levels[node.depth]
        classes = level.leaf_to_class[list(node.leaves)]
        assert {level.class_names[c] for c in classes} == {node.name}


def test_a_tree_is_printed_with_what_is_in_a_group_further_in():
    hierarchy = Hierarchy.from_mapping(
        {"person": {"body": ["head", "skin"], "carried": "carried"}, "sky": "sky"},
        class_names=["background", "head", "carried", "skin", "sky"],
    )
    lines = "background", "person", "  body", "    head", "    skin", "  carried", "sky"
    assert str(hierarchy).splitlines() == [*lines]
    assert hierarchy.node("head").path == ("person", "body", "head")
    assert hierarchy.node("person").leaves == (1, 3, 2)
    everywhere = Hierarchy.from_mapping({"land": [0, 1], "sea": [2]}, ["grass", "rock", "water"])
    assert str(everywhere).splitlines() == ["land", "  grass", "  rock", "sea", "  water"]


def test_a_node_that_is_none_is_refused_with_the_nearest_name():
    with pytest.raises(
        ValueError, match=r"no class and no group 'lower.body'; did you mean lower_"
    ):
        PASCAL_PERSON_PART.node("lower body")


def test_pascal_person_part_is_the_reference_tree():
    body, sides, parts = PASCAL_PERSON_PART.levels
    assert (body.name, sides.name, parts.name) == ("body", "upper_lower", "part")
    assert sides.class_names == ("background", "upper_body", "lower_body")
    assert parts.class_names[4] == "head"
    assert body.leaf_to_class.tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert sides.leaf_to_class.tolist() == [0, 1, 1, 2, 1, 2, 1]
    assert PASCAL_PERSON_PART.parents(1).tolist() == [0, 1, 1]


def test_leaves_may_be_names_and_stand_alone():
    hierarchy = Hierarchy.from_mapping(
        {"person": {"body": ["head", "skin"], "carried": "carried"}, "sky": "sky"},
        class_names=["background", "head", "carried", "skin", "sky"],
    )
    assert hierarchy.levels[0].class_names == ("background", "person", "sky")
    assert hierarchy.levels[1].class_names == ("background", "body", "carried", "sky")
    assert hierarchy.levels[1].leaf_to_class.tolist() == [0, 1, 2, 1, 3]


def test_class_names_may_be_given_by_index():
    names = {0: "background", 2: "b", 1: "a"}
    assert Hierarchy.from_mapping([1, 2], names).class_names == ("background", "a", "b")


def test_a_branch_that_ends_early_stands_for_itself_below():
    hierarchy = Hierarchy.from_mapping([1, {"limbs": [{"arms": [2, 3]}, 4]}])
    assert [level.leaf_to_class.tolist() for level in hierarchy.levels] == [
        [0, 1, 2, 2, 2],
        [0, 1, 2, 2, 3],
        [0, 1, 2, 3, 4],
    ]
    assert hierarchy.levels[1].class_names == ("background", "class_1", "arms", "class_4")


def test_level_maps_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        PASCAL_PERSON_PART.levels[0].leaf_to_class[1] = 5


def test_255_classes_are_the_most():
    assert Hierarchy.from_mapping(list(range(1, 255))).num_classes == 255
    with pytest.raises(ValueError, match="256 classes"):
        Hierarchy.from_mapping(list(range(1, 256)))


def circle():
    tree = {"a": [1]}
    tree["b"] = tree
    return tree


def list_circle():
    inner = [1]
    inner.append({"b": inner})
    return {"a": inner}


def aliases_of_aliases():
    node = [1]
    for i in range(60):
        node = [{f"left{i}": node}, {f"right{i}": node}]
    return node


def deep_chain():
    node = [1]
    for i in range(3000):
        node = {f"g{i}": node}
    return node


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"a": [1, 2], "b": [2, 3]}, "under b: class 2 stands already in hierarchy, under a"),
        ({"a": [1, 3]}, "every class from 1 to 3 must stand in the tree; missing: 2"),
        ({"a": [2, 3]}, "missing: 1"),
        ({"a": []}, "under a: the group is empty"),
        ({"a": {"b": {}}}, "under a > b: the group is empty"),
        ({"a": ()}, "the group is empty"),
        ({}, "the group is empty"),
        ([], "the group is empty"),
        ({"a": [1, {}]}, "an empty group without a name"),
        ({"": [1]}, "is no name for a group"),
        ({"  ": [1]}, "is no name for a group"),
        ({"a": {"c": [1]}, "b": {"c": [2]}}, "group name 'c' is used twice"),
        ({"a": {"a": [1, 2]}}, "group name 'a' is used twice"),
        ({"background": [1]}, "name 'background' is used twice"),
        ({"class_1": [1, 2]}, "name 'class_1' is used twice"),
        ({1: [1]}, "1 is no name for a group"),
        ({None: [1]}, "None is no name for a group"),
        ({True: [1]}, "True is no name for a group"),
        ({"a": [-1, 1]}, "class index -1 is negative"),
        ({"a": [-1]}, "class index -1 is negative"),
        ({"a": [0, 1]}, "class 0 is the background"),
        ({"a": [1.0]}, "found 1.0"),
        ({"a": [1.5]}, "found 1.5"),
        ({"a": [True]}, "found True"),
        ({"a": [None]}, "found None"),
        ({"a": None}, "found None"),
        ({"a": [[1], [2]]}, r"found \[1\]"),
        ({"a": ["head"]}, "'head' is no class name; no names are given: list"),
        ({"a": [10**12]}, "are more than 255"),
        (circle(), "the group contains itself"),
        (list_circle(), "the group contains itself"),
        (aliases_of_aliases(), "the same group stands in the tree twice"),
        (deep_chain(), "nested more than"),
        ("head", "expected groups of class indices, found 'head'"),
        (5, "expected groups of class indices, found 5"),
        (None, "expected groups of class indices, found None"),
    ],
)
def test_wrong_trees_are_refused_with_one_sentence(tree, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        Hierarchy.from_mapping(tree)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["background", "a"], "the tree has class 2, but there are only 2 class names"),
        (["background", "a", "b", "c"], r"missing: 3 \(c\)"),
        (["background", "a", "a"], "name 'a' is used twice"),
        (["background", "a", ""], "is no name"),
        (["background", "a", 3], "3 is no name"),
        (["background", "a", "all"], "name 'all' is used twice"),
        ({1: "a", 2: "b"}, "every index from 0"),
        ("abc", "must be a list"),
        (7, "must be a list"),
        ([["background"], "a", "b"], "is no name"),
    ],
)
def test_wrong_class_names_are_refused(names, sentence):
    with pytest.raises(ValueError, match=sentence):
        Hierarchy.from_mapping({"all": [1, 2]}, names)


@pytest.mark.parametrize(
    ("level_names", "sentence"),
    [
        (["top"], "2 levels, but there are 1 level names"),
        (["top", "top"], "level name 'top' is used twice"),
        (["top", " "], "is no name for a level"),
    ],
)
def test_wrong_level_names_are_refused(level_names, sentence):
    with pytest.raises(ValueError, match=sentence):
        Hierarchy.from_mapping({"all": [1, 2]}, level_names=level_names)


def test_a_hierarchy_made_directly_is_checked_too():
    with pytest.raises(ValueError, match="'b' is empty"):
        Hierarchy((Group("b", ()), 1), ("background", "a"), ("leaf",))
    with pytest.raises(ValueError, match="'all' is neither a class index nor a Group; Hierarchy"):
        Hierarchy({"all": ["a"]}, ("background", "a"), ("group", "leaf"))


@pytest.mark.parametrize("data", [{}, {"tree": [1]}, None, [1], "x"])
def test_incomplete_json_is_refused(data):
    with pytest.raises(ValueError, match="needs the keys"):
        Hierarchy.from_json(data)


def test_ancestors_below_a_class_are_refused():
    with pytest.raises(ValueError, match="no ancestors"):
        PASCAL_PERSON_PART.ancestors(0, 1)
    with pytest.raises(ValueError, match="no ancestors"):
        PASCAL_PERSON_PART.parents(0)

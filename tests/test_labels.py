"""Labels of any node: what they say at every level, and in the mirror."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.tree.hierarchy import IGNORE_LABEL, PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.parsing import Group, walk

CLOTHES = Hierarchy.from_mapping(
    {
        "person": {
            "arms": {"left": ["left_arm", "left_hand"], "right": ["right_arm", "right_hand"]},
            "things": ["bag"],
        },
        "dog": ["dog"],
    },
    ["background", "left_arm", "left_hand", "right_arm", "right_hand", "bag", "dog"],
    pairs=[["left_arm", "right_arm"], ["left_hand", "right_hand"]],
)


def with_groups(hierarchy):
    return dataclasses.replace(hierarchy, inner_labels=True)


@st.composite
def trees(draw, most=8):
    """Trees of up to `most` leaf classes, nested at random."""
    leaves = list(range(1, draw(st.integers(1, most)) + 1))
    count = iter(range(99))

    def nest(members, depth):
        if depth > 2 or draw(st.booleans()):
            return members
        cuts = sorted(draw(st.sets(st.integers(0, len(members)), max_size=3)) | {0, len(members)})
        parts = [members[a:b] for a, b in itertools.pairwise(cuts)]
        return [{f"group{next(count)}": nest(part, depth + 1)} for part in parts]

    return with_groups(Hierarchy.from_mapping(nest(leaves, 0)))


def test_a_group_is_known_down_to_its_own_level():
    labels = with_groups(PASCAL_PERSON_PART).labels
    assert labels.names[7:] == ("body", "upper_body", "lower_body")
    assert labels.classes_kl[:, 7:].T.tolist() == [[1, 255, 255], [1, 1, 255], [1, 2, 255]]
    assert labels.depths_l.tolist() == [3] * 7 + [1, 2, 2]
    assert not labels.are_inner_l[:7].any()
    assert labels.are_inner_l[7:].all()


def test_a_group_of_one_class_says_as_much_as_that_class():
    labels = with_groups(CLOTHES).labels
    things, bag = labels.names.index("things"), labels.names.index("bag")
    np.testing.assert_array_equal(labels.classes_kl[:, things], labels.classes_kl[:, bag])
    assert labels.names.index("dog") == 6  # the leaf, whose group has its name


def test_fully_labelled_data_have_the_leaf_classes_alone():
    assert PASCAL_PERSON_PART.labels.names == PASCAL_PERSON_PART.class_names
    assert with_groups(PASCAL_PERSON_PART) == PASCAL_PERSON_PART


@given(trees())
def test_a_level_is_known_where_all_leaves_below_agree(hierarchy):
    labels = hierarchy.labels
    groups = {}

    def collect(children):
        for child in children:
            if isinstance(child, Group):
                groups[child.name] = [leaf for leaf, _ in walk(child.children)]
                collect(child.children)

    collect(hierarchy.children)
    assert set(labels.names[hierarchy.num_classes :]) == set(groups)
    for label, name in enumerate(labels.names):
        leaves = [label] if label < hierarchy.num_classes else groups[name]
        assert np.flatnonzero(labels.leaves_lc[label]).tolist() == sorted(leaves)
        for k, level in enumerate(hierarchy.levels):
            found = {int(level.leaf_to_class[leaf]) for leaf in leaves}
            expected = found.pop() if len(found) == 1 else IGNORE_LABEL
            assert labels.table(k)[label] == expected
    assert labels.table(0)[len(labels.names) :].tolist() == [255] * (256 - len(labels.names))


def test_a_group_s_mirror_image_is_the_least_group_that_holds_it():
    hierarchy = with_groups(CLOTHES)
    index = hierarchy.labels.names.index
    for name, other in (
        ("left", "right"),
        ("right", "left"),
        ("arms", "arms"),
        ("person", "person"),
        ("things", "things"),
        ("left_hand", "right_hand"),
        ("dog", "dog"),
    ):
        assert hierarchy.mirrored[index(name)] == index(other)
    crossing = dataclasses.replace(hierarchy, pairs=((2, 5),))
    assert crossing.mirrored[index("left")] == index("person")
    assert crossing.mirrored[255] == 255


@pytest.mark.parametrize("count", [200, 254])
def test_groups_for_which_eight_bits_have_no_room_are_no_labels(count):
    tree = {f"group{i}": [2 * i + 1, 2 * i + 2] for i in range(count // 2)}
    labels = with_groups(Hierarchy.from_mapping(tree)).labels
    assert len(labels.names) <= 255
    assert labels.names[count + 1 :] == tuple(tree)[: 255 - count - 1]

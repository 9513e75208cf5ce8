"""Pairs of groups need pairs of the classes below them."""

import pytest

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import meeting_pairs

COARSE = Hierarchy.from_mapping(
    {"person": ["left", "right"]}, ["background", "left", "right"], pairs=[["left", "right"]]
)


def fine(pairs):
    tree = {"person": {"left": ["left_arm"], "right": ["right_arm", "right_leg"]}}
    names = ["background", "left_arm", "right_arm", "right_leg", "left_leg"]
    tree["person"]["left"].append("left_leg")
    return Hierarchy.from_mapping(tree, names, pairs=pairs)


def test_pairs_of_groups_without_those_of_their_classes_are_refused():
    with pytest.raises(HiersegError, match=r"'left' becomes 'right' in a.yaml; .* does not name"):
        meeting_pairs([("a.yaml", COARSE)], fine([]))
    with pytest.raises(HiersegError, match="'left' becomes 'right'"):
        meeting_pairs([("a.yaml", COARSE)], fine([["left_arm", "right_leg"]]))


def test_pairs_of_groups_follow_from_those_of_their_classes():
    pairs = [["left_arm", "right_arm"], ["left_leg", "right_leg"]]
    common = fine(pairs)
    found = meeting_pairs([("a.yaml", COARSE), ("b.yaml", common)], common)
    assert found == common.pairs

"""A head's channels go by the names of their classes to a run with other classes."""

import jax
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given

from hierseg_jax.models import Variant, init_variables
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.fitting import settled
from hierseg_jax.train.head_channels import kept_channels
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import channel_names, find_siblings
from tests.runs import small_settings
from tests.test_labels import trees

NAMES = ["background", "head", "coat", "legs", "shoes", "bag"]
TREE = Hierarchy.from_mapping({"body": [1, 3], "clothes": [2, 4], "things": [5]}, class_names=NAMES)
# Another order, a class fewer, one renamed, two new, a group of its own.
OTHER = Hierarchy.from_mapping(
    {"clothes": {"upper": [1, 2], "feet": [5, 6]}, "body": [4], "things": [3]},
    class_names=["background", "shirt", "coat", "purse", "head", "shoes", "socks"],
)

KEYS = {
    "flat": {},
    "hierarchical": {"model__hierarchical": True},
    "conditional": {"model__sibling_softmax": True},
}


def settings_of(name, head):
    return settled(small_settings(model__name=name, **KEYS[head]), Variant())


def arrays_of(settings, tree, seed):
    model = build_model(settings.model, tree)
    return traverse_util.flatten_dict(init_variables(model, jax.random.key(seed)))


@pytest.mark.parametrize("name", ["esnet_mini", "effunet"])
@pytest.mark.parametrize("head", ["flat", "hierarchical", "conditional"])
def test_channels_of_a_name_are_kept_and_others_are_fresh(name, head):
    settings = settings_of(name, head)
    found, fresh = arrays_of(settings, TREE, 3), arrays_of(settings, OTHER, 4)
    theirs, ours = (channel_names(tree, head) for tree in (TREE, OTHER))
    heads = settings.model.network.heads
    kept = kept_channels(theirs, ours, heads, found, fresh)
    arrays = kept.of_run(fresh)
    assert len(arrays) == 2 * len(heads)
    for path, array in arrays.items():
        assert array.shape == fresh[path].shape
        axis = heads["/".join(path[1:-1])] if path[-1] == "kernel" else 0
        for place, named in enumerate(ours):
            # Of a hierarchical head's several channels of one name, any means the same.
            expected = [found[path].take(c, axis) for c, n in enumerate(theirs) if n == named]
            expected = expected or [fresh[path].take(place, axis)]
            got = array.take(place, axis)
            assert any(np.array_equal(got, each) for each in expected), (path, named)
    assert set(kept.fresh) == set(ours) - set(theirs)
    assert set(kept.left_out) == set(theirs) - set(ours)


def test_the_screen_is_told_of_both_sides():
    settings = settings_of("effunet", "hierarchical")
    found, fresh = arrays_of(settings, TREE, 3), arrays_of(settings, OTHER, 4)
    names = (channel_names(tree, "hierarchical") for tree in (TREE, OTHER))
    assert kept_channels(*names, settings.model.network.heads, found, fresh).described() == (
        "kept by name: background, coat, head, shoes, clothes, body, things; "
        "new: shirt, purse, socks, upper, feet; left out: legs, bag"
    )


def test_heads_without_a_name_in_common_start_fresh():
    settings = settings_of("effunet", "conditional")
    other = Hierarchy.from_mapping([1, 2], class_names=["nothing", "cat", "dog"])
    found, fresh = arrays_of(settings, TREE, 3), arrays_of(settings, other, 4)
    names = (channel_names(tree, "conditional") for tree in (TREE, other))
    assert kept_channels(*names, settings.model.network.heads, found, fresh) is None


@pytest.mark.parametrize("head", ["flat", "hierarchical", "conditional"])
def test_the_same_tree_keeps_every_channel_where_it_is(head):
    names = channel_names(TREE, head)
    kernel = {("params", "head", "kernel"): np.arange(len(names))[None, None, None]}
    kept = kept_channels(names, names, {"head": 3}, kernel, kernel)
    assert kept.channels == tuple(range(len(names)))
    assert not kept.fresh
    assert not kept.left_out


@given(trees())
def test_a_conditional_heads_channels_lie_on_the_paths_of_what_is_below_them(hierarchy):
    names, siblings = channel_names(hierarchy, "conditional"), find_siblings(hierarchy)
    assert len(names) == siblings.num_nodes
    for leaf, path in enumerate(siblings.paths):
        above = {level.class_names[level.leaf_to_class[leaf]] for level in hierarchy.levels}
        assert {names[channel] for channel in path} <= above


@given(trees())
def test_every_channel_of_a_hierarchical_head_is_named_as_its_node(hierarchy):
    names = channel_names(hierarchy, "hierarchical")
    assert len(names) == hierarchy.num_nodes
    for level, channels in zip(hierarchy.levels, hierarchy.level_channels, strict=True):
        assert names[channels] == level.class_names

"""Trees without a background: every class is scored and painted, and class 0 is as the others."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.data.augment.geometry import mask_dropout, scale_down
from hierseg_jax.data.missing_classes import has_no_class, missing_classes
from hierseg_jax.evaluation.extremes import image_scores
from hierseg_jax.evaluation.metrics import evaluate_levels
from hierseg_jax.evaluation.page.confusion import shown_classes
from hierseg_jax.losses import LossOptions, build_loss
from hierseg_jax.reports.drawing.overlay import overlaid
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.meeting import check_meeting, label_table
from hierseg_jax.tree.siblings import find_siblings
from tests.test_drawing import painted

DEEP = Hierarchy.from_mapping(
    {"ground": {"paved": ["road", "path"], "soft": ["grass"]}, "sky": ["sky"]},
    ["road", "path", "grass", "sky"],
    ["top", "middle", "leaf"],
)
CONFUSION = np.array([[6, 2, 0, 0], [1, 3, 0, 0], [0, 1, 4, 0], [2, 0, 0, 1]])


def beside(hierarchy):
    """The same tree, whose background is a class at the root."""
    names = ["wall", *hierarchy.class_names[1:]]
    tree = [0, *hierarchy.to_json()["tree"]]
    return Hierarchy.from_mapping(tree, names, hierarchy.level_names)


def test_levels_are_numbered_from_0_and_json_keeps_them():
    assert DEEP.background is None
    assert [level.class_names for level in DEEP.levels] == [
        ("ground", "sky"),
        ("paved", "soft", "sky"),
        ("road", "path", "grass", "sky"),
    ]
    assert [level.leaf_to_class.tolist() for level in DEEP.levels] == [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
    ]
    again = Hierarchy.from_json(json.loads(json.dumps(DEEP.to_json())))
    assert (again, again.background) == (DEEP, None)
    assert Hierarchy.from_mapping([0, 1, 2]).class_names == ("class_0", "class_1", "class_2")


def test_a_class_at_the_root_has_the_place_of_the_background():
    """So that whatever trains, decodes and exports is the same for both, to the bit."""
    with_one, without = PASCAL_PERSON_PART, beside(PASCAL_PERSON_PART)
    assert (with_one.background, without.background) == (0, None)
    for one, other in zip(with_one.levels, without.levels, strict=True):
        np.testing.assert_array_equal(one.leaf_to_class, other.leaf_to_class)
    np.testing.assert_array_equal(with_one.path_channels, without.path_channels)
    np.testing.assert_array_equal(with_one.distances, without.distances)
    assert find_siblings(with_one) == find_siblings(without)


def test_means_count_every_class():
    """By hand: intersection over union of each class, at each level."""
    ious = {
        "top": [17 / 19, 1 / 3],
        "middle": [12 / 15, 4 / 5, 1 / 3],
        "leaf": [6 / 11, 3 / 7, 4 / 5, 1 / 3],
    }
    levels = evaluate_levels(CONFUSION[None], DEEP, batch_size=1)
    for name, iou in ious.items():
        np.testing.assert_allclose(levels[name].iou, iou, rtol=1e-12)
        assert levels[name].miou == pytest.approx(np.mean(iou), rel=1e-12)
        assert levels[name].reference_miou == pytest.approx(np.mean(iou), rel=1e-12)
    assert levels["leaf"].mean_recall == pytest.approx(np.mean([6 / 8, 3 / 4, 4 / 5, 1 / 3]))
    (score,) = image_scores(CONFUSION[None], background=None)
    assert score == pytest.approx(np.mean(ious["leaf"]))
    assert shown_classes(np.diag(np.arange(40)), None) == [*range(10, 40)]


def renumbered(hierarchy, new_c):
    """The same tree, whose leaf class c has another number."""

    def moved(node):
        if isinstance(node, dict):
            return {name: [moved(child) for child in inner] for name, inner in node.items()}
        return int(new_c[node])

    stored = hierarchy.to_json()
    names = dict(zip(new_c.tolist(), stored["class_names"], strict=True))
    return Hierarchy.from_mapping(
        [moved(node) for node in stored["tree"]], names, stored["level_names"]
    )


def test_no_loss_and_no_decoding_looks_at_the_number_of_a_class():
    new_c = np.array([2, 0, 3, 1])
    other = renumbered(DEEP, new_c)
    rng = np.random.default_rng(0)
    labels_bhw = rng.integers(0, 4, (1, 4, 6))
    logits_bhwk = rng.normal(size=(1, 4, 6, DEEP.num_nodes)).astype(np.float32)
    leaves, channels_k = DEEP.level_channels[-1], np.arange(DEEP.num_nodes)
    channels_k[leaves] = leaves.start + np.argsort(new_c)
    flat = "crossentropy + dice + hierarchical_crossentropy + soft_crossentropy + iou"
    wide = "crossentropy + tree_min_focal + logic_rules + dice"
    weights = ((1.0, 2.0), (1.0, 3.0, 0.5), (0.2, 1.0, 2.0, 3.0))
    weights_other = (*weights[:-1], tuple(np.array(weights[-1])[np.argsort(new_c)]))

    @jax.jit
    def losses(labels_bhw, logits_bhwk, other_labels_bhw, other_logits_bhwk):
        found = []
        for tree, given, labels, logits in (
            (DEEP, weights, labels_bhw, logits_bhwk),
            (other, weights_other, other_labels_bhw, other_logits_bhwk),
        ):
            options = LossOptions(class_weights=given)
            of_flat = build_loss(flat, tree, hierarchical=False, options=options)
            of_wide = build_loss(wide, tree, hierarchical=True, options=options)
            terms = [(term, logits[..., leaves]) for _, term in of_flat.terms]
            terms += [(term, logits) for _, term in of_wide.terms]
            found.append(jnp.stack([term(x, labels) for term, x in terms]))
        return jnp.stack(found)

    one, two = losses(labels_bhw, logits_bhwk, new_c[labels_bhw], logits_bhwk[..., channels_k])
    np.testing.assert_allclose(one, two, rtol=1e-5)
    planes = list(np.moveaxis(logits_bhwk[..., leaves], -1, 0))
    again = [planes[c] for c in np.argsort(new_c)]
    np.testing.assert_array_equal(new_c[top_down(planes, DEEP)], top_down(again, other))


def test_distances_are_edges_of_the_tree():
    assert DEEP.distances[0].tolist() == [0, 2, 4, 5]


def test_a_conditional_head_has_no_family_member_too_many():
    siblings = find_siblings(DEEP)
    assert siblings.sizes == (2, 2, 2)
    assert siblings.paths == ((0, 2, 4), (0, 2, 5), (0, 3), (1,))


def test_every_class_has_a_colour_and_is_painted():
    colors = DEEP.levels[-1].colors
    assert len(np.unique(colors, axis=0)) == DEEP.num_classes
    assert colors.any(1).all()
    image_hwc = np.full((64, 96, 3), 200, np.uint8)
    road_hw = np.zeros((64, 96), np.uint8)
    assert (overlaid(image_hwc, road_hw, DEEP, DEEP.num_levels - 1) != image_hwc).all((0, 1)).any()
    corner = Painter([DEEP.levels[-1]]).draw(image_hwc, road_hw, DEEP.levels[-1])[63, -1]
    np.testing.assert_allclose(corner[::-1], painted(200, colors[0]), atol=1)
    props = Metadata("deploy", DEEP, (32, 32), 8, "esnet", "float32", "0").to_props()
    level = json.loads(props["hierseg.levels"])[-1]
    assert level["colors_rgb"] == colors.tolist()
    assert level["background"] is None


def test_what_augmentation_leaves_free_is_ignored():
    rng = np.random.default_rng(0)
    image_hwc = np.full((32, 32, 3), 9, np.uint8)
    label_hw = np.zeros((32, 32), np.uint8)
    label_hw[:, 16:] = 1
    _, small_hw = scale_down(rng, image_hwc, label_hw, None)
    assert small_hw[0, 0] == 255
    assert (small_hw[16, 10], small_hw[16, 22]) == (0, 1)
    dropped = [mask_dropout(rng, image_hwc, label_hw, None) for _ in range(8)]
    for image, label in dropped:
        np.testing.assert_array_equal(label == 255, image[..., 0] == 0)
    assert any((label[:, :16] == 255).all() for _, label in dropped)


def test_class_0_may_not_be_missing():
    seen = np.zeros(256, bool)
    seen[[1, 2, 3, 255]] = True
    assert missing_classes(seen, DEEP) == [0]
    assert not has_no_class(seen, DEEP)
    assert has_no_class(np.arange(256) == 255, DEEP)


@pytest.mark.parametrize(
    ("tree", "names", "sentence"),
    [
        ({"all": [0, 1]}, None, "'level_1' has a single class, 'all', which every pixel would be"),
        ([0], ["road"], "name a second class"),
        ({"a": [0], "b": [2]}, None, "every class from 0 to 2 must stand in the tree; missing: 1"),
    ],
)
def test_trees_that_tell_nothing_apart_are_refused(tree, names, sentence):
    with pytest.raises(HiersegError, match=sentence):
        Hierarchy.from_mapping(tree, names)


def test_class_0_may_have_a_partner_in_the_mirror():
    tree = dataclasses.replace(DEEP, pairs=((0, 1),))
    assert tree.mirrored[:4].tolist() == [1, 0, 2, 3]


def test_data_sets_with_and_without_a_background_meet():
    bare = Hierarchy.from_mapping(["path", "sky"], ["path", "sky"])
    check_meeting(bare, bare.class_names, DEEP, "a", "b", whole=True)
    assert label_table(bare, bare.class_names, DEEP)[:2].tolist() == [1, 3]
    other = Hierarchy.from_mapping(["sky"], ["background", "sky"])
    check_meeting(other, ["sky"], DEEP, "a", "b", whole=True)
    with pytest.raises(HiersegError, match="'background', its background, and b has no background"):
        check_meeting(other, other.class_names, DEEP, "a", "b", whole=True)
    check_meeting(bare, ["sky"], other, "a", "b", whole=True)
    assert label_table(bare, ["sky"], other)[:2].tolist() == [255, 1]


def test_pictures_have_no_hole_where_groups_are_labelled():
    inner = dataclasses.replace(DEEP, inner_labels=True)
    image_hwc = np.full((32, 32, 3), 200, np.uint8)
    label_hw = np.full((32, 32), inner.labels.names.index("paved"), np.uint8)
    label_hw[16:] = 0
    drawn = overlaid(image_hwc, label_hw, inner, inner.num_levels - 1)
    np.testing.assert_allclose(drawn[20, 20], painted(200, inner.levels[-1].colors[0]), atol=1)

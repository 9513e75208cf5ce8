"""Tables list siblings beside one another, in whatever order a data set has its classes."""

import re

import numpy as np

from hierseg_jax.evaluation.metrics import count_pictures, evaluate_levels
from hierseg_jax.evaluation.page.confusion import confusion_table
from hierseg_jax.evaluation.tables import format_levels
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.train.sample_pictures import _entries
from hierseg_jax.tree.hierarchy import Hierarchy

# By the alphabet, as COCO's exports have them; without a background class 0 is in the tree.
NAMES = ["back_door", "back_light", "front_door", "front_light"]
PARTS = {"lights": ["front_light", "back_light"], "doors": ["front_door", "back_door"]}


def test_classes_stand_in_the_order_of_the_tree():
    for names, outside in ((["background", *NAMES], ["background"]), (NAMES, [])):
        tree = Hierarchy.from_mapping(PARTS, names)
        count = tree.num_classes
        confusion = np.arange(count * count).reshape(count, count)
        wanted = [*outside, "front_light", "back_light", "front_door", "back_door"]
        levels = evaluate_levels(confusion[None], tree, 1)
        table = format_levels(levels, ["miou"]).splitlines()
        found = [line.split()[0] for line in table if line.startswith("  ") and line.split()[1:]]
        assert found[-len(wanted) :] == wanted
        counts = count_pictures(confusion[None], tree)
        assert counts.classes[-count:].tolist() == wanted
        right = [confusion[names.index(name), names.index(name)] for name in wanted]
        assert counts.right_nk[0, -count:].tolist() == right
        page = confusion_table(tree.levels[-1], confusion)
        assert re.findall(r'class="column" scope="col"><span>(\w+)<', page) == wanted
        # Numbers stay with their classes.
        shares = re.findall(r">([\d.]+)</td>", page)[: len(wanted)]
        row = confusion[names.index(wanted[0])]
        expected = [row[names.index(name)] / row.sum() * 100 for name in wanted]
        np.testing.assert_allclose([float(share) for share in shares], expected, atol=0.051)
        by_name = dict(zip(names, levels["leaf"].iou.tolist(), strict=True))
        for name in wanted:
            *_, line = (line for line in table if line.split()[0] == name and "." in line)
            assert f"{by_name[name]:.4f}" in line


def test_a_legend_does_not_depend_on_the_order_of_names():
    by_alphabet = Hierarchy.from_mapping(PARTS, ["background", *NAMES])
    by_tree = Hierarchy.from_mapping(PARTS, ["background", *PARTS["lights"], *PARTS["doors"]])
    rng = np.random.default_rng(0)
    photo_hwc = rng.integers(0, 256, (90, 240, 3), np.uint8)
    labels_hw = np.zeros((90, 240), np.uint8)
    labels_hw[10:80, 10:230] = np.repeat(np.arange(1, 5), 55).astype(np.uint8)
    same = np.array([by_tree.class_names.index(name) for name in by_alphabet.class_names], np.uint8)
    for options in ({}, {"steady": True}, {"legend": "corner"}):
        drawn = [
            Painter(tree.levels, **options).draw(photo_hwc, labels, tree.levels[-1])
            for tree, labels in ((by_alphabet, labels_hw), (by_tree, same[labels_hw]))
        ]
        np.testing.assert_array_equal(*drawn)


def test_the_legend_of_samples_has_the_order_of_the_tree():
    tree = Hierarchy.from_mapping(PARTS, ["background", *NAMES])
    labels = [np.arange(5, dtype=np.uint8).reshape(1, 5)]
    entries = _entries(tree.num_levels - 1, {"label": labels, "prediction": labels}, tree)
    assert [each.name for each in entries] == [
        "front_light",
        "back_light",
        "front_door",
        "back_door",
    ]
    colors = {each.name: each.color for each in entries}
    assert colors == dict(zip(NAMES, map(tuple, tree.levels[-1].colors[1:].tolist()), strict=True))

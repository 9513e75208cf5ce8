"""Data sets that are trained on together: their classes meet by name, in one tree."""

import functools
import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import figures
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.several import inspect_together
from hierseg_jax.data.read.common_tree import DataSet, load_hierarchy, meet, read_data_sets
from hierseg_jax.data.read.members import Member
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.evaluation.view_name import evaluation_name
from hierseg_jax.settings import read_settings, read_stored
from hierseg_jax.settings.building import check_tree_of_data, open_source
from hierseg_jax.train.run import describe
from hierseg_jax.train.same_run import check_same_run
from hierseg_jax.train.set_up import set_up
from tests.commands import run_quickly
from tests.inspection_data import label, make_data, picture
from tests.runs import small_settings
from tests.test_labels import trees
from tests.test_pipeline import assert_equal, take

# The classes of `make_data`, upper (torso, head) and lower (legs), in another order and coarser.
COARSE = (
    "names: [nothing, lower, upper]\nhierarchy: [1, 2]\nlabels: {0: nothing, 1: upper, 2: lower}\n"
)
FIGURES = {"count": {"train": 12, "val": 5}, "seed": 0}


def other_data(root, content, splits=("train",), values=(0, 1, 2, 3), count=2):
    """A data set of its own with stripes of these values."""
    root.mkdir(exist_ok=True)
    for split in splits:
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(str(root / split / f"images/{i}.png"), picture(90 + i))
            stripes = np.choose(np.where(label() == 255, 0, label()), values).astype(np.uint8)
            np.save(root / split / f"masks/{i}.npy", stripes)
    (root / "data.yaml").write_text("".join(f"{s}: {s}/images\n" for s in splits) + content)
    return root / "data.yaml"


def test_classes_meet_by_name_and_coarser_ones_become_groups(tmp_path):
    fine, coarse = make_data(tmp_path / "fine"), other_data(tmp_path / "coarse", COARSE)
    spec = f"{fine} + 0.5*{coarse}"
    hierarchy = load_hierarchy(spec)
    assert hierarchy == load_spec(fine).hierarchy
    assert hierarchy.inner_labels
    assert not load_hierarchy(str(fine)).inner_labels
    source = open_split(spec, "train", 64, {})
    assert [part.name for part in source.parts] == [str(fine), str(coarse)]
    assert source.draws == (4, 1)
    names = hierarchy.labels.names
    # The masks of `coarse` hold 0, 1, 2, 3, of which 3 has no name.
    with pytest.raises(ValueError, match=r"coarse/train/masks/0\.npy holds the values 3,"):
        source[4]
    skipping = source.each(functools.partial(SkippingSource, replace=True))
    assert skipping.label(4).size == 0
    (tmp_path / "coarse/data.yaml").write_text(
        coarse.read_text().replace("2: lower", "2: lower, 3: ignore")
    )
    label_hw = open_split(spec, "train", 64, {})[4]["label"]
    # `lower` is over legs alone.
    assert {names[i] for i in set(label_hw.ravel().tolist()) - {255}} == {
        "background",
        "upper",
        "legs",
    }
    assert source.names == ("train0", "train1", "train2", "train3", "0", "1")
    entries = [name for name, _ in source.inventory()]
    assert entries[0] == "1/images/train0.png"
    assert entries[8:10] == ["2/labels: 0 background, 1 upper, 2 lower", "2/images/0.png"]


def test_another_order_of_the_same_classes_is_read_right(tmp_path):
    fine = make_data(tmp_path / "fine")
    turned = other_data(
        tmp_path / "turned",
        "names: [sky, legs, head, torso]\nhierarchy: {lower: [1], any: [2, 3]}\n",
    )
    source = open_split([str(fine), str(turned)], "train", 64, {})
    np.testing.assert_array_equal(
        source.label(4), np.array([0, 3, 2, 1])[np.where(label() == 255, 0, label())]
    )
    assert not load_hierarchy([str(fine), str(turned)]).inner_labels


def test_drawn_figures_take_part(tmp_path):
    tree = tmp_path / "tree.yaml"
    names = "[background, head, torso, up_hand, low_hand, legs_up, low_leg, up_leg]"
    tree.write_text(
        f"names: {names}\nhierarchy: {{upper_body: [1, 2, 3, 4], lower_body: [5, 6, 7]}}\n"
    )
    other = other_data(
        tmp_path / "other",
        f"names: {names}\nhierarchy: {{upper_body: [1, 2, 3, 4], lower_body: [5, 6, 7]}}\n",
    )
    hierarchy = load_hierarchy(f"{other} + figures", inner_share=0.5)
    assert hierarchy.inner_labels
    source = open_split(f"{other} + figures", "train", 32, FIGURES | {"inner_share": 0.5})
    plain = FiguresSource("train", 32, 12)
    meaning = {"low_hand": 4, "torso": 2, "low_leg": 6, "head": 1, "up_leg": 7, "up_hand": 3}
    table = np.array([0, *meaning.values()])
    np.testing.assert_array_equal(source.label(2), table[plain[0]["label"]])
    found = {hierarchy.labels.names[i] for i in np.unique(source.label(3))}
    assert found <= {"background", "upper_body", "lower_body"}
    assert tree.exists()


@settings(max_examples=40)
@given(trees(), st.data())
def test_any_part_of_a_tree_means_the_same_in_the_whole(tree, data):
    """A data set labelled by some nodes of a tree, its classes named as there."""
    of_tree = tree.labels
    names = data.draw(st.sets(st.sampled_from(of_tree.names[1:]), min_size=1))
    own = type(tree).from_mapping(sorted(names), ["sky", *sorted(names)])
    sets = [DataSet(Member("b.yaml"), own, own.class_names, ())]
    leaves = {n: set(np.flatnonzero(of_tree.leaves_lc[of_tree.names.index(n)])) for n in names}
    nested = any(a != b and leaves[a] <= leaves[b] for a in names for b in names)
    same = len({frozenset(of) for of in leaves.values()}) < len(names)
    if nested and not same:
        with pytest.raises(ValueError, match="contradict each other"):
            meet(sets, tree, "a.yaml")
    elif not nested:
        met = meet(sets, tree, "a.yaml")
        inner = any((of_tree.classes_kl[:, of_tree.names.index(n)] == 255).any() for n in names)
        assert met.inner_labels == inner


def test_pairs_are_those_of_all(tmp_path):
    tree = "names: [sky, torso, left, right]\nhierarchy: [1, 2, 3]\n"
    one = other_data(tmp_path / "one", tree)
    two = other_data(
        tmp_path / "two", tree.replace("left, right", "right, left") + "pairs: [[2, 3]]"
    )
    assert load_hierarchy(f"{one} + {two}").pairs == ((3, 2),)
    alone = tmp_path / "tree.yaml"
    alone.write_text("hierarchy: [1, 2, 3]\npairs: [[1, 2]]\n")
    assert load_hierarchy(f"{one} + {two}", str(alone)).pairs == ((1, 2),)
    alone.write_text("hierarchy: [1, 2, 3]\n")
    assert load_hierarchy(f"{one} + {two}", str(alone)).pairs == ((3, 2),)


def test_validation_takes_the_data_sets_that_have_the_split(tmp_path):
    fine = make_data(tmp_path / "fine")
    coarse = other_data(tmp_path / "coarse", COARSE)
    source = open_split(f"{coarse} + {fine}", "val", 64, {}, load_hierarchy(f"{fine} + {coarse}"))
    assert source.parts == ((str(fine), 0, 3),)


def test_settings_keep_several_data_sets_as_they_were_given(tmp_path):
    config = figures.get_config()
    config.data.spec = ["a.yaml", "0.5*b.yaml"]
    several = read_settings(config)
    assert several.data.spec == ("a.yaml", "0.5*b.yaml")
    assert several.data.named == "a.yaml + 0.5*b.yaml"
    stored = json.loads(json.dumps(several.to_dict()))
    assert stored["data"]["spec"] == ["a.yaml", "0.5*b.yaml"]
    assert read_stored(stored) == several
    check_same_run(several, read_stored(stored), "run")
    moved = several.replace({"data.spec": "/x/a.yaml + 0.5*/x/b.yaml"})
    check_same_run(several, moved, "run", data_known=True)
    for spec in ("a.yaml + 0.6*b.yaml", "a.yaml"):
        other = several.replace({"data.spec": spec})
        with pytest.raises(ValueError, match=r"--config\.data\.spec=a\.yaml \+ 0\.5\*b\.yaml"):
            check_same_run(several, other, "run", data_known=True)
    described = {"task": "val", "image_size": 64, "resolution": "network", "flip": False}
    described |= {"scales": [1], "decode": "leaf", "batch_size": 16}
    described |= {"metrics": several.metrics, "data": "./a.yaml + b.yaml"}
    assert evaluation_name(described, several) == "val"


def test_a_checkpoint_is_evaluated_on_coarser_data_and_on_several(tmp_path):
    fine, coarse = make_data(tmp_path / "fine"), other_data(tmp_path / "coarse", COARSE, ("val",))
    tree = load_spec(fine).hierarchy
    own = small_settings(data__spec=str(fine)).data
    for spec in (str(coarse), f"{fine} + {coarse}", [str(coarse), str(fine)]):
        found = check_tree_of_data(tree, own, spec, "The checkpoint")
        assert found == tree
        assert found.inner_labels
    source = open_source(own, 0, "val", str(coarse), found)
    assert source.values.table[:3].tolist() == [0, 4, 3]
    assert not check_tree_of_data(tree, own, str(fine), "The checkpoint").inner_labels
    fine.rename(moved := fine.with_name("moved.yaml"))
    sentence = "no such file. The checkpoint was trained on it; say where it is now with --data."
    with pytest.raises(FileNotFoundError, match=sentence):
        check_tree_of_data(tree, own, str(fine), "The checkpoint")
    assert check_tree_of_data(tree, own, str(moved), "The checkpoint") == tree


def test_the_doctor_looks_at_data_sets_together(tmp_path):
    fine, coarse = (
        make_data(tmp_path / "fine"),
        other_data(tmp_path / "coarse", COARSE, values=(0, 1, 2, 2)),
    )
    cv2.imwrite(str(tmp_path / "coarse/train/images/0.png"), picture(5))  # of val, in `fine`
    cv2.imwrite(str(tmp_path / "coarse/train/images/1.png"), picture(2))
    tree = load_hierarchy(f"{fine} + {coarse}")
    specs = [of.spec.in_tree(tree) for of in read_data_sets(f"{fine} + {coarse}")]
    inspections = [inspect_dataset(spec, alone=False) for spec in specs]
    assert not [f for each in inspections for f in each.findings if f.kind == "untrained_class"]
    together = inspect_together(inspections, 8, 20)
    assert together == [
        (
            "warning",
            "fine/val/images/val1.png equals coarse/train/images/0.png, pixel for pixel; their "
            "masks differ.",
        ),
        ("warning", f"train has 1 picture that {fine} and {coarse} share."),
    ]
    flags = [f"--data={fine} + {coarse}", f"--output={tmp_path / 'out'}", "--memory_gb=8"]
    done = run_quickly("inspect", *flags)
    assert done.returncode == 0, done.stderr
    assert f"'--data={fine} + {coarse}'" in done.stdout
    assert "All together:\n  - warning: fine/val/images/val1.png equals" in done.stdout
    assert done.stdout.count("\nSuggested\n") == 1
    reports = sorted(file.parent.name for file in (tmp_path / "out").rglob("*.html"))
    assert reports == ["1_fine_data", "2_coarse_data"]


def test_a_run_on_several_data_sets_draws_and_looks_at_all(tmp_path):
    """Of the same classes; 20 figures and half of 8 pictures are 24 an epoch."""
    names = "[nothing, low_hand, torso, low_leg, head, up_leg, up_hand]"
    tree = f"names: {names}\nhierarchy: [1, 2, 3, 4, 5, 6]\n"
    other = other_data(tmp_path / "other", tree, ("train", "val"), count=8)
    options = {"data__figures_train": 20, "data__spec": f"figures + 0.5*{other}"}
    options |= {"data__allow_missing_classes": True}
    run = set_up(small_settings(**options), tmp_path / "run")
    assert run.steps_per_epoch == 3
    said = describe(run)
    assert f"figures + 0.5*{other}: 28 training and 18 validation images" in said
    assert f"an epoch draws 20 of the 20 of figures, 4 of the 8 of {other}" in said
    assert run.inventories["val"].examples == 18
    as_list = options | {"data__spec": ["figures", f"0.5*{other}"]}
    again = set_up(small_settings(**as_list), tmp_path / "run")
    assert again.inventories["train"].fingerprint == run.inventories["train"].fingerprint
    assert_equal(take(run.train_batches(), 5)[2:], take(again.train_batches(start_step=2), 3))

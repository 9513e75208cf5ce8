"""Leaf classes that change places in a mirror: named in a data.yaml, checked, carried along."""

import pytest

from hierseg_jax.checkpoint import HISTORY
from hierseg_jax.data.read.sources import load_hierarchy
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.train.workdir import check_workdir, claim_workdir
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.runs import small_settings

NAMES = ["background", "head", "left_arm", "right_arm", "left_leg", "right_leg"]
TREE = {"upper": ["head", "left_arm", "right_arm"], "lower": ["left_leg", "right_leg"]}
ARMS, LEGS = ["left_arm", "right_arm"], [4, 5]


def tree(pairs=None):
    return Hierarchy.from_mapping(TREE, NAMES, ["half", "part"], pairs)


def test_the_mirror_exchanges_the_members_of_pairs_alone():
    hierarchy = tree([ARMS, LEGS])
    assert hierarchy.pairs == ((2, 3), (4, 5))
    table = hierarchy.mirrored
    assert table[:6].tolist() == [0, 1, 3, 2, 5, 4]
    assert table[6:].tolist() == list(range(6, 256))
    assert tree().mirrored.tolist() == list(range(256))


def test_pairs_travel_with_the_tree_and_a_tree_without_is_stored_as_before():
    hierarchy = tree([ARMS])
    assert Hierarchy.from_json(hierarchy.to_json()).pairs == ((2, 3),)
    assert "pairs" not in tree().to_json()
    assert hierarchy == tree()
    assert hash(hierarchy) == hash(tree())


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ("left_arm", "expected a list such as"),
        ({"left_arm": "right_arm"}, "expected a list such as"),
        (["left_arm"], "'left_arm' is no pair"),
        ([["left_arm"]], "is no pair; give two leaf classes"),
        ([["left_arm", "right_arm", "head"]], "is no pair"),
        ([["left_arm", "left_arm"]], "pairs 'left_arm' with itself"),
        ([["left_arm", 2]], "pairs 'left_arm' with itself"),
        ([["left_arm", "tail"]], "holds 'tail', which is no leaf class; they are head, left_arm"),
        ([["left_arm", "upper"]], "holds 'upper', which is no leaf class"),
        ([["left_arm", "rigth_arm"]], "which is no leaf class; did you mean right_arm"),
        ([[2, 6]], "holds 6, which is no leaf class"),
        ([[2, -3]], "holds -3, which is no leaf class"),
        ([[2, True]], "holds True, which is no leaf class"),
        ([[2, 3.0]], "holds 3.0, which is no leaf class"),
        ([["background", "head"]], "holds the background"),
        ([[0, 1]], "holds the background"),
        ([ARMS, ["right_arm", "head"]], r"'right_arm' is in both \['left_arm', 'right_arm'\] and"),
    ],
)
def test_what_is_no_pair_is_refused(pairs, sentence):
    with pytest.raises(ValueError, match=sentence):
        tree(pairs)
    with pytest.raises(ValueError, match="no leaf class"):
        Hierarchy(tree().children, tree().class_names, tree().level_names, ((2, 9),))


def write(file, pairs):
    file.write_text(
        "path: .\ntrain: train/images\n"
        f"names: {NAMES}\nlevel_names: [half, part]\nhierarchy: {TREE}\n{pairs}"
    )
    return file


def test_a_data_yaml_names_pairs(tmp_path):
    file = write(tmp_path / "data.yaml", "pairs: [[left_arm, right_arm], [4, 5]]\n")
    spec = load_spec(file)
    assert spec.hierarchy.pairs == ((2, 3), (4, 5))
    write_spec(spec)
    assert load_spec(file).hierarchy.pairs == ((2, 3), (4, 5))
    write(file, "pairs:\n")
    assert load_spec(file).hierarchy.pairs == ()
    write(file, "pairs: [[left_arm, tail]]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: pairs: \['left_arm', 'tail'\] holds 'tail'"):
        load_spec(file)


def test_another_tree_over_the_data_keeps_its_pairs(tmp_path):
    data = write(tmp_path / "data.yaml", "pairs: [[left_arm, right_arm]]\n")
    other = tmp_path / "tree.yaml"
    other.write_text("hierarchy: [1, 2, 3, 4, 5]\n")
    assert load_hierarchy(str(data), str(other)).pairs == ((2, 3),)
    other.write_text("hierarchy: [1, 2, 3, 4, 5]\npairs: [[4, 5]]\n")
    assert load_hierarchy(str(data), str(other)).pairs == ((4, 5),)


def test_a_run_that_mirrors_is_not_continued_with_other_pairs(tmp_path):
    for augment, refused in (("modern", True), ("reference", True), ("none", False)):
        workdir, settings = tmp_path / augment, small_settings(augment=augment)
        claim_workdir(workdir, settings, tree([ARMS]), {})
        (workdir / HISTORY).write_text("{}")  # it has learned something
        check_workdir(workdir, settings, tree([ARMS]))
        if refused:
            sentence = "had the pairs left_arm and right_arm; figures has none"
            with pytest.raises(ValueError, match=sentence):
                check_workdir(workdir, settings, tree())
        else:
            check_workdir(workdir, settings, tree())

"""What can be wrong about several data sets ends in one sentence."""

import pytest

from hierseg_jax.data.read.common_tree import load_hierarchy
from hierseg_jax.data.read.members import parse_members
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.settings.building import check_tree_of_data
from hierseg_jax.system.errors import HiersegError
from tests.runs import small_settings
from tests.test_pipeline import Numbered

TREE = """\
names: [sky, torso, head, bag, left, right]
hierarchy: {person: {body: [torso, head], things: [bag]}, arms: [left, right]}
pairs: [[left, right]]
"""


def sentence_of(function, *given, **named):
    with pytest.raises(HiersegError) as error:
        function(*given, **named)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "No data set is given"),
        ([], "No data set is given"),
        (["a.yaml", ""], "No data set is given"),
        ("a.yaml + ", "'a.yaml + ' names no data set on one side of a plus; take that out"),
        (" + a.yaml", "names no data set on one side of a plus"),
        ("a.yaml +  + b.yaml", "names no data set on one side of a plus"),
        ("a.yaml + 0*b.yaml", "gives 'b.yaml' the weight '0'; a weight is a number above 0"),
        ("a.yaml + -1*b.yaml", "the weight '-1'"),
        (
            "half*b.yaml",
            "the weight 'half'; a weight is a number above 0 and at most 1000, such as",
        ),
        ("nan*b.yaml", "the weight 'nan'"),
        ("1e9*b.yaml", "the weight '1e9'"),
        ("*b.yaml", "gives 'b.yaml' the weight ''"),
        ("0.5*", "has a weight without a data set, '0.5*'"),
        ("a.yaml + 0.5*./a.yaml", "names the data set ./a.yaml twice; name it once, with a weight"),
        ("figures + figures", "names the data set figures twice"),
        (["a.yaml", 3], "data.spec holds 3; give text"),
    ],
)
def test_a_spec_that_is_none_is_refused(spec, sentence):
    assert sentence in sentence_of(parse_members, spec)


@pytest.mark.parametrize("spec", [2024, ("a.yaml", 3), {"a.yaml": 1}, None])
def test_a_config_s_data_are_text_or_a_list(spec):
    said = sentence_of(read_settings, Settings().replace({"data.spec": spec}))
    assert "it must be text, such as a path" in said


@pytest.fixture
def first(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(TREE + "train: train/images\n")
    return file


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "names: [sky, troso]\nhierarchy: [1]",
            "labels pixels as 'troso', which is no class and no",
        ),
        ("names: [sky, troso]\nhierarchy: [1]", "did you mean torso? Rename or ignore it"),
        ("names: [sky, xyz]\nhierarchy: [1]", "there are sky, torso, head, bag, left, right, "),
        ("hierarchy: {head: [1]}\nnames: [sky, torso]", "contradict each other: 'torso' is below"),
        (
            "names: [sky, body, head]\nhierarchy: [1, 2]",
            "'head' is below 'body' in {first}, and not",
        ),
        (
            "names: [sky, torso, bag]\nhierarchy: {body: [1, 2]}",
            "'bag' is below 'body' in {second}, and not in {first}; rename one of the two",
        ),
        ("names: [bag, torso]\nhierarchy: [1]", "'bag' is the background in one of {second} and"),
        ("names: [grass, sky]\nhierarchy: [1]", "'sky' is the background in one of"),
        (
            "names: [sky, left, head]\nhierarchy: [1, 2]\npairs: [[1, 2]]",
            "In the mirror 'left' becomes 'right' in {first}, and 'head' in {second}; mend the",
        ),
        (
            "hierarchy: [1, 2]",
            "{second} gives its classes no names, by which they could meet those",
        ),
        ("names: [sky, ignore]\nhierarchy: [1]", "labels pixels as 'ignore', which is no class"),
        (
            "names: [sky, bodi]\nhierarchy: [1]\nlabels: {1: bod}",
            "{second}: labels: the value 1 is",
        ),
    ],
)
def test_trees_that_do_not_meet_are_refused(first, tmp_path, content, sentence):
    second = tmp_path / "b.yaml"
    second.write_text(content)
    said = sentence_of(load_hierarchy, f"{first} + {second}")
    assert sentence.format(first=first, second=second) in said


def test_a_tree_of_its_own_decides_where_the_data_sets_differ(first, tmp_path):
    second, tree = tmp_path / "b.yaml", tmp_path / "tree.yaml"
    second.write_text("names: [sky, torso, bag]\nhierarchy: {body: [1, 2]}\n")
    tree.write_text("hierarchy: {trunk: [torso, bag], head: [head], arms: [left, right]}\n")
    both = f"{first} + {second}"
    found = load_hierarchy(both, str(tree))
    assert not found.inner_labels
    assert found.pairs == ((4, 5),)
    # A label of a group means what is below it: that must be the same.
    second.write_text(second.read_text() + "labels: {1: body, 2: ignore}\n")
    assert "'body', which is no class and no group of" in sentence_of(
        load_hierarchy, both, str(tree)
    )
    tree.write_text("hierarchy: {body: [torso], bag: [bag, head], arms: [left, right]}\n")
    said = sentence_of(load_hierarchy, both, str(tree))
    assert "used twice" in said
    tree.write_text("hierarchy: {body: [torso], more: [bag, head], arms: [left, right]}\n")
    said = sentence_of(load_hierarchy, both, str(tree))
    assert "'bag' is below 'body' in" in said
    assert "mistake" not in sentence_of(load_hierarchy, f"{first} + {tmp_path / 'no.yaml'}")


def test_a_weight_that_draws_nothing_is_refused():
    said = sentence_of(Mixture, ["a", "b.yaml"], [Numbered(9), Numbered(10)], [1, 0.01])
    assert "0.01*b.yaml draws none of its 10 examples in an epoch; give it a larger" in said


def test_a_split_that_no_data_set_has_is_named(first, tmp_path):
    second = tmp_path / "b.yaml"
    second.write_text(TREE)
    both = f"{first} + {second}"
    said = sentence_of(open_split, both, "val", 64, {})
    assert f"None of the data sets {both} has the split 'val'; add `val: FOLDER`" in said
    said = sentence_of(open_split, f"{second} + {first}", "train", 64, {})
    assert "b.yaml gives no image folder for 'train'" in said


def test_data_without_a_place_in_a_checkpoint_s_tree_are_refused(first, tmp_path):
    tree, own = load_hierarchy(str(first)), small_settings(data__spec=str(first)).data
    second = tmp_path / "b.yaml"
    second.write_text("names: [sky, body, dog]\nhierarchy: [1, 2]\n")
    for spec in (str(second), f"{first} + {second}"):
        said = sentence_of(check_tree_of_data, tree, own, spec, "The checkpoint x")
        assert said.startswith("The checkpoint x was trained on the classes sky, torso, head, bag,")
        assert (
            f"{spec} has another class tree: {second} labels pixels as 'dog', which is no" in said
        )
    second.write_text(TREE.replace("[torso, head]", "[head, torso]"))
    said = sentence_of(check_tree_of_data, tree, own, str(second), "The checkpoint x")
    assert "has another class tree: its classes stand in other groups or in another order." in said


def test_a_small_weight_is_of_training_alone():
    small = open_split("0.1*figures", "val", 32, {"seed": 0, "count": {"train": 99, "val": 4}})
    assert len(small) == 4

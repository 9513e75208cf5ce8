"""`labels` in data.yaml: masks whose values have names, of groups too."""

import dataclasses

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.class_weights import count_frequencies
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.inspection_page import format_page
from hierseg_jax.data.inspection.report_files import make_report
from hierseg_jax.data.inspection.text import format_report
from hierseg_jax.data.label_statistics import count_labels, count_levels
from hierseg_jax.data.missing_classes import missing_classes
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.mask_values import named_values
from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.data.read.spec import load_spec, read_classes
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.data.read.value_names import IGNORE, parse_labels
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.first_epoch import check_sample
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.inspection_data import SIZE, YAML, make_data, write_pair
from tests.raw_data import make_raw
from tests.test_labels import trees

LABELS = "labels: {0: background, 7: head, 8: upper, 9: lower, 10: ignore, 255: torso}\n"


def named_data(root, labels=LABELS, values=(0, 7, 8, 9, 10, 255)):
    """A data set whose masks hold these values, in stripes."""
    file = make_data(root)
    file.write_text(YAML + labels)
    stripes = np.array(values, np.uint8)[np.arange(SIZE[1]) * len(values) // SIZE[1]]
    for mask in root.glob("*/masks/*.npy"):
        np.save(mask, stripes[None].repeat(SIZE[0], 0))
    return file


@st.composite
def named_trees(draw):
    """A tree, and names for some values of masks."""
    hierarchy = draw(trees())
    names = st.sampled_from([*hierarchy.labels.names, IGNORE])
    return hierarchy, tuple(sorted(draw(st.dictionaries(st.integers(0, 255), names)).items()))


@settings(max_examples=50)
@given(named_trees(), st.data())
def test_a_mask_is_read_value_by_value(named, data):
    hierarchy, labels = named
    values = [value for value, _ in labels] + [255]
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.uint16, np.int64]))
    mask = np.array(data.draw(st.lists(st.sampled_from(values), min_size=1)), dtype)[None]
    found = named_values(labels, hierarchy).labels(mask, "a.npy")
    assert found.dtype == np.uint8
    of_tree = hierarchy.labels
    for value, label in zip(mask[0].tolist(), found[0].tolist(), strict=True):
        name = dict(labels).get(value, IGNORE)
        if name == IGNORE:
            assert label == 255
            continue
        own = of_tree.names.index(name)
        np.testing.assert_array_equal(of_tree.leaves_lc[label], of_tree.leaves_lc[own])
        # A group of a single class is that class, whether the data label groups or not.
        assert label < hierarchy.num_classes or of_tree.leaves_lc[own].sum() > 1


@settings(max_examples=25)
@given(named_trees())
def test_names_of_values_are_read_as_they_were_written(tmp_path_factory, named):
    hierarchy, labels = named
    file = tmp_path_factory.mktemp("data") / "data.yaml"
    file.write_text("hierarchy: [1]\n")
    spec = dataclasses.replace(load_spec(file), hierarchy=hierarchy, labels=labels)
    write_spec(spec)
    assert load_spec(file) == spec
    inner = {name for _, name in labels} & set(hierarchy.labels.names[hierarchy.num_classes :])
    many = [
        n for n in inner if hierarchy.labels.leaves_lc[hierarchy.labels.names.index(n)].sum() > 1
    ]
    assert load_spec(file).hierarchy.inner_labels == bool(many)


def test_a_data_set_with_groups_reads_as_its_names_say(tmp_path):
    spec = load_spec(named_data(tmp_path))
    assert spec.hierarchy.inner_labels
    assert spec.hierarchy.labels.names[4:] == ("upper", "lower")
    source = open_split(str(spec.file), "train", 64, {})
    # `lower` has legs alone and says as much.
    assert np.unique(source[0]["label"]).tolist() == [0, 1, 2, 3, 4, 255]
    np.testing.assert_array_equal(source.label(1), source[1]["label"])


def test_without_groups_nothing_is_of_groups(tmp_path):
    file = named_data(tmp_path, "labels: {0: background, 3: torso}\n", (0, 3, 255))
    assert not load_spec(file).hierarchy.inner_labels
    assert np.unique(open_split(str(file), "val", 64, {})[0]["label"]).tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (np.full(SIZE, 3, np.uint8), "3"),
        (np.full(SIZE, 263, np.int16), "263"),
        (np.full(SIZE, -249), "-249"),
    ],
)
def test_a_value_without_a_name_is_named_with_its_file(tmp_path, mask, values):
    file = named_data(tmp_path)
    np.save(tmp_path / "train/masks/train1.npy", mask)
    source = open_split(str(file), "train", 64, {})
    for read in (source.label, source.__getitem__):
        with pytest.raises(HiersegError) as error:
            read(1)
        sentence = str(error.value)
        assert sentence.startswith(f"{tmp_path}/train/masks/train1.npy holds the values {values},")
        add = "add them there, each as `VALUE: NAME` or `VALUE: ignore`"
        assert (add if values == "3" else "so mend the file") in sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("labels: [background, torso]", "labels: expected a name for every value of the masks"),
        ("labels: {}", "labels: expected a name for every value"),
        ("labels: torso", "found 'torso'"),
        ("labels: {x: torso}", "labels: 'x' is no value of a mask; these are whole numbers from 0"),
        ("labels: {'7': torso}", "'7' is no value of a mask"),
        ("labels: {yes: torso}", "True is no value of a mask"),
        ("labels: {1.5: torso}", "1.5 is no value"),
        ("labels: {-1: torso}", "-1 is no value"),
        ("labels: {256: torso}", "256 is no value"),
        ("labels: {7: torso, 7: head}", "the key '7' stands twice"),
        ("labels: {7: 3}", "the value 7 has 3 for a name; a name is text (put quotes"),
        ("labels: {7: }", "the value 7 has None for a name"),
        ("labels: {7: trso}", "the value 7 is called 'trso', and no class and no group has this"),
        ("labels: {7: trso}", "did you mean torso?"),
        ("labels: {7: xyz}", "there are background, torso, head, legs, upper, lower."),
    ],
)
def test_bad_names_end_in_one_sentence(tmp_path, labels, sentence):
    file = tmp_path / "data.yaml"
    file.write_text(YAML + labels)
    with pytest.raises(HiersegError) as error:
        load_spec(file)
    assert sentence in str(error.value)
    assert str(error.value).startswith(f"{file}:")
    assert "\n" not in str(error.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60)
@given(
    st.dictionaries(ANYTHING.filter(lambda x: not isinstance(x, list | dict)), ANYTHING) | ANYTHING
)
def test_whatever_stands_there_is_read_or_ends_in_one_sentence(content):
    try:
        assert dict(parse_labels(content, PASCAL_PERSON_PART)) == content
        return
    except HiersegError as error:
        sentence = str(error)
    assert sentence.startswith("labels: ")
    assert sentence.isprintable()


def test_a_name_that_two_nodes_have_is_refused(tmp_path):
    file = tmp_path / "data.yaml"
    file.write_text("names: [b, x, y]\nhierarchy: {x: [y], z: [x]}\nlabels: {1: x}\n")
    with pytest.raises(HiersegError, match="name 'x' is used twice"):
        load_spec(file)
    file.write_text("names: [b, ignore]\nhierarchy: [ignore]\nlabels: {1: ignore}\n")
    with pytest.raises(HiersegError, match="the tree has a class or group of this name; rename"):
        load_spec(file)


def test_other_names_are_other_data(tmp_path):
    spec = load_spec(named_data(tmp_path))
    plain = FolderSource(spec.image_dir("train"), 4)
    named = FolderSource(spec.image_dir("train"), 4, spec.values)
    (first, _), *rest = named.inventory()
    assert first == "labels: 0 background, 7 head, 8 upper, 9 lower, 10 ignore, 255 torso"
    assert rest == list(plain.inventory())


def test_a_level_counts_the_pixels_known_there(tmp_path):
    file = named_data(tmp_path)
    hierarchy = load_hierarchy(str(file))
    source = open_split(str(file), "train", 64, {})
    of_each = np.stack([count_labels(source.label(i))[:6] for i in range(len(source))])
    half, part = (pixels.tolist() for pixels, _ in count_levels(of_each, hierarchy).values())
    background, torso, head, legs, upper, _ = of_each.sum(0).tolist()
    assert half == [background, torso + head + upper, legs]
    assert part == [background, torso, head, legs]
    frequencies = count_frequencies(source, hierarchy)
    assert [of.pixels_c.tolist() for of in frequencies] == [half, part]
    # Every image shows every class: where they are is all that is known at the level.
    assert [of.where_c.tolist() for of in frequencies] == [[sum(half)] * 3, [sum(part)] * 4]


def test_a_class_below_a_label_that_occurs_is_not_missing_but_told(tmp_path):
    file = named_data(tmp_path, values=(0, 8, 9))
    hierarchy = load_hierarchy(str(file))
    seen, note = check_sample(open_split(str(file), "train", 64, {}), hierarchy, "data.yaml")
    assert missing_classes(seen, hierarchy) == []
    assert note == (
        "None of 4 training masks of data.yaml tells torso, head apart from the rest of their "
        "groups; the labels found are background, legs, upper. What is predicted of these classes "
        "within their groups means nothing."
    )
    named_data(tmp_path, values=(0, 8))
    with pytest.raises(HiersegError, match=r"holds legs \(3\); the values found are 0 and upper"):
        check_sample(open_split(str(file), "train", 64, {}), hierarchy, "data.yaml")


def test_the_doctor_counts_names_and_draws_groups(tmp_path):
    spec = load_spec(named_data(tmp_path))
    write_pair(tmp_path, "val", "val0", 9, label_hw=np.full(SIZE, 8, np.uint8))
    np.save(tmp_path / "train/masks/train2.npy", np.full(SIZE, 4))
    inspection = inspect_dataset(spec)
    report = make_report(inspection, lambda *_: 1.0, limit=20, memory_gb=8)
    text = format_report(report)
    assert "train/masks/train2.npy holds the values 4, which have no name" in text
    assert "val/masks/val0.npy holds nothing but the class upper." in text
    assert report.statistics["train"]["unknown_pixels"]["half"] == 0
    # One stripe in six is of `upper`, and one is ignored.
    assert report.statistics["train"]["unknown_pixels"]["part"] == pytest.approx(0.2, abs=0.02)
    assert "of the labelled pixels have no class at level part" in text
    page = format_page(report)
    assert "Hatched: known as no finer than" in page
    assert "upper" in page.split("known as no finer than")[1].split("</ul>")[0]


@settings(max_examples=40)
@given(trees())
def test_a_group_has_the_colour_of_its_class_or_one_that_no_class_has(hierarchy):
    labels = hierarchy.labels
    for k, level in enumerate(hierarchy.levels):
        for label, (name, color) in enumerate(zip(labels.names, labels.colors, strict=True)):
            same = np.flatnonzero((color == level.colors).all(1)).tolist()
            named = [i for i, of in enumerate(level.class_names) if of == name]
            assert same == named
            if labels.classes_kl[k, label] == 255:
                assert not named


def test_a_download_is_prepared_with_the_names_of_its_values(tmp_path):
    raw = make_raw(tmp_path)
    tree = tmp_path / "tree.yaml"
    content = {"hierarchy": {"body": {"upper": [1, 2], "lower": [3]}}, "labels": {}}
    names = ["background", "upper", "class_3", "class_1", "class_2", IGNORE, "upper"]
    content["labels"] = dict(enumerate(names))
    tree.write_text(yaml.safe_dump(content))
    spec = read_classes(tree)
    hierarchy, labels = spec.hierarchy, spec.labels
    done = prepare(raw, tmp_path / "out", hierarchy=hierarchy, labels=labels)
    assert load_spec(done.spec.file) == done.spec
    assert load_spec(done.spec.file).labels == labels
    counts = [count_labels(np.load(file)) for file in sorted((raw / "gt_masks").glob("t*.npy"))]
    total = np.sum(counts, 0)[:7]
    levels = done.summary["splits"]["train"]["levels"]
    known = total.sum() - total[5]
    assert levels["level_2"]["upper"]["pixels"] == pytest.approx(total[[1, 3, 4, 6]].sum() / known)
    below = known - total[1] - total[6]
    assert levels["leaf"]["class_1"]["pixels"] == pytest.approx(total[3] / below)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_a_share_of_the_figures_is_labelled_by_groups(share, expected):
    plain, mixed = FiguresSource("val", 32, 12), FiguresSource("val", 32, 12, inner_share=share)
    hierarchy = load_hierarchy("figures", inner_share=share)
    assert hierarchy.inner_labels == bool(share)
    groups = [i for i in range(12) if mixed.has_groups(i)]
    assert len(groups) == expected
    assert np.diff(groups).tolist() == [round(1 / share)] * (expected - 1) if share else not groups
    middle = PASCAL_PERSON_PART.levels[1]
    for i in range(12):
        np.testing.assert_array_equal(plain[i]["image"], mixed[i]["image"])
        if i not in groups:
            np.testing.assert_array_equal(plain[i]["label"], mixed[i]["label"])
            continue
        label = mixed[i]["label"]
        known = middle.leaf_to_class[plain[i]["label"]]
        np.testing.assert_array_equal(hierarchy.labels.table(1)[label], known)
        unknown = np.where(known > 0, 255, 0)
        np.testing.assert_array_equal(hierarchy.labels.table(2)[label], unknown)


def test_a_group_for_which_there_is_no_label_is_told_as_such():
    tree = {f"group{i}": [i + 1] for i in range(250)}
    hierarchy = Hierarchy.from_mapping(tree)
    with pytest.raises(HiersegError, match=r"called 'group249'\. The tree has more classes and"):
        parse_labels({1: "group249"}, hierarchy)
    assert parse_labels({1: "group3"}, hierarchy) == ((1, "group3"),)

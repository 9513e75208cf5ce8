"""data.yaml: what it says, and that a bad one ends in a sentence."""

import itertools
import pathlib
import pickle
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.data.read.spec import DatasetSpec, load_spec, read_tree_file
from hierseg_jax.data.read.spec_writing import write_spec

TREE = "hierarchy: {body: {upper: [1, 2], lower: [3]}}\n"
ROUND_TRIPS = [
    PASCAL_PERSON_PART,
    Hierarchy.from_mapping([1, 2, {"limbs": [3, {"leg": [4, 5]}]}]),
    Hierarchy.from_mapping(
        {"person": {"body": [1, 3], "carried": [2]}}, ["background", "yes", "carried", "1"]
    ),
    Hierarchy.from_mapping({"a: b": [1], "#": [2]}, ["null", "é 人", "~"], ["x", "2020-01-01"]),
]


def written(folder, content):
    file = folder / "data.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def fault(file, error=ValueError):
    """The sentence, which starts with the file and is one line."""
    with pytest.raises(error) as caught:
        load_spec(file)
    sentence = str(caught.value)
    assert sentence.startswith(str(file))
    assert "\n" not in sentence
    assert len(sentence) < 900
    return sentence


def test_folders_are_resolved_against_path_and_path_against_the_file(tmp_path, monkeypatch):
    written(tmp_path, "path: photos/all\ntrain: train/images\nval: ./x/../val/images/\n" + TREE)
    monkeypatch.chdir(tmp_path.parent)
    spec = load_spec(pathlib.Path(tmp_path.name) / "data.yaml")
    assert spec.root == tmp_path / "photos/all"
    assert spec.splits == ("train", "val")
    assert spec.image_dir("train") == tmp_path / "photos/all/train/images"
    assert spec.image_dir("val") == tmp_path / "photos/all/val/images"
    assert spec.hierarchy.num_classes == 4


def test_path_may_be_absolute_or_left_out(tmp_path):
    assert load_spec(written(tmp_path, "path: /data/../photos\n" + TREE)).root.as_posix() == (
        "/photos"
    )
    assert load_spec(written(tmp_path, TREE)).root == tmp_path
    assert load_spec(written(tmp_path, "path:\n" + TREE)).root == tmp_path


def test_unused_splits_may_be_empty_or_missing(tmp_path):
    spec = load_spec(written(tmp_path, "train: a\nval: ''\ntest:\n" + TREE))
    assert spec.splits == ("train",)
    with pytest.raises(ValueError, match=r"gives no image folder for 'val' \(it gives train\)"):
        spec.image_dir("val")
    with pytest.raises(ValueError, match="splits are train, val, test"):
        spec.image_dir("training")


def test_a_spec_is_hashable_and_travels_to_other_processes(tmp_path):
    spec = load_spec(written(tmp_path, "train: a\n" + TREE))
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert hash(spec) == hash(load_spec(spec.file))


def test_names_are_a_list_or_a_mapping_and_stand_in_the_tree(tmp_path):
    tree = "hierarchy: {body: [head, legs]}\nlevel_names: [whole, part]\n"
    listed = load_spec(written(tmp_path, tree + "names: [background, legs, head]"))
    mapped = load_spec(written(tmp_path, tree + "names: {0: background, 2: head, 1: legs}"))
    assert listed.hierarchy == mapped.hierarchy
    assert listed.hierarchy.level_names == ("whole", "part")


def test_python_tuples_of_existing_files_load(tmp_path):
    text = """
hierarchy:
  body:
    upper_body: !!python/tuple
    - 1
    - 2
    lower_body: !!python/tuple [3]
"""
    assert load_spec(written(tmp_path, text)).hierarchy == Hierarchy.from_mapping(
        {"body": {"upper_body": [1, 2], "lower_body": [3]}}
    )


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/object/new:os.system ['touch {}']",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/list [1]",
        "!!binary aGk=",
        "!!set {{1, 2}}",
        "!!omap [a: 1]",
        "!!timestamp x",
        "!own [1]",
    ],
)
def test_no_other_tag_is_executed_or_read(tmp_path, tag):
    proof = tmp_path / "executed"
    sentence = fault(written(tmp_path, f"hierarchy: {tag.format(proof)}\n"))
    assert "line 1: the tag '!" in sentence
    assert "not allowed" in sentence
    assert not proof.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "expected `key: value` lines"),
        ("[1, 2]", "found a list of 2"),
        ("train: a", "the key hierarchy is missing"),
        ("hierarchy:", "the key hierarchy is missing"),
        (TREE + "hierachy: x", "'hierachy' is unknown; did you mean hierarchy?"),
        (TREE + "nc: 3", "'nc' is unknown; the keys are path, train"),
        (TREE + "Train: a", "did you mean train?"),
        (TREE + "3: a", "the key 3 is unknown"),
        (TREE + "train: a\ntrain: b", "line 3: the key 'train' stands twice"),
        ("hierarchy: {a: [1], a: [2]}", "line 1: the key 'a' stands twice"),
        (TREE + "<<: {train: a}", "'<<' is unknown"),
        (TREE + "? [a]\n: b", "line 2: a key must be text or a number"),
        (TREE + "? !!seq x\n: b", "a key must be text or a number"),
        (TREE + "train: [a]", "train: expected the path of a folder; found a list of 1"),
        (TREE + "path: 3", "path: expected the path of a folder; found 3"),
        (TREE + "train: /data/images", "'/data/images' is absolute"),
        (TREE + "train: ../images", "'../images' is not below `path`"),
        (TREE + "train: a/../../b", "is not below `path`"),
        (TREE + "train: .", "is not below `path`"),
        (TREE + 'train: "a\\0b"', "is no path of a folder"),
        (TREE + 'train: "\\ud800"', "half of a surrogate pair"),
        (TREE + "names: head", "names: expected a list of class names"),
        (TREE + "names: [background, yes, a, b]", "found True in it"),
        (TREE + "names: {0: a, x: b}", "found 'x' as an index"),
        (TREE + "names: {0: a, 2: b}", "class names given by index must name every index"),
        (TREE + "level_names: parts", "level_names: expected a list of names"),
        (TREE + "level_names: [a, b]", "3 levels, but there are 2"),
        ("hierarchy: {body: [0]}", "class 0 is the background"),
        ("hierarchy: {body: [1, head]}", "'head' is no class name"),
        ("names: [a, torso]\nhierarchy: {b: [trso]}", "is no class name; did you mean torso?"),
        ("hierarchy: {body: [1, 3]}", "missing: 2"),
        ("hierarchy: {body: &x {part: *x}}", "contains itself"),
        ("hierarchy: &x {body: *x}", "contains itself"),
        ("hierarchy: {a: &x [1], b: *x}", "twice"),
        ("hierarchy: [1", "line 1"),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        (
            "a: 1\nlabels: {#000000: background, #ff0000: a}",
            "Line 2 has #000000 without quotes, where # begins a comment; write '#000000'.",
        ),
        ("a: [1  # see #404040: grey", "line 1: expected ',' or ']', but got '<stream end>'."),
        ("--- 1\n--- 2", "line 2: but found another document"),
        ("hierarchy: *missing", "undefined alias"),
        ("hierarchy: !!int x", "'x' is no int"),
        ("hierarchy: !!bool x", "'x' is no bool"),
        ("hierarchy: !!float [1]", "this is no float"),
        ("hierarchy: " + "9" * 5000, "this is no int"),
        ("hierarchy: " + ":".join(["59"] * 1000), "this is no int"),
        ('hierarchy: "\\UFFFFFFFF"', "not readable as YAML"),
        ("hierarchy: " + "[" * 50_000, "nested too deep"),
        ("hierarchy: " + "{a: " * 100 + "1" + "}" * 100, "nested more than 63 deep"),
        ("a\x00b", "not readable as YAML"),
        (b"\xff\xfe\x00", "is no UTF-8 text (byte 0)"),
        (b"#" * ((1 << 20) + 1), "is larger than 1 MiB"),
    ],
)
def test_bad_content_is_refused_with_one_sentence(tmp_path, content, sentence):
    assert sentence in fault(written(tmp_path, content))


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "there is no such file" in fault(tmp_path / "data.yaml", FileNotFoundError)
    assert "is a folder" in fault(tmp_path)


@pytest.mark.parametrize("key", ["hierarchy", "names", "level_names", "path", "train", "extra"])
def test_aliases_of_aliases_end_quickly(tmp_path, key):
    lines = ["names: &a0 [x, x]"] if key != "names" else ["level_names: &a0 [x, x]"]
    lines += [f"l{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    nested = "&z0 [1, 1]"
    for i in range(1, 30):
        nested = f"&z{i} [{nested}, {', '.join([f'*z{i - 1}'] * 9)}]"
    calls = itertools.count()
    sys.setprofile(lambda frame, event, argument: next(calls))
    try:
        fault(written(tmp_path, "\n".join(lines)))
        fault(written(tmp_path, f"{key}: {nested}\n" + (TREE if key != "hierarchy" else "")))
        fault(written(tmp_path, f"names: [a, {nested}]\n{TREE}"))
    finally:
        sys.setprofile(None)
    # Unfolded they are 10^29; read once, some hundred nodes of a thousand calls each.
    assert next(calls) < 1_000_000


@pytest.mark.parametrize("hierarchy", ROUND_TRIPS)
@pytest.mark.parametrize("root", ["", "below/it", "../elsewhere"])
def test_what_is_written_reads_back_equal(tmp_path, hierarchy, root):
    folder = tmp_path / "set"
    folder.mkdir()
    top = (folder / root).resolve()
    dirs = (("train", top / "train/images"), ("test", top / "null"))
    spec = DatasetSpec(folder / "data.yaml", top, dirs, hierarchy)
    write_spec(spec)
    assert load_spec(spec.file) == spec
    assert read_tree_file(spec.file) == hierarchy
    assert [file.name for file in folder.iterdir()] == ["data.yaml"]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.floats(), st.text(max_size=8), st.dates()
)
contents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(0, 5), inner, max_size=4)
    ),
    max_leaves=12,
)
documents = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text("&*a!<>[]{}:,-?|%@`'\"#~ \n\t012.yYnN\\xuU=", max_size=80).map(str.encode),
    contents.map(lambda content: yaml.dump(content).encode()),
    st.fixed_dictionaries(
        {"hierarchy": contents},
        optional=dict.fromkeys(("path", "train", "names", "level_names"), contents),
    ).map(lambda content: yaml.dump(content).encode()),
)


@settings(max_examples=200, deadline=None)
@given(documents)
def test_any_bytes_load_or_end_in_a_sentence(tmp_path_factory, data):
    file = written(tmp_path_factory.getbasetemp(), data)
    try:
        assert isinstance(load_spec(file), DatasetSpec)
    except ValueError as error:
        sentence = str(error)
        assert sentence.startswith(str(file))
        assert len(sentence) < 900 + len(str(file))

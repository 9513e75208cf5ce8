"""Data sets of a user's own, by `module:function`."""

import contextlib
import re
import sys

import numpy as np
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.pipeline import train_batches
from hierseg_jax.data.read.common_tree import load_hierarchy
from hierseg_jax.data.read.members import Kind, Member, names_code
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.settings.building import check_tree_of_data, open_source, spec_of_checkpoint
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.same_data import take_inventories
from tests.conftest import ROOT
from tests.runs import run, small_settings, train_here

SPEC = "my_data:open_split"


def example_of_the_documentation():
    text = (ROOT / "docs" / "prepare.md").read_text()
    return re.search(r"whole `my_data\.py`:\n\n```python\n(.*?)```", text, re.DOTALL)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the documentation's example lies, with its pictures, torsos and heads of figures."""
    root = tmp_path_factory.mktemp("own")
    (root / "my_data.py").write_text(example_of_the_documentation())
    part = np.array([0, 1, 2, 255, 255, 255, 255], np.int64)
    for split, count in (("train", 24), ("val", 9)):
        examples = list(FiguresSource(split, 32, count, seed=0))
        np.save(root / f"{split}_images.npy", [each["image"] for each in examples])
        np.save(root / f"{split}_labels.npy", [part[each["label"]] for each in examples])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(root)
        yield root
        sys.modules.pop("my_data", None)


def write_module(root, monkeypatch, name, text):
    """A module of the path; returns the name of its function `f`."""
    (root / f"{name}.py").write_text(f"import numpy as np\n{text}\n")
    monkeypatch.syspath_prepend(root)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return f"{name}:f"


def sentence_of(function, *args, **options):
    with pytest.raises(HiersegError) as error:
        function(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_example_of_the_documentation_is_read(folder):
    hierarchy = load_hierarchy(SPEC)
    assert hierarchy.class_names == ("background", "torso", "head")
    assert hierarchy.levels[0].class_names == ("background", "body")
    source = open_split(SPEC, "val", 32, {})
    assert len(source) == 9
    example = source[4]
    np.testing.assert_array_equal(example["image"], np.load("val_images.npy")[4], strict=True)
    np.testing.assert_array_equal(example["label"], np.load("val_labels.npy")[4])
    assert example["label"].dtype == np.uint8
    assert type(example["image"]) is np.ndarray  # no part of a file
    assert example["image"].flags.writeable
    said = sentence_of(open_split, SPEC, "test", 32, {})
    assert said == "my_data:open_split has no split 'test': the function returned None."


def test_the_example_trains_and_is_evaluated_where_a_person_names_it(folder, tmp_path, capsys):
    train_here(tmp_path / "run", data__spec=SPEC, epochs=1)
    assert f"--checkpoint={tmp_path / 'run'} --data={SPEC}\n" in capsys.readouterr().out
    said = sentence_of(evaluate_checkpoint, tmp_path / "run", task="val")
    assert f"was trained on {SPEC}, which is code" in said
    assert f"--data={SPEC}" in said
    said = sentence_of(export_checkpoint, tmp_path / "run", tmp_path / "a.onnx", precision="int8")
    assert f"--data={SPEC}" in said
    evaluation, description = evaluate_checkpoint(tmp_path / "run", task="val", data=SPEC)
    assert list(evaluation.levels) == ["level_1", "leaf"]
    assert description["data"] == SPEC


def test_processes_and_a_resumed_run_see_the_same_batches(folder):
    def batches(start=0, worker_count=0):
        source = open_split(SPEC, "train", 32, {})
        found = train_batches(
            source,
            size=(32, 32),
            batch_size=8,
            seed=3,
            augment=True,
            start_step=start,
            worker_count=worker_count,
        )
        with contextlib.closing(found):
            return [next(found) for _ in range(6 - start)]

    expected = batches()
    for start, worker_count in ((0, 1), (4, 0)):
        for batch, other in zip(batches(start, worker_count), expected[start:], strict=True):
            for key, array in batch.items():
                np.testing.assert_array_equal(array, other[key])


def test_a_source_is_one_of_several_data_sets(folder):
    spec = f"figures + 0.5*{SPEC}"
    tree = load_hierarchy(spec)
    figures = {"count": {"train": 4, "val": 4}, "seed": 0}
    source = open_split(spec, "train", 32, figures, tree)
    assert isinstance(source, Mixture)
    assert source.draws == (4, 12)
    own = open_split(SPEC, "train", 32, {})
    mine = np.array([0, *(tree.class_names.index(name) for name in ("torso", "head"))])
    label = own[7]["label"]
    expected = np.where(label == 255, 255, mine[np.minimum(label, 2)])
    np.testing.assert_array_equal(source[4 + 7]["label"], expected)
    assert [part.name for part in open_split(spec, "val", 32, figures, tree).parts] == [
        "figures",
        SPEC,
    ]
    figures["count"]["test"] = 4
    assert len(open_split(f"{SPEC} + figures", "test", 32, figures, tree)) == 4


def test_a_data_hierarchy_names_the_classes_of_a_source_without_names(tmp_path, monkeypatch):
    spec = write_module(
        tmp_path,
        monkeypatch,
        "nameless",
        "f = lambda split: [{'image': np.zeros((2, 3, 3), np.uint8), "
        "'label': np.array([[0, 4, 7], [7, 7, -1]])}]",
    )
    assert "does not name its classes; give what it returns a `tree`, or set data.hierarchy" in (
        sentence_of(load_hierarchy, spec)
    )
    tree = tmp_path / "tree.yaml"
    tree.write_text("names: [ground, cat]\nhierarchy: [cat]\nlabels: {0: ground, 7: cat}\n")
    data = small_settings(data__spec=spec, data__hierarchy=str(tree)).data
    found = check_tree_of_data(load_hierarchy(spec, str(tree)), data, spec, "The checkpoint")
    assert found.class_names == ("ground", "cat")
    said = sentence_of(open_source(data, 0, "val", None, found).__getitem__, 0)
    assert said.startswith("nameless:f('val')[0]: its label holds the values ")
    tree.write_text(tree.read_text().replace("}", ", 4: ignore}"))
    source = open_split(spec, "val", 32, {}, tree_file=str(tree))
    (name, size), *_ = source.inventory()
    assert (name, size) == ("labels: 0 ground, 4 ignore, 7 cat", 0)


GOOD = "image=np.zeros((2, 3, 3), np.uint8), label=np.zeros((2, 3), int)"
MISTAKES = {
    "f = 3": "has no function 'f'",
    "f = lambda split: 3": "f('train') returned int; expected None, or an object with __len__",
    "f = lambda split: None": "returned None for train, val and test",
    "f = lambda split: []": "f('train') has no examples",
    "f = lambda split: [5]": "[0] has <class 'int'>; an example is a dict of arrays",
    "f = lambda split: [{'picture': 1}]": "has the keys ['picture']; an example is a dict",
    "f = lambda split: [dict(image=1, label=2)]": "its image is int; expected uint8 [height",
    f"f = lambda split: [dict({GOOD.replace('np.uint8', 'float')})]": "its image is float64 [2, 3,",
    f"f = lambda split: [dict({GOOD.replace('3, 3', '3')})]": "its image is uint8 [2, 3]; expected",
    f"f = lambda split: [dict({GOOD.replace('(2, 3), int', '(2, 3)')})]": "its label is float64",
    f"f = lambda split: [dict({GOOD.replace('(2, 3), int', '(2, 3, 1), int')})]": "int64 [2, 3, 1]",
    f"f = lambda split: [dict({GOOD.replace('(2, 3), int', '(3, 2), int')})]": "is 3 x 2 (height",
    f"f = lambda split: [dict({GOOD.replace('(2, 3), int', '(2, 3), int') + ' + 3'})]": "labels 3",
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.items())
def test_what_is_no_source_is_named(tmp_path, monkeypatch, text, sentence):
    spec = write_module(tmp_path, monkeypatch, "mistaken", text)
    tree = tmp_path / "tree.yaml"
    tree.write_text("names: [background, cat, dog]\nhierarchy: [cat, dog]\n")

    def read():
        open_split(spec, "train", 32, {}, tree_file=str(tree))[0]

    said = sentence_of(read)
    assert sentence in said
    assert said.startswith("mistaken:f")


def test_trees_that_are_none_are_named(tmp_path, monkeypatch):
    text = f"class Of(list):\n    tree = TREE\nf = lambda split: Of([dict({GOOD})])"
    for tree, sentence in (
        ("[1, 2]", "its tree is list; expected a mapping with the keys of a data.yaml"),
        ("{}", "the key hierarchy is missing"),
        ("{'name': ['a', 'b']}", "the key 'name' is unknown; did you mean names?"),
        ("{'train': 'a'}", "the key 'train' is unknown"),
        ("{'names': 'ab'}", "names: expected a list of class names"),
        ("{'names': ['a', 'b', 'b']}", "mistaken_tree:f: "),
    ):
        spec = write_module(
            tmp_path, monkeypatch, "mistaken_tree", text.replace("TREE", tree) + f" # {tree}"
        )
        assert sentence in sentence_of(load_hierarchy, spec)
    spec = write_module(
        tmp_path, monkeypatch, "flat", text.replace("TREE", "{'names': ('background', 'b', 'c')}")
    )
    assert [level.name for level in load_hierarchy(spec).levels] == ["class"]


def test_modules_that_are_not_there_are_named_and_their_own_faults_are_not_hidden(
    tmp_path, monkeypatch
):
    said = sentence_of(load_hierarchy, "no_such_module.here:f")
    assert "names the module no_such_module.here, which is not on Python's path" in said
    assert "PYTHONPATH=FOLDER" in said
    spec = write_module(tmp_path, monkeypatch, "faulty", "import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_hierarchy(spec)


def test_an_inventory_tells_of_changed_data(tmp_path, monkeypatch):
    text = (
        "class Of(list):\n    tree = {'names': ['background', 'b']}\n    names = ['one']\n"
        "    def inventory(self):\n        return ENTRIES\n"
        f"f = lambda split: Of([dict({GOOD})])"
    )

    def found(name, entries):
        changed = text.replace("ENTRIES", entries)
        spec = write_module(tmp_path, monkeypatch, name, changed)
        source = open_split(spec, "train", 32, {})
        assert source.names == ("one",)
        return take_inventories(source, source)["train"].fingerprint

    assert found("first", "[('a', 3), ('b', np.int64(4))]")["bytes"] == 7
    assert found("second", "[('a', 3), ('b', 4)]") == found("third", "iter([('a', 3), ('b', 4)])")
    assert found("fourth", "[('a', 3), ('b', 5)]") != found("second", "[('a', 3), ('b', 4)]")
    assert "inventory() gives 'abc'; expected (name, size" in sentence_of(found, "fifth", "['abc']")
    bare = "f = lambda split: None if split == 'test' else Of([dict(" + GOOD + ")])"
    head = "class Of(list):\n    tree = {'names': ['background', 'b']}\n"
    one, other = (
        open_split(write_module(tmp_path, monkeypatch, name, head + bare), "train", 32, {})
        for name in ("one_module", "other_module")
    )
    assert list(one.inventory()) == [("one_module:f('train')", 0)] != list(other.inventory())


def test_what_raises_an_os_error_can_be_skipped(tmp_path, monkeypatch, capsys):
    text = (
        "class Of:\n    tree = {'names': ['background', 'b']}\n"
        "    def __len__(self):\n        return 2\n"
        "    def __getitem__(self, index):\n"
        "        if index == 0:\n            raise OSError('the row has gone')\n"
        f"        return dict({GOOD})\n"
        "f = lambda split: Of()"
    )
    spec = write_module(tmp_path, monkeypatch, "gone", text)
    source = SkippingSource(open_split(spec, "train", 32, {}), replace=True)
    assert source[0]["image"].shape == (2, 3, 3)
    assert "skipped, the row has gone" in capsys.readouterr().err


def test_a_checkpoint_calls_no_function():
    data = small_settings(data__spec=["figures", "2*shutil:rmtree"]).data
    said = sentence_of(spec_of_checkpoint, data, "The checkpoint x")
    assert "give --data='figures + 2*shutil:rmtree'" in said
    for spec in ("figures", "a.yaml", "tfds:pets", "gs://bucket/a.yaml", "a/b:c", "a b:c", ":f"):
        assert not names_code(spec)
    assert not names_code("")


def test_a_file_comes_before_a_function_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Member("a.b:c").kind is Kind.OWN
    (tmp_path / "a.b:c").write_text("names: [a, b]\nhierarchy: [b]\n")
    assert Member("a.b:c").kind is Kind.FILE


def test_the_inspection_refuses_a_source_in_one_sentence(folder, tmp_path):
    script = ROOT / "launch" / "inspect_data.py"
    command = [sys.executable, script, f"--data={SPEC}", f"--output={tmp_path / 'out'}"]
    done = run(command, PYTHONPATH=f"{ROOT}:{folder}")
    assert done.returncode == 1
    assert f"error: {SPEC} has no files to look at; leave it out of --data." in done.stderr
    assert not (tmp_path / "out").exists()

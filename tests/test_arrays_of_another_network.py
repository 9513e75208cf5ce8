"""A checkpoint with right hashes and wrong arrays ends in a sentence wherever it is read."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax import traverse_util

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.checkpoint import CheckpointWriter, load_checkpoint, save_checkpoint
from hierseg_jax.checkpoint.arrays import check_arrays, described, differences
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.pytorch.convert import convert_to_torch
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.loop import set_up
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.runs import small_settings, train_here

KERNEL = ("params", "decoder", "output_conv", "kernel")


def other_shape(flat):
    flat[KERNEL] = flat[KERNEL][:, :, :5]


def other_dtype(flat):
    flat[KERNEL] = flat[KERNEL].astype(np.float16)


def missing(flat):
    del flat[KERNEL]


def too_many(flat):
    flat[*KERNEL[:-1], "more"] = np.zeros(2, np.float32)


CHANGES = {
    other_shape: r"kernel is float32 \(2, 2, 5, 16\), expected float32 \(2, 2, 7, 16\)\.",
    other_dtype: r"output_conv/kernel is float16 .*, expected float32 \(2, 2, 7, 16\)\.",
    missing: r"output_conv/kernel is missing, expected float32 \(2, 2, 7, 16\)\.",
    too_many: r"output_conv/more is float32 \(2,\), expected none\.",
}


def changed(variables, change):
    flat = traverse_util.flatten_dict(variables)
    change(flat)
    return traverse_util.unflatten_dict(flat)


@pytest.fixture(scope="module")
def variables():
    model = create_model("esnet_mini", PASCAL_PERSON_PART.num_classes)
    return init_variables(model, jax.random.key(0))


def write(folder, variables):
    config = json.loads(json.dumps(small_settings().to_dict()))
    meta = {"config": config, "hierarchy": PASCAL_PERSON_PART.to_json()}
    save_checkpoint(folder, variables, meta | {"step": 0, "epoch": None, "val_loss": None})
    return str(folder)


READERS = {
    "evaluate": lambda folder, out: evaluate_checkpoint(folder, task="val"),
    "export": lambda folder, out: export_checkpoint(folder, str(out / "a.onnx")),
    "convert": lambda folder, out: convert_to_torch(folder, out / "a.safetensors"),
    "init": lambda folder, out: set_up(small_settings(init=folder), out / "run"),
    "pretrained": lambda folder, out: set_up(small_settings(model__pretrained=folder), out / "run"),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_names_the_checkpoint_what_it_found_and_what_it_expected(
    variables, tmp_path, reader
):
    for number, (change, sentence) in enumerate(CHANGES.items()):
        folder = write(tmp_path / str(number), changed(variables, change))
        with pytest.raises(HiersegError, match=sentence) as error:
            READERS[reader](folder, tmp_path)
        assert f"The checkpoint {folder} does not hold the arrays of esnet" in str(error.value)
        assert "\n" not in str(error.value)


def test_variables_that_are_no_dict_of_dicts_are_told_too(tmp_path):
    folder = write(tmp_path / "list", {"params": [np.zeros(3, np.float32)]})
    with pytest.raises(HiersegError, match=r"mean is missing, expected float32 .* and 1.. more"):
        evaluate_checkpoint(folder, task="val")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("begun") / "run"
    train_here(workdir, epochs=1)
    return workdir


def rewrite(workdir, change_variables, change_training):
    """The run's checkpoint with other arrays, under right hashes."""
    folder = workdir / "checkpoints" / "4"
    state = set_up(small_settings(epochs=1), workdir).initial_state()
    loaded = load_checkpoint(folder, jax.tree.map(np.asarray, state.training))
    meta = {key: value for key, value in loaded.meta.items() if key != "sha256"}
    shutil.rmtree(folder)
    with CheckpointWriter(workdir, keep_last=1, keep_best=1, keep_every=None) as writer:
        variables, training = change_variables(loaded.variables), dict(loaded.training)
        change_training(training)
        writer.save(4, variables, training, json.loads(json.dumps(meta)), meta["score"])


def as_it_is(tree):
    return tree


def shorter_key(training):
    training["key"] = training["key"][:1]


def no_optimizer(training):
    del training["opt_state"]


@pytest.mark.parametrize(
    ("change_variables", "change_training", "sentence"),
    [
        (lambda v: changed(v, other_shape), as_it_is, CHANGES[other_shape]),
        (as_it_is, shorter_key, r"training state: key is uint32 \(1,\), expected uint32 \(2,\)\."),
        (as_it_is, no_optimizer, r"training state: opt_state/.* is missing, expected "),
    ],
)
def test_a_run_is_not_continued_on_arrays_of_another(
    begun, tmp_path, change_variables, change_training, sentence
):
    shutil.copytree(begun, tmp_path / "run")
    rewrite(tmp_path / "run", change_variables, change_training)
    with pytest.raises(HiersegError, match=sentence) as error:
        train_here(tmp_path / "run")
    assert f"{tmp_path / 'run' / 'checkpoints' / '4'} does not hold" in str(error.value)
    assert "\n" not in str(error.value)


def test_trees_of_one_description_do_not_differ(tmp_path):
    tree = {"params": {"a": np.zeros((2, 3), np.float32), "b": [np.int32(1)]}}
    assert described(tree) == {"params/a": "float32 (2, 3)", "params/b/0": "int32 ()"}
    assert differences(described(tree), described(tree)) == ""
    many = described({"params": {str(i): np.zeros(1) for i in range(5)}})
    assert differences({}, many).endswith("expected float32 (1,) and 2 more")
    head = {"params": tree["params"] | {"embedding": {"kernel": np.zeros(1)}}}
    check_arrays(tmp_path, "a network", head, tree)  # only training has it
    with pytest.raises(HiersegError, match="embedding/kernel is missing"):
        check_arrays(tmp_path, "a network", tree, head)

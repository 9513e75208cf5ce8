"""Files that PyTorch itself has written; skipped where it is not installed."""

import argparse
import builtins
import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from hierseg_jax.checkpoint import load_checkpoint
from hierseg_jax.pytorch.convert import convert_to_checkpoint, convert_to_torch
from hierseg_jax.pytorch.files import read_torch_file
from hierseg_jax.settings import Settings
from tests.reference_weights import load_golden, reference_state_dict
from tests.test_torch_files import mistake

# PyTorch is an extra of 200 MB and more, which the tests of a plain install do without.
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

WEIGHT = torch.tensor([[0.1, -0.0], [3e-45, 2.0]])


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def save(request, tmp_path):
    """Saves in one of PyTorch's two formats."""

    def write(content):
        file = tmp_path / "weights.pt"
        torch.save(content, file, _use_new_zipfile_serialization=request.param)
        return file

    return write


@pytest.mark.parametrize("key", ["", "state_dict", "model", "model_state_dict", "net", "other"])
def test_state_dicts_are_found_bare_and_under_a_key(save, key):
    optimizer = {"state": {0: {"exp_avg": WEIGHT}}, "param_groups": [{"lr": 1e-3}]}
    state_dict = {"a.weight": torch.nn.Parameter(WEIGHT), "a.count": torch.tensor(3)}
    whole = {"epoch": 3, "optimizer": optimizer, key: state_dict} if key else state_dict
    content = read_torch_file(save(whole))
    assert content.key == key
    assert content.arrays["a.weight"].tobytes() == WEIGHT.numpy().tobytes()
    assert content.arrays["a.count"] == 3


def test_the_likelier_of_two_state_dicts_is_taken(save):
    two = {"ema": {"a": WEIGHT}, "model": {"a": WEIGHT + 1}}
    assert read_torch_file(save(two)).key == "model"
    two["average"] = two.pop("model")
    assert "2 state_dicts, under the keys ema, average" in mistake(save(two))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats_keep_their_dtype(save, dtype):
    array = read_torch_file(save({"a": WEIGHT.to(getattr(torch, dtype))})).arrays["a"]
    assert array.dtype == jnp.dtype(dtype)
    np.testing.assert_array_equal(
        array.astype(np.float64), WEIGHT.to(getattr(torch, dtype)).double()
    )


class Calls:
    """Unpickled with no care, it calls a function."""

    def __init__(self, function, argument):
        self.call = (function, (argument,))

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, builtins.exec], ids=["system", "exec"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(save, tmp_path, function):
    code = {os.system: f"touch {tmp_path}/ran", exec: f"open('{tmp_path}/ran', 'w')"}[function]
    file = save({"weight": WEIGHT, "more": Calls(function, code)})
    assert "could run any code" in mistake(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "content",
    [torch.nn.Conv2d(1, 1, 1), {"args": argparse.Namespace(lr=1), "model": {"a": WEIGHT}}],
    ids=["module", "namespace"],
)
def test_whole_modules_and_other_objects_ask_for_a_state_dict(save, content):
    assert "torch.save(model.state_dict(), NEW_FILE)" in mistake(save(content))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (lambda: WEIGHT.to_sparse(), "the tensor a is sparse"),
        (lambda: WEIGHT.to_sparse_csr(), "the tensor a is sparse"),
        (lambda: WEIGHT.to(torch.complex64), "the tensor a is of dtype complex64"),
        (
            lambda: torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.quint8),
            "the tensor a is quantised (quint8)",
        ),
        (lambda: WEIGHT.to("meta"), "the tensor a is without data"),
    ],
    ids=["sparse", "csr", "complex", "quantised", "meta"],
)
def test_tensors_that_are_no_weights_are_named(save, value, sentence):
    assert sentence in mistake(save({"a": value()}))


def test_float8_is_named(tmp_path):
    torch.save({"a": WEIGHT.to(torch.float8_e4m3fn)}, tmp_path / "weights.pt")
    assert "the tensor a is of dtype float8_e4m3fn" in mistake(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "holds no state_dict"),
        ({"epoch": 3, "loss": 0.5}, "holds no state_dict"),
        ([WEIGHT], "holds a list, not a state_dict"),
        (WEIGHT, "holds a Tensor, not a state_dict"),
    ],
    ids=["empty", "no tensors", "list", "tensor"],
)
def test_files_without_a_state_dict_are_named(save, content, sentence):
    assert sentence in mistake(save(content))


@pytest.mark.parametrize("part", [0.01, 0.5, 0.9, 0.99])
def test_cut_files_are_named(save, part):
    file = save({"a": WEIGHT.repeat(50, 50)})
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * part)])
    assert "cut off" in mistake(file)


def test_plain_pickles_are_named(tmp_path):
    file = tmp_path / "weights.pt"
    for protocol in (2, 4):
        file.write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
        assert "can't be read as a PyTorch checkpoint" in mistake(file)


@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_a_reference_checkpoint_converts_and_goes_back_bit_for_bit(save, tmp_path, name):
    _, meta = load_golden(f"{name}_forward_n7")
    state_dict = reference_state_dict(meta)
    tensors = {f"module.{key}": torch.from_numpy(value) for key, value in state_dict.items()}
    file = save({"epoch": 4, "state_dict": tensors})
    said = convert_to_checkpoint(file, tmp_path / "net", Settings())
    assert "(under the key 'state_dict') holds" in said[0]
    convert_to_torch(tmp_path / "net", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == state_dict.keys()
    for key, value in state_dict.items():
        assert back[key].tobytes() == value.tobytes(), key


def test_half_precision_converts_to_float32_and_says_so(save, tmp_path):
    _, meta = load_golden("esnet_forward_n4")
    halves = {
        key: torch.from_numpy(value).bfloat16() if value.dtype == np.float32 else torch.tensor(0)
        for key, value in reference_state_dict(meta).items()
    }
    said = convert_to_checkpoint(save(halves), tmp_path / "net", Settings(), num_classes=4)
    assert "Of the tensors, 250 were bfloat16 and are float32 now, their values the same." in said
    leaves = jax.tree.leaves(load_checkpoint(tmp_path / "net").variables)
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}

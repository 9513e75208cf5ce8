"""Files of weights that need no PyTorch, and what is said of those that are none."""

import json
import os
import pickle
import re
import struct
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hierseg_jax.pytorch.files import read_torch_file, write_safetensors
from tests.conftest import GOLDEN

ARRAYS = {
    "weight": np.array([[0.1, -0.0], [np.nan, 3e-45]], np.float32),
    "half": np.array([1.5, -2.0], np.float16),
    "brain": np.array([1.5, 3.0], jnp.bfloat16),
    "double": np.array([0.1]),
    "count": np.array(3, np.int64),
}


def mistake(file):
    with pytest.raises((ValueError, OSError)) as error:
        read_torch_file(file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_safetensors_come_back_bit_for_bit_with_their_header(tmp_path):
    file = tmp_path / "made" / "weights.safetensors"
    write_safetensors(file, ARRAYS, {"model": "esnet"})
    content = read_torch_file(file)
    assert content.metadata == {"model": "esnet"}
    assert content.key == ""
    assert content.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert content.arrays[name].dtype == array.dtype
        assert content.arrays[name].shape == array.shape
        assert content.arrays[name].tobytes() == array.tobytes()
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_safetensors_file_is_known_by_its_content(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(safetensors.numpy.save({"a": np.ones(2, np.float32)}))
    np.testing.assert_array_equal(read_torch_file(file).arrays["a"], [1, 1])


def test_what_exists_is_not_overwritten_and_only_safetensors_are_written(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_text("mine")
    with pytest.raises(ValueError, match="exists and is not overwritten"):
        write_safetensors(file, ARRAYS, {})
    assert file.read_text() == "mine"
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        write_safetensors(tmp_path / "weights.pt", ARRAYS, {})
    with pytest.raises(OSError, match="can't be made: "):
        write_safetensors(file / "below.safetensors", ARRAYS, {})


def header(content, data=b""):
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, size):
    return header({"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, size]}}, b"\0" * size)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"accuracy,loss\n0.5,0.3\n", "neither a PyTorch checkpoint nor a safetensors file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "neither a PyTorch checkpoint nor a safetensors file"),
        (struct.pack("<Q", 400) + b'{"a":', "is no whole safetensors file"),
        (header({"a": {"dtype": "F32", "shape": [2]}}), "is no whole safetensors file"),
        (tensor("F32", 8)[:-1], "is no whole safetensors file"),
        (struct.pack("<Q", 2**60) + b"{", "is no whole safetensors file"),
        (tensor("C64", 16), "the tensor a is of dtype C64"),
        (tensor("F8_E4M3", 2), "the tensor a is of dtype F8_E4M3"),
        (b"PK\x03\x04 and the rest is lost", "is cut off or damaged"),
    ],
)
def test_files_of_other_kinds_and_damaged_ones_are_named(tmp_path, content, sentence):
    file = tmp_path / "weights"
    file.write_bytes(content)
    assert sentence in mistake(file)


def test_text_named_safetensors_missing_files_and_folders_are_named(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "is no whole safetensors file" in mistake(file)
    assert "is a folder" in mistake(tmp_path)
    assert "does not exist" in mistake(tmp_path / "none.pt")


def archive(file, *names):
    with zipfile.ZipFile(file, "w") as content:
        for name in names:
            content.writestr(name, "x")
    return file


def test_other_zip_archives_are_named(tmp_path):
    photos = archive(tmp_path / "photos.zip", "a/1.jpg", "2.jpg")
    assert "a zip archive, but no PyTorch checkpoint" in mistake(photos)
    program = archive(tmp_path / "net.pt", "net/data.pkl", "net/constants.pkl", "net/code/a.py")
    assert "is a TorchScript program, which is not run" in mistake(program)


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_without_pytorch_plain_files_are_read_to_the_bit(no_torch, kind):
    content = read_torch_file(GOLDEN / f"tensors_{kind}.pt")
    base = np.arange(6, dtype=np.float32) / np.float32(7)
    expected = {
        "a.weight": base.reshape(2, 3),
        "a.turned": base.reshape(2, 3).T,
        "a.part": base[2:5],
        "a.half": np.array([1.5, -2.0], np.float16),
        "a.brain": np.array([1.5, 3.0], jnp.bfloat16),
        "a.double": np.array([0.1]),
        "a.num_batches_tracked": np.array(3, np.int64),
        "a.empty": np.zeros((0, 4), np.float32),
    }
    assert content.key == "state_dict"
    assert content.arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert content.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(content.arrays[name], array)


class Calls:
    """Unpickled with no care, it calls a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_without_pytorch_too_no_code_is_run(no_torch, tmp_path, legacy):
    for function, argument in ((os.system, f"touch {tmp_path}/ran"), (eval, "1/0")):
        pickled = pickle.dumps({"a": Calls(function, argument)}, protocol=2)
        file = tmp_path / "weights.pt"
        if legacy:
            file.write_bytes(pickled)
        else:
            with zipfile.ZipFile(file, "w") as content:
                content.writestr("net/data.pkl", pickled)
        sentence = rf"\(\w+\.{function.__name__}\), and loading these could run any code"
        assert re.search(sentence, mistake(file))
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_numpy_s_numbers_beside_the_weights_are_passed_over(no_torch, kind):
    content = read_torch_file(GOLDEN / f"numpy_beside_{kind}.pt")
    assert content.key == "model"
    np.testing.assert_array_equal(
        content.arrays["a.weight"], np.arange(6, dtype=np.float32).reshape(2, 3) / np.float32(7)
    )


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_without_pytorch_damaged_files_are_named(no_torch, tmp_path, data):
    kind = data.draw(st.sampled_from(["zip", "legacy"]))
    content = bytearray((GOLDEN / f"tensors_{kind}.pt").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(1, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    sentence = ""
    try:
        read_torch_file(file)
    except ValueError as error:
        sentence = str(error)
    assert not sentence or sentence.startswith(str(file))
    assert "\n" not in sentence


def test_without_pytorch_its_other_files_say_how_to_install_it(no_torch, tmp_path):
    legacy = tmp_path / "legacy.pt"
    legacy.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    for file in (legacy, archive(tmp_path / "new.pt", "new/data.pkl")):
        assert "pip install '.[torch]' in the project's folder" in mistake(file)
    safe = tmp_path / "a.safetensors"
    write_safetensors(safe, ARRAYS, {})
    assert len(read_torch_file(safe).arrays) == len(ARRAYS)


@pytest.mark.parametrize("length", [0x80, 0x0180, 0x4B50])
def test_a_safetensors_file_is_known_whatever_its_header_s_length(tmp_path, length):
    """These begin as a pickle and as a zip archive do."""
    header = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    file = tmp_path / "a.safetensors"
    file.write_bytes(length.to_bytes(8, "little") + header + np.float32(3).tobytes())
    np.testing.assert_array_equal(read_torch_file(file).arrays["x"], np.ones(1) * 3)

"""A network keeps the geometry it was trained with on its way to PyTorch and back."""

import pytest
from safetensors import safe_open

from hierseg_jax.checkpoint import load_checkpoint
from hierseg_jax.pytorch.convert import convert_to_torch
from tests.test_convert import convert, golden_file


def geometry(checkpoint):
    config = load_checkpoint(checkpoint).meta["config"]
    return config["data"]["sampling"], config["model"]["upsampling"]


def test_the_header_tells_the_geometry_and_it_is_kept(tmp_path):
    convert(golden_file(tmp_path), tmp_path / "theirs")
    assert geometry(tmp_path / "theirs") == ("reference", "nearest")
    told = {"sampling": "exact", "upsampling": "bilinear"}
    convert(golden_file(tmp_path, metadata=told), tmp_path / "ours")
    assert geometry(tmp_path / "ours") == ("exact", "bilinear")
    file = tmp_path / "back.safetensors"
    convert_to_torch(tmp_path / "ours", file)
    with safe_open(file, framework="np") as content:
        assert told.items() <= content.metadata().items()


@pytest.mark.parametrize("key", ["sampling", "upsampling"])
def test_a_geometry_that_is_not_known_is_named(tmp_path, key):
    file = golden_file(tmp_path, metadata={key: "cubic"})
    with pytest.raises(ValueError, match=rf"esnet\.safetensors has the {key} 'cubic'.*Update"):
        convert(file, tmp_path / "net")
    assert not (tmp_path / "net").exists()

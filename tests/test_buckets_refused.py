"""A place that is named by a URL never becomes a folder of this machine."""

import importlib.util

import pytest

from hierseg_jax.runtime.completion import complete_data_set
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import EXTRAS, as_path, local_path
from tests.runs import train_here


@pytest.mark.parametrize("text", ["gs://bucket/run", "s3://bucket", "az://a/b", "file:///tmp/x"])
def test_no_url_is_taken_for_a_path(text):
    with pytest.raises(HiersegError, match=text):
        local_path(text)


@pytest.mark.parametrize("text", ["runs/a", "/tmp/a:b", "gs:", "gs:/bucket", "a b+c//d"])
def test_paths_are_what_they_were(text, tmp_path):
    assert str(local_path(text)) == text.replace("//", "/")
    assert local_path(tmp_path) == tmp_path


@pytest.mark.parametrize("text", ["az://bucket/run", "s3://", "gs:///x", "s3://bucket/../other"])
def test_nothing_is_made_for_a_run_elsewhere(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HiersegError, match=text):
        train_here(text)
    assert not list(tmp_path.iterdir())


def test_data_that_are_to_be_linked_are_here(tmp_path):
    (tmp_path / "data.yaml").write_text("path: s3://bucket/x\nnames: [a, b]\ntrain: images\n")
    with pytest.raises(HiersegError, match="s3://bucket/x is"):
        complete_data_set(None, str(tmp_path / "data.yaml"), tmp_path / "out", "train")


@pytest.mark.parametrize("scheme", EXTRAS)
def test_a_bucket_without_its_driver_ends_in_a_sentence(scheme):
    extra, module = EXTRAS[scheme]
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    with pytest.raises(HiersegError, match=rf"pip install '\.\[{extra}\]'"):
        as_path(f"{scheme}://bucket/run")

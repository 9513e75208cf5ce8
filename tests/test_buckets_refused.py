"""A place that is named by a URL never becomes a folder of this machine."""

import pytest

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import local_path
from tests.runs import train_here


@pytest.mark.parametrize("text", ["gs://bucket/run", "s3://bucket", "az://a/b", "file:///tmp/x"])
def test_no_url_is_taken_for_a_path(text):
    with pytest.raises(HiersegError, match=text):
        local_path(text)


@pytest.mark.parametrize("text", ["runs/a", "/tmp/a:b", "gs:", "gs:/bucket", "a b+c//d"])
def test_paths_are_what_they_were(text, tmp_path):
    assert str(local_path(text)) == text.replace("//", "/")
    assert local_path(tmp_path) == tmp_path


def test_nothing_is_made_for_a_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HiersegError, match="az://bucket/run"):
        train_here("az://bucket/run")
    assert not list(tmp_path.iterdir())

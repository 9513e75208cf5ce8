"""Programs for GPUs are compiled with deterministic algorithms, where nobody asks otherwise."""

import pytest

from hierseg_jax.system import process
from hierseg_jax.system.process import DETERMINISTIC, may_find_a_gpu, with_default


@pytest.mark.parametrize(
    ("platforms", "found"),
    [("cpu", False), ("tpu,cpu", False), ("cuda", True), ("cuda,cpu", True), ("gpu", True)],
)
def test_a_gpu_may_be_found_where_it_is_looked_for(platforms, found):
    assert may_find_a_gpu(platforms) == found


def test_without_a_word_a_gpu_may_be_found_where_there_is_a_plugin(tmp_path, monkeypatch):
    def plugins(*names):
        for name in names:
            (tmp_path / "jax_plugins" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "jax_plugins" / name / "__init__.py").touch()

    monkeypatch.syspath_prepend(tmp_path)
    plugins("xla_tpu_like")
    assert not may_find_a_gpu("")
    plugins("xla_cuda99")
    assert may_find_a_gpu("")


def test_what_flags_say_stays():
    assert with_default("", DETERMINISTIC) == f"{DETERMINISTIC}=true"
    assert with_default("--a=1", DETERMINISTIC) == f"--a=1 {DETERMINISTIC}=true"
    for said in (f"{DETERMINISTIC}=false", f"--a=1 {DETERMINISTIC}=true"):
        assert with_default(said, DETERMINISTIC) == said


@pytest.mark.parametrize("platforms", ["cpu", "cuda"])
def test_a_process_sets_them_for_gpus_alone(platforms, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setenv("XLA_FLAGS", "--a=1")
    for name in ("share_heaps", "keep_large_blocks"):
        monkeypatch.setattr(process, name, lambda: None)
    monkeypatch.setattr(process.gc, "freeze", lambda: None)
    process.set_up_process()
    assert (DETERMINISTIC in process.os.environ["XLA_FLAGS"]) == (platforms == "cuda")


def test_compiled_programs_are_kept_where_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setenv("HIERSEG_JAX_CACHE", str(tmp_path))
    assert process._folder_with_room() == str(tmp_path / "jax")
    monkeypatch.setattr(process, "ROOM", 1 << 62)
    assert process._folder_with_room() is None
    (tmp_path / "file").touch()
    monkeypatch.setenv("HIERSEG_JAX_CACHE", str(tmp_path / "file" / "cache"))
    assert process._folder_with_room() is None

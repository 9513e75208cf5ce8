"""A training step that was compiled before is loaded, not traced."""

import pickle
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from hierseg_jax.models import create_model
from hierseg_jax.models.initialize import _traced_shapes, variable_shapes
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.many_arrays import apply_updates
from hierseg_jax.system.devices import kept as kept_files
from hierseg_jax.system.kept_bytes import read_kept, write_kept
from hierseg_jax.train import kept_step
from hierseg_jax.train.kept_step import is_of_package, keep
from tests.tiny_network import TinyNet


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HIERSEG_JAX_CACHE", str(tmp_path))
    changed = {
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_compilation_cache_dir": str(tmp_path / "jax"),  # empty, and so JAX finds nothing
    }
    before = {name: jax.config.values[name] for name in changed}
    for name, value in changed.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield tmp_path / "programs"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def programs(cache):
    """Files of programs; beside them is one that tells which of them came first."""
    return [file for file in cache.iterdir() if file.suffix != ".first"]


class Counted:
    """A step, and how often it was traced; with a kernel's call where there are kernels."""

    def __init__(self, rate=1.0):
        self.rate, self.traced = rate, 0

    def __call__(self, state, batch):
        self.traced += 1
        after = apply_updates(state, [batch["x"] * self.rate, batch["x"]])
        return after, {"loss": after[0].sum()}


def run(step, words="words", length=3, steps=2):
    """After some steps, as a process does them that begins with `step`."""
    kept = keep(jax.jit(step, donate_argnums=0), [words])
    state = [jnp.arange(length, dtype=jnp.float32), jnp.ones(length)]
    for _ in range(steps):
        before = state
        state, metrics = kept(before, {"x": np.full(length, 0.3, np.float32)})
        assert all(array.is_deleted() for array in before)  # given up to the next state
    return np.stack(state), float(metrics["loss"])


def test_a_second_process_traces_nothing_and_computes_the_same(cache):
    first, second = Counted(), Counted()
    before = run(first)
    assert (first.traced, len(programs(cache))) == (1, 1)
    after = run(second)
    assert second.traced == 0
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]


def test_the_program_that_a_process_begins_with_is_loaded_before_its_first_step(cache, monkeypatch):
    expected = run(Counted())
    (file,) = programs(cache)
    step, load, loaded = Counted(), kept_step._load, threading.Event()

    def tells(file):
        try:
            return load(file)
        finally:
            loaded.set()

    monkeypatch.setattr(kept_step, "_load", tells)
    kept = keep(jax.jit(step, donate_argnums=0), ["words"])
    assert loaded.wait(60)
    file.unlink()  # nobody looks for it any more
    monkeypatch.setattr(kept_step, "_load", lambda file: pytest.fail(f"loads {file} once more"))
    state = [jnp.arange(3, dtype=jnp.float32), jnp.ones(3)]
    for _ in range(2):
        state, metrics = kept(state, {"x": np.full(3, 0.3, np.float32)})
    assert step.traced == 0
    np.testing.assert_array_equal(np.stack(state), expected[0])
    assert float(metrics["loss"]) == expected[1]


@pytest.mark.parametrize("told", [b"nobody 0", b"../../etc/passwd 0", b"no words", b"a b c", b""])
def test_what_is_told_wrongly_of_the_first_program_does_no_harm(cache, told):
    expected = run(Counted())
    (file,) = set(cache.iterdir()) - set(programs(cache))
    write_kept(file, told)
    again = Counted()
    assert run(again)[1] == expected[1]
    assert again.traced == 0


def test_a_step_that_is_not_to_be_loaded_ahead_is_loaded_when_it_is_called(cache):
    run(Counted())
    step = Counted()
    kept = keep(jax.jit(step, donate_argnums=0), ["words"], ahead=False)
    kept([jnp.arange(3, dtype=jnp.float32), jnp.ones(3)], {"x": np.ones(3, np.float32)})
    assert step.traced == 0


def test_a_step_of_other_parts_or_shapes_is_another(cache):
    run(Counted())
    other, longer = Counted(rate=2.0), Counted()
    assert run(other, words="others")[1] != run(Counted())[1]
    run(longer, length=4)
    assert (other.traced, longer.traced) == (1, 1)
    assert len(programs(cache)) == 3


def test_batches_of_several_sizes_have_a_program_each(cache):
    kept = keep(jax.jit(lambda state, batch: (state + batch.sum(), {}), donate_argnums=0), [])
    state = jnp.zeros(())
    for length in (2, 3, 2):
        state, _ = kept(state, np.ones(length, np.float32))
    assert state == 7
    assert len(programs(cache)) == 2


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda _: b""])
def test_a_damaged_file_is_made_anew(cache, damage):
    expected = run(Counted())
    (file,) = programs(cache)
    file.write_bytes(damage(file.read_bytes()))
    again, third = Counted(), Counted()
    assert run(again)[1] == run(third)[1] == expected[1]
    assert (again.traced, third.traced) == (1, 0)


def test_a_step_that_jax_alone_has_kept_is_made_anew_once(cache):
    expected = run(Counted())
    (file,) = programs(cache)
    file.unlink()
    steps = [Counted() for _ in range(3)]
    assert [run(step)[1] for step in steps] == [expected[1]] * 3
    assert [step.traced for step in steps] == [1, 1, 0]


def test_a_whole_file_of_something_else_is_made_anew(cache):
    run(Counted())
    (file,) = programs(cache)
    write_kept(file, b"no program")
    again = Counted()
    run(again)
    assert again.traced == 1


def test_a_step_of_kernels_that_are_not_to_be_had_is_made_anew(cache):
    """Such as those of bfloat16, where a compiler has gone with them."""
    run(Counted())
    (file,) = programs(cache)
    _, *program = pickle.loads(read_kept(file))
    write_kept(file, pickle.dumps(((("convolution.cc", "float16"),), *program)))
    again = Counted()
    run(again)
    assert again.traced == 1


def test_other_code_or_another_environment_is_another_step(cache, monkeypatch):
    run(Counted())
    monkeypatch.setenv("XLA_FLAGS", "--xla_none")
    kept_files._surroundings.cache_clear()
    again = Counted()
    try:
        run(again)
    finally:
        monkeypatch.undo()
        kept_files._surroundings.cache_clear()
    assert again.traced == 1


@pytest.mark.parametrize("flag", ["jax_disable_jit", "jax_debug_nans", "jax_debug_infs"])
def test_nothing_is_kept_where_jax_is_to_look_into_a_step(cache, flag):
    jax.config.update(flag, True)
    try:
        assert kept_files.kept_file(("step",)) is None
    finally:
        jax.config.update(flag, False)
    assert kept_files.kept_file(("step",)) is not None


def test_nothing_is_kept_where_jax_keeps_nothing(cache):
    folder = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        run(Counted())
    finally:
        jax.config.update("jax_compilation_cache_dir", folder)
    assert not cache.exists()


def test_where_the_folder_takes_nothing_steps_are_compiled_as_ever(monkeypatch):
    monkeypatch.setenv("HIERSEG_JAX_CACHE", "/proc/no/folder")
    step = Counted()
    run(step)
    assert step.traced == 1


@pytest.mark.skipif(bool(library.problem()), reason="there are no kernels")
def test_files_of_kernels_are_told_from_a_program():
    text = jax.jit(library.call("hierseg_moments", (1,), (1,))).lower(jnp.ones((1, 2, 2, 1)))
    assert library.files_called(text.as_text()) == (("batch_norm.cc", "float32"),)


def test_shapes_that_are_kept_are_those_that_are_traced(cache):
    model = create_model("esnet_mini", 5)
    traced = variable_shapes(model)
    assert variable_shapes(model, kept=True) == traced
    _traced_shapes.cache_clear()
    assert variable_shapes(model, kept=True) == traced
    assert len(list(cache.iterdir())) == 1


def test_networks_of_users_are_not_kept():
    assert is_of_package(create_model("esnet_mini", 5))
    assert not is_of_package(TinyNet(num_classes=4))

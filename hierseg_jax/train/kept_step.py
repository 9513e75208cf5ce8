"""Compiled training steps that the next process loads without tracing anything.

JAX keeps compiled programs by what they compute, which it knows once they are traced. A training
step takes half a second to trace. Here it is kept by everything that it is made from. Whatever
can't be loaded is traced as ever.
"""

import contextlib
import inspect
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.monitoring
from jax.experimental import serialize_executable

from hierseg_jax.models import SegmentationModel
from hierseg_jax.models.kernels import library
from hierseg_jax.system.devices.kept import PACKAGE, kept_file
from hierseg_jax.system.kept_bytes import read_kept, write_kept
from hierseg_jax.train import first_program

NEW, FOUND = "/jax/compilation_cache/cache_misses", "/jax/compilation_cache/cache_hits"
"""JAX's events: it has compiled a program and kept it, or had it already."""


def keep(
    step: Callable[..., Any], made_of: Sequence[str], ahead: bool = True
) -> Callable[..., Any]:
    """The same function, whose programs the next process finds.

    Nothing is kept where JAX keeps nothing.

    Args:
      step: from `jax.jit` with the first argument donated, for one device.
      made_of: words for all that it computes with beside its arguments and this package's code:
        equal ones are for equal programs.
      ahead: whether to begin at once, beside what this process does until its first step, with
        the program that an earlier process began with.
    """
    programs: dict[Any, Callable[..., Any]] = {}
    kernels = f"kernels: {library.usable()}"
    first = kept_file(("first", *made_of, kernels), ".first")
    begun = first_program.begin(first, _load) if ahead else {}

    def used(program: Callable[..., Any], file: Path, sizes: Any) -> None:
        if not programs:
            first_program.tell(first, file, program)
            begun.clear()
        programs[sizes] = program

    def kept(state: Any, *rest: Any) -> Any:
        # States stay as they are; batches may come in several sizes.
        sizes = _shapes(rest)
        if sizes in programs:
            return programs[sizes](state, *rest)
        file = kept_file(("step", *made_of, kernels, repr(_shapes(state)), repr(sizes)))
        if file is None:
            programs[sizes] = step
            return step(state, *rest)
        program = begun[file].result() if file in begun else _load(file)
        if program is not None:
            result = None
            with contextlib.suppress(TypeError, ValueError):  # of arguments that it isn't for
                result = program(state, *rest)
            if result is not None:
                used(program, file, sizes)
                return result
        lowered = _named(step, file).lower(state, *rest)
        with _watched() as events:
            program = lowered.compile()
        result = program(state, *rest)
        # While it computes.
        used(program, file, sizes)
        if events == {NEW}:
            _store(program, library.files_called(lowered.as_text()), file)
        elif events == {FOUND}:
            write_kept(file, b"")  # the next process is to compile it anew, and store it
        return result

    return kept


def _named(step: Callable[..., Any], file: Path) -> Any:
    """The step, which JAX may have kept; where it had, under a name that it has no program of.

    What it has loaded can't be stored. Then there is an empty file, whose time is in the name.
    """
    if not file.exists():
        return step
    plain = inspect.unwrap(step)

    def named(state: Any, *rest: Any) -> Any:
        return plain(state, *rest)

    named.__name__ = f"step_{file.name}_{file.stat().st_mtime_ns}"
    return jax.jit(named, donate_argnums=0)


def is_of_package(model: SegmentationModel) -> bool:
    """Whether the network's code is this package's, whose changes are noticed."""
    return type(model).__module__.startswith(f"{PACKAGE.name}.")


def _shapes(tree: Any) -> Any:
    """What a program depends on of its arguments; may be hashed."""
    leaves, structure = jax.tree.flatten(tree)
    shapes = ((x.shape, x.dtype.name, getattr(x, "weak_type", False)) for x in leaves)
    return (structure, *shapes)


@contextlib.contextmanager
def _watched() -> Iterator[set[str]]:
    """Which of JAX's events there are meanwhile."""
    events: set[str] = set()

    def listen(event: str, **_: Any) -> None:
        if event in (NEW, FOUND):
            events.add(event)

    jax.monitoring.register_event_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_listener(listen)


def _load(file: Path) -> Callable[..., Any] | None:
    content = read_kept(file)
    if not content:
        return None
    with contextlib.suppress(Exception):  # whatever is wrong with it: it is made anew
        kernels, *program = pickle.loads(content)  # noqa: S301
        # Calls of kernels that nobody compiles would wait for ever.
        for source, storage in kernels:
            if library.problem(storage):
                return None
            library.start(source, storage)
        return serialize_executable.deserialize_and_load(*program)
    return None


def _store(program: Any, kernels: Sequence[tuple[str, str]], file: Path) -> None:
    with contextlib.suppress(Exception):  # of devices whose programs can't be stored
        write_kept(file, pickle.dumps((kernels, *serialize_executable.serialize(program))))

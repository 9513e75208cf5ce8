"""Compiled training steps that the next process loads without tracing anything.

JAX keeps compiled programs by what they compute, which it knows once they are traced. A training
step takes half a second to trace. Here it is kept by everything that it is made from. Whatever
can't be loaded is traced as ever.
"""

import contextlib
import functools
import hashlib
import itertools
import os
import pickle
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.monitoring
from jax.experimental import serialize_executable

from hierseg_jax.models.kernels import library
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.cache_folder import cache_folder
from hierseg_jax.system.compiler import describe_machine
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.kernel_sources import FLAGS_VARIABLE

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "ml_dtypes")
"""Whose code is traced, or traces."""
VARIABLES = ("XLA_FLAGS", "NPROC", "LIBTPU_INIT_ARGS", "CXX", FLAGS_VARIABLE)
NEW, FOUND = "/jax/compilation_cache/cache_misses", "/jax/compilation_cache/cache_hits"
"""JAX's events: it has compiled a program and kept it, or had it already."""


def keep(step: Callable[..., Any], made_of: Sequence[str]) -> Callable[..., Any]:
    """The same function, whose programs the next process finds.

    Nothing is kept where JAX keeps nothing, or had the program kept before: what it has loaded
    can't be stored once more.

    Args:
      step: from `jax.jit`, for one device.
      made_of: words for all that it computes with beside its arguments and this package's code:
        equal ones are for equal programs.
    """
    programs: dict[Any, Callable[..., Any]] = {}

    def kept(state: Any, *rest: Any) -> Any:
        # States stay as they are; batches may come in several sizes.
        sizes = _shapes(rest)
        if sizes in programs:
            return programs[sizes](state, *rest)
        file = _file((*made_of, repr(_shapes(state)), repr(sizes)))
        program = _load(file)
        if program is not None:
            with contextlib.suppress(TypeError, ValueError):  # of arguments that it isn't for
                result = program(state, *rest)
                programs[sizes] = program
                return result
        if file is None:
            programs[sizes] = step
            return step(state, *rest)
        lowered = step.lower(state, *rest)  # type: ignore[attr-defined]
        with _watched() as events:
            programs[sizes] = program = lowered.compile()
        result = program(state, *rest)
        if events == {NEW}:
            _store(program, library.files_called(lowered.as_text()), file)  # while it computes
        return result

    return kept


def _shapes(tree: Any) -> Any:
    """What a program depends on of its arguments; may be hashed."""
    leaves, structure = jax.tree.flatten(tree)
    shapes = ((x.shape, x.dtype.name, getattr(x, "weak_type", False)) for x in leaves)
    return (structure, *shapes)


def _file(made_of: Sequence[str]) -> Path | None:
    """Where a program is kept; None where none is."""
    if not jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return None
    key = hashlib.sha256("\n".join([*made_of, *_surroundings()]).encode()).hexdigest()
    with contextlib.suppress(OSError):
        return cache_folder() / "programs" / key[:32]
    return None


@functools.cache
def _surroundings() -> tuple[str, ...]:
    """Of the code, its interpreter, the machine and the environment."""
    digest = hashlib.sha256()
    for file in sorted(
        itertools.chain.from_iterable(PACKAGE.rglob(f"*.{end}") for end in ("py", "cc", "h"))
    ):
        digest.update(f"{file.relative_to(PACKAGE)} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    settings = {
        name: value for name, value in jax.config.values.items() if "compilation_cache" not in name
    }
    return (
        digest.hexdigest(),
        sys.version,
        platform.platform(),
        *(f"{name} {_version(name)}" for name in PACKAGES),
        *(f"{name}={os.environ.get(name)}" for name in VARIABLES),
        *(f"{name}={value}" for name, value in sorted(settings.items())),
        *(f"{device.id} {device.platform} {device.device_kind}" for device in jax.devices()),
        f"{available_cores()} cores",
        f"kernels: {library.usable()}",
        *describe_machine(),
    )


def _version(package: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(package)
    return ""


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


def _load(file: Path | None) -> Callable[..., Any] | None:
    """What is there, whole and this user's own; else None."""
    if file is None:
        return None
    # Whatever is wrong with it: it is made anew.
    with contextlib.suppress(Exception):
        if hasattr(os, "getuid") and file.stat().st_uid != os.getuid():
            return None
        content = file.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            kernels, *program = pickle.loads(content[32:])  # noqa: S301
            # Calls of kernels that nobody compiles would wait for ever.
            for kernel in kernels:
                library.start(kernel)
            return serialize_executable.deserialize_and_load(*program)
    return None


def _store(program: Any, kernels: Sequence[str], file: Path) -> None:
    """Where it can't be kept, the next process traces it, too."""
    with contextlib.suppress(Exception):
        content = pickle.dumps((kernels, *serialize_executable.serialize(program)))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, hashlib.sha256(content).digest() + content)

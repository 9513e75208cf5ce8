"""What the kernels for CPUs are compiled from and with, before JAX is imported, too.

The kernels lie with the networks that call them (`models/kernels/`), whose import takes most of a
second. Compiling them begins before that.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hierseg_jax.system.compiler import compiled_library

SOURCES = Path(__file__).parents[1] / "models" / "kernels"
BINDINGS = "bindings.cc"
OF_ALL_NETWORKS = ("convolution.cc", "batch_norm.cc")
"""Of the kernels that take seconds to compile those that every network calls."""
OF_BFLOAT16 = {"convolution.cc": "convolution_bfloat16.cc"}
"""Files of which bfloat16 has others; the rest are compiled once more for it."""
FLOAT32, BFLOAT16 = "float32", "bfloat16"
STORAGES = (FLOAT32, BFLOAT16)
"""What activations may be stored as; a library of kernels is for one of them."""
LARGE_BLOCKS = (Path(__file__).parent / "memory", {"large_blocks.cc": ("-O2",)})
FLAGS_VARIABLE = "HIERSEG_JAX_KERNEL_FLAGS"
FAST = "-O3 -march=native"


def words(fast: str) -> tuple[str, ...]:
    """Flags for the compiler.

    Raises:
      OSError: in a phrase, for flags that are no words of a shell.
    """
    try:
        return tuple(shlex.split(fast))
    except ValueError as error:
        raise OSError(f"${FLAGS_VARIABLE} is {fast!r}: {error}") from None


def flags_of(file: str, storage: str = FLOAT32) -> dict[str, tuple[str, ...]]:
    """The compiler's flags for a file of kernels, by the file's name for that storage.

    Raises:
      OSError: in a phrase, for flags that are no words of a shell.
    """
    given = words(os.environ.get(FLAGS_VARIABLE, FAST))
    if storage == BFLOAT16:
        given, file = (*given, "-DHIERSEG_BFLOAT16"), OF_BFLOAT16.get(file, file)
    if file == BINDINGS:
        # They need not be fast. Others' flags are among theirs, so that wrong ones show at once.
        return {BINDINGS: (*given, "-O1", f"-I{_headers_of_xla()}")}
    if file in OF_BFLOAT16:
        # What could be vectors is written as vectors; to look for more takes time.
        return {file: (*given, "-fno-tree-vectorize")}
    # Memory bounds the others, which compile in two thirds of the time and are as fast.
    return {file: given if file in OF_BFLOAT16.values() else (*given, "-O2")}


def kernel_library(file: str, storage: str = FLOAT32, cache: Path | None = None) -> Path:
    """The shared library of a file of kernels; see `compiled_library`."""
    return compiled_library(SOURCES, flags_of(file, storage), [installed_version("jax")], cache)


def installed_version(package: str) -> str:
    """Empty where it is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""


def _headers_of_xla() -> str:
    """As `jax.ffi.include_dir()`."""
    found = importlib.util.find_spec("jaxlib")
    folders = found.submodule_search_locations if found else None
    return os.path.join(folders[0], "include") if folders else ""


def compile_ahead() -> None:
    """Has what training on a CPU needs compiled in the background, where it is not kept already.

    To be called before JAX is imported. Does nothing where an accelerator may be found. What goes
    wrong is told by those who need the kernels.
    """
    if not importlib.util.find_spec("jax") or not _is_for_a_cpu():
        return
    needed: list[tuple[Any, ...]] = [
        (kernel_library, BINDINGS),
        (compiled_library, *LARGE_BLOCKS),
        *((kernel_library, file) for file in OF_ALL_NETWORKS),
    ]
    for compilation in needed:
        # Not daemons: a process that ends sooner leaves the libraries for the next one.
        threading.Thread(target=_quietly, args=compilation).start()


def _is_for_a_cpu() -> bool:
    """Whether JAX will compute on a CPU for certain; plugins bring what else it may find."""
    if chosen := os.environ.get("JAX_PLATFORMS"):
        return chosen == "cpu"
    return not any(map(importlib.util.find_spec, ("jax_plugins", "libtpu")))


def _quietly(compile_one: Callable[..., Path], *arguments: Any) -> None:
    with contextlib.suppress(Exception):
        compile_one(*arguments)

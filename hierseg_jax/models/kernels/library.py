"""Compiles the kernels once for this machine, keeps the library, and tells XLA of it."""

import ctypes
import functools
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.system.compiler import compiled_library, hash_of_sources
from hierseg_jax.system.errors import HiersegError

SOURCES = Path(__file__).parent
TARGETS = (
    "hierseg_convolve",
    "hierseg_kernel_gradient",
    "hierseg_rectify_gradient",
    "hierseg_depthwise",
    "hierseg_depthwise_gradient",
    "hierseg_moments",
    "hierseg_average_moments",
    "hierseg_normalize",
    "hierseg_normalize_sums",
    "hierseg_normalize_gradient",
    "hierseg_join",
    "hierseg_split",
    "hierseg_combine",
    "hierseg_fold_in",
    "hierseg_random_bits",
)
NONE: Mapping[int, int] = MappingProxyType({})
FLAGS_VARIABLE = "HIERSEG_JAX_KERNEL_FLAGS"
FAST = "-O3 -march=native"


def flags(fast: str = FAST) -> dict[str, tuple[str, ...]]:
    """The compiler's flags for every source file, `fast` for those that compute.

    Raises:
      OSError: in a phrase, for flags that are no words of a shell.
    """
    try:
        given = tuple(shlex.split(fast))
    except ValueError as error:
        raise OSError(f"${FLAGS_VARIABLE} is {fast!r}: {error}") from None
    kernels = [file.name for file in SOURCES.glob("*.cc") if file.name != "bindings.cc"]
    # Nothing in the bindings needs to be fast.
    bindings = ("-O0", f"-I{jax.ffi.include_dir()}")
    return dict.fromkeys(kernels, given) | {"bindings.cc": bindings}


def call(
    name: str, *shapes: tuple[int, ...], dtype: Any = jnp.float32, reused: Mapping[int, int] = NONE
) -> Callable[..., Any]:
    """A kernel as a function of arrays and attributes, giving arrays of these shapes.

    Args:
      reused: argument -> result that may have its memory.

    Raises:
      ValueError: where there are no kernels.
    """
    if reason := problem():
        raise HiersegError(f"The CPU kernels can't be used: {reason}.")
    results = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    result = results[0] if len(results) == 1 else results
    return jax.ffi.ffi_call(
        _target(name), result, vmap_method="sequential", input_output_aliases=dict(reused)
    )


def usable() -> bool:
    """Whether JAX computes on a CPU, and there are kernels for it."""
    return jax.default_backend() == "cpu" and problem() is None


def _target(name: str) -> str:
    """What XLA knows a kernel by: compiled programs are kept, so other sources are another name."""
    return f"{name}_{hash_of_sources(SOURCES)[:12]}"


@functools.cache
def problem() -> str | None:
    """Loads the library, compiling it at first; None, or why that can't be done, in a phrase.

    Compiling takes about 5 seconds, with `$CXX`, `c++`, `g++` or `clang++`, for this machine's
    processor unless `$HIERSEG_JAX_KERNEL_FLAGS` has other flags; the library stays in
    `cache_folder()`. Done once in a process.
    """
    try:
        given = flags(os.environ.get(FLAGS_VARIABLE, FAST))
        library = ctypes.CDLL(str(compiled_library(SOURCES, given, [jax.__version__])))
        for name in TARGETS:
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(_target(name), capsule, platform="cpu")
    except (OSError, AttributeError) as error:
        return " ".join(str(error).split())
    return None

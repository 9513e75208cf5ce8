"""Compiles the kernels once for this machine, keeps the libraries, and tells XLA of them."""

import ctypes
import functools
import itertools
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.system.compiler import hash_of_sources
from hierseg_jax.system.errors import NO_KERNELS, HiersegError
from hierseg_jax.system.kernel_sources import (
    BINDINGS,
    OF_ALL_NETWORKS,
    SOURCES,
    kernel_library,
)

SHORT = (
    "hierseg_join",
    "hierseg_split",
    "hierseg_combine",
    "hierseg_fold_in",
    "hierseg_random_bits",
)
"""Kernels compiled with the bindings."""
LONG = {
    "convolution.cc": ("hierseg_convolve", "hierseg_kernel_gradient", "hierseg_rectify_gradient"),
    "batch_norm.cc": (
        "hierseg_moments",
        "hierseg_average_moments",
        "hierseg_normalize",
        "hierseg_normalize_sums",
        "hierseg_normalize_gradient",
    ),
    "depthwise.cc": ("hierseg_depthwise", "hierseg_depthwise_gradient"),
    "squeeze_excite.cc": ("hierseg_squeeze_excite", "hierseg_squeeze_excite_gradient"),
}
"""Those that take seconds to compile, by their files: a library each, made when first called."""
NONE: Mapping[int, int] = MappingProxyType({})


def call(
    name: str, *shapes: tuple[int, ...], dtype: Any = jnp.float32, reused: Mapping[int, int] = NONE
) -> Callable[..., Any]:
    """A kernel as a function of arrays and attributes, giving arrays of these shapes.

    Args:
      reused: argument -> result that may have its memory.

    Raises:
      ValueError: where there are no kernels.
      TypeError: by the function, for arrays that aren't of 32 bits.
    """
    if reason := problem():
        raise HiersegError(f"The CPU kernels can't be used: {reason}.")
    for file, names in LONG.items():
        if name in names:
            start(file)
    results = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    result = results[0] if len(results) == 1 else results
    kernel = jax.ffi.ffi_call(
        _target(name), result, vmap_method="sequential", input_output_aliases=dict(reused)
    )

    def checked(*arrays: Any, **attributes: Any) -> Any:
        # A kernel takes the memory for what it expects, whatever lies there.
        if wrong := {str(of.dtype) for of in arrays if of.dtype.itemsize != 4}:
            raise TypeError(f"{name} computes in 32 bits, and was given {', '.join(wrong)}.")
        return kernel(*arrays, **attributes)

    return checked


def function(name: str) -> Callable[..., Any]:
    """A function of the bindings for Python itself; where `problem()` is None."""
    found: Callable[..., Any] = getattr(_bindings(), name)
    return found


def usable() -> bool:
    """Whether JAX computes on a CPU, and there are kernels for it."""
    return jax.default_backend() == "cpu" and problem() is None


def _target(name: str) -> str:
    """What XLA knows a kernel by: compiled programs are kept, so other sources are another name."""
    return f"{name}_{hash_of_sources(SOURCES)[:12]}"


def problem() -> str | None:
    """Makes the kernels known to XLA; None, or why that can't be done, in a phrase.

    At first they are compiled with `$CXX`, `c++`, `g++` or `clang++`, for this machine's
    processor unless `$HIERSEG_JAX_KERNEL_FLAGS` has other flags; they stay in `cache_folder()`.
    What takes seconds goes on in the background; kernels of some networks alone wait until a
    program is to call them.
    """
    bindings = _bindings()
    if isinstance(bindings, str):
        return bindings
    for file in OF_ALL_NETWORKS:
        start(file)
    return None


@functools.cache
def _bindings() -> ctypes.CDLL | str:
    try:
        library = _load(BINDINGS)
        for name in itertools.chain(SHORT, *LONG.values()):
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(_target(name), capsule, platform="cpu")
    except (OSError, AttributeError) as error:
        return " ".join(str(error).split())
    return library


def _load(file: str, cache: Path | None = None) -> ctypes.CDLL:
    return ctypes.CDLL(str(kernel_library(file, cache)))


def _load_anyhow(file: str) -> ctypes.CDLL:
    """For this process alone where the cache, which had the bindings, takes nothing more."""
    try:
        return _load(file)
    except OSError as error:
        if error.errno is None:  # in our own words: it would be the same elsewhere
            raise
    with tempfile.TemporaryDirectory() as folder:
        return _load(file, Path(folder))


def files_called(program: str) -> tuple[str, ...]:
    """The files of `LONG` whose kernels a program calls, in the words of XLA."""
    return tuple(file for file, names in LONG.items() if any(map(program.__contains__, names)))


@functools.cache
def start(file: str) -> None:
    """Has the kernels of a file compiled in the background; where `problem()` is None."""
    # Not a daemon: a process that ends sooner leaves the library for the next one.
    threading.Thread(target=_supply, args=(_bindings(), file)).start()


def _supply(bindings: ctypes.CDLL, file: str) -> None:
    """Compiles a file and hands its kernels to the bindings, whose calls wait for them."""
    failure, addresses = "", dict.fromkeys(LONG[file])
    try:
        kernels = _load_anyhow(file)
        for name in addresses:
            symbol = "".join(word.capitalize() for word in name.split("_")[1:])
            addresses[name] = ctypes.cast(getattr(kernels, symbol), ctypes.c_void_p)
    except Exception as error:  # whatever it is: calls wait until they hear of it
        failure = (
            f"{NO_KERNELS}{' '.join(str(error).split())}. Mend that and give the same command "
            "again; $CXX names another compiler, and model.conv_impl=xla does without them."
        )
    for name, address in addresses.items():
        getattr(bindings, f"{name}_arrive")(address, failure.encode())

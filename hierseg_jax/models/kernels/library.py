"""Compiles the kernels once for this machine, keeps the libraries, and tells XLA of them."""

import ctypes
import functools
import itertools
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from hierseg_jax.system.compiler import hash_of_sources
from hierseg_jax.system.errors import NO_KERNELS, HiersegError
from hierseg_jax.system.kernel_sources import (
    BINDINGS,
    FLOAT32,
    OF_ALL_NETWORKS,
    SOURCES,
    STORAGES,
    kernel_library,
)
from hierseg_jax.system.wording import one_line

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
    "soft_counts.cc": (
        "hierseg_label_counts",
        "hierseg_soft_counts",
        "hierseg_soft_counts_gradient",
    ),
    "error_bins.cc": ("hierseg_error_bins", "hierseg_error_bins_gradient"),
}
"""Those that take seconds to compile, by their files: a library each, made when first called."""
ACTIVATIONS = {
    "hierseg_convolve": ((0, 7), (0,)),
    "hierseg_kernel_gradient": ((0, 1), ()),
    "hierseg_rectify_gradient": ((0, 1), (0,)),
    "hierseg_moments": ((0,), ()),
    "hierseg_normalize": ((0, 6), (0,)),
    "hierseg_normalize_sums": ((0, 1, 2), ()),
    "hierseg_normalize_gradient": ((0, 1, 2), (0, 1)),
    "hierseg_depthwise": ((0, 7), (0,)),
    "hierseg_depthwise_gradient": ((0, 1), ()),
    "hierseg_squeeze_excite": ((0,), (0,)),
    "hierseg_squeeze_excite_gradient": ((0, 1), (0,)),
}
"""Arguments and results of kernels that may be stored as bfloat16; all others are of 32 bits."""
NONE: Mapping[int, int] = MappingProxyType({})
_Made = TypeVar("_Made")


def _once(make: Callable[..., _Made]) -> Callable[..., _Made]:
    """`functools.cache`, which several threads that ask at a time would get past."""
    cached, lock = functools.cache(make), threading.RLock()

    @functools.wraps(make)
    def locked(*arguments: str) -> _Made:
        with lock:
            return cached(*arguments)

    return locked


def call(
    name: str,
    *results: tuple[int, ...] | jax.ShapeDtypeStruct,
    reused: Mapping[int, int] = NONE,
    storage: Any = jnp.float32,
) -> Callable[..., Any]:
    """A kernel as a function of arrays and attributes.

    Args:
      results: their shapes; those that aren't float32 nor `ACTIVATIONS` with their dtype, of 32
        bits.
      reused: argument -> result that may have its memory.
      storage: dtype of `ACTIVATIONS`: float32 or bfloat16.

    Raises:
      ValueError: where there are no kernels.
      TypeError: by the function, for arrays that aren't of 32 bits or, of activations, that dtype.
    """
    storage = jnp.dtype(storage)
    if reason := problem(storage):
        raise HiersegError(f"The CPU kernels can't be used: {reason}.")
    for file, names in LONG.items():
        if name in names:
            start(file, storage.name)
    stored, given = ACTIVATIONS.get(name, ((), ()))
    typed = [
        jax.ShapeDtypeStruct(of, storage if i in given else jnp.float32)
        if isinstance(of, tuple)
        else of
        for i, of in enumerate(results)
    ]
    kernel = jax.ffi.ffi_call(
        _target(name, storage.name),
        typed[0] if len(typed) == 1 else typed,
        vmap_method="sequential",
        input_output_aliases=dict(reused),
    )

    def checked(*arrays: Any, **attributes: Any) -> Any:
        # A kernel takes the memory for what it expects, whatever lies there.
        bits = [storage.itemsize * 8 if i in stored else 32 for i in range(len(arrays))]
        if wrong := {
            f"{of.dtype} for {wanted} bits"
            for of, wanted in zip(arrays, bits, strict=True)
            if of.dtype.itemsize * 8 != wanted
        }:
            raise TypeError(f"{name} was given {', '.join(sorted(wrong))}.")
        return kernel(*arrays, **attributes)

    return checked


def function(name: str) -> Callable[..., Any]:
    """A function of the bindings for Python itself; where `problem()` is None."""
    found: Callable[..., Any] = getattr(_bindings(FLOAT32), name)
    return found


def usable() -> bool:
    """Whether JAX computes on a CPU, and there are kernels for it."""
    return jax.default_backend() == "cpu" and not isinstance(_bindings(FLOAT32), str)


def _target(name: str, storage: str) -> str:
    """What XLA knows a kernel by: compiled programs are kept, so other sources are another name."""
    return f"{name}_{storage}_{hash_of_sources(SOURCES)[:12]}"


def problem(storage: Any = jnp.float32) -> str | None:
    """Makes the kernels known to XLA; None, or why that can't be done, in a phrase.

    At first they are compiled with `$CXX` (a command, such as `ccache g++`), `c++`, `g++` or
    `clang++`, for this machine's processor unless `$HIERSEG_JAX_KERNEL_FLAGS` has other flags; they
    stay in `cache_folder()`.
    What takes seconds goes on in the background; kernels of some networks alone wait until a
    program is to call them.

    Args:
      storage: dtype of activations, for which the kernels are compiled: float32 or bfloat16.
    """
    storage = jnp.dtype(storage).name
    bindings = _bindings(storage)
    if isinstance(bindings, str):
        return bindings
    for file in OF_ALL_NETWORKS:
        start(file, storage)
    return None


@_once
def _bindings(storage: str) -> ctypes.CDLL | str:
    if storage not in STORAGES:
        return f"there are none for {storage}"
    try:
        library = _load(BINDINGS, storage)
        for name in itertools.chain(SHORT, *LONG.values()):
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(_target(name, storage), capsule, platform="cpu")
    except (OSError, AttributeError) as error:
        return one_line(error)
    return library


def _load(file: str, storage: str, cache: Path | None = None) -> ctypes.CDLL:
    return ctypes.CDLL(str(kernel_library(file, storage, cache)))


def _load_anyhow(file: str, storage: str) -> ctypes.CDLL:
    """For this process alone where the cache, which had the bindings, takes nothing more."""
    try:
        return _load(file, storage)
    except OSError as error:
        if error.errno is None:  # in our own words: it would be the same elsewhere
            raise
    with tempfile.TemporaryDirectory() as folder:
        return _load(file, storage, Path(folder))


def files_called(program: str) -> tuple[tuple[str, str], ...]:
    """The files of `LONG` whose kernels a program calls, in the words of XLA, and their storage."""
    return tuple(
        (file, storage)
        for storage in STORAGES
        for file, names in LONG.items()
        if any(f"{name}_{storage}_" in program for name in names)
    )


@_once
def start(file: str, storage: str) -> None:
    """Has the kernels of a file compiled in the background; where `problem(storage)` is None."""
    # Not a daemon: a process that ends sooner leaves the library for the next one.
    threading.Thread(target=_supply, args=(_bindings(storage), file, storage)).start()


def _supply(bindings: ctypes.CDLL, file: str, storage: str) -> None:
    """Compiles a file and hands its kernels to the bindings, whose calls wait for them."""
    failure, addresses = "", dict.fromkeys(LONG[file])
    try:
        kernels = _load_anyhow(file, storage)
        for name in addresses:
            symbol = "".join(word.capitalize() for word in name.split("_")[1:])
            addresses[name] = ctypes.cast(getattr(kernels, symbol), ctypes.c_void_p)
    except Exception as error:  # whatever it is: calls wait until they hear of it
        failure = (
            f"{NO_KERNELS}{one_line(error)}. Mend that and give the same command "
            "again; $CXX names another compiler, and model.conv_impl=xla does without them."
        )
    for name, address in addresses.items():
        getattr(bindings, f"{name}_arrive")(address, failure.encode())

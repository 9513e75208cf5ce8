"""Compiles the kernels once for this machine, keeps the library, and tells XLA of it."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.cache_folder import cache_folder

SOURCES = Path(__file__).parent
TARGETS = (
    "hierseg_convolve",
    "hierseg_kernel_gradient",
    "hierseg_depthwise",
    "hierseg_depthwise_gradient",
    "hierseg_moments",
    "hierseg_normalize",
    "hierseg_normalize_sums",
    "hierseg_normalize_gradient",
)
FLAGS = ("-std=c++17", "-fPIC", "-w")
FAST = ("-O3", "-march=native")
BINDINGS = "bindings.cc"


def call(name: str, *shapes: tuple[int, ...]) -> Callable[..., Any]:
    """A kernel as a function of arrays and attributes, giving float32 arrays of these shapes.

    Raises:
      ValueError: where there are no kernels.
    """
    if reason := problem():
        raise ValueError(f"The CPU kernels can't be used: {reason}.")
    results = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    result = results[0] if len(results) == 1 else results
    return jax.ffi.ffi_call(_target(name), result, vmap_method="sequential")


def _target(name: str) -> str:
    """What XLA knows a kernel by: compiled programs are kept, so other sources are another name."""
    return f"{name}_{_hash_of_sources()[:12]}"


@functools.cache
def problem() -> str | None:
    """Loads the library, compiling it at first; None, or why that can't be done, in a phrase.

    Compiling takes about 5 seconds, with `$CXX`, `c++`, `g++` or `clang++`; the library stays
    in `cache_folder()`. Done once in a process.
    """
    compiler = _compiler()
    if compiler is None:
        return "no C++ compiler was found"
    try:
        file = cache_folder() / "kernels" / f"{_key(compiler)}.so"
        if not _is_whole(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _compile(compiler, file)
        if hasattr(os, "getuid") and file.stat().st_uid != os.getuid():
            return f"{file} belongs to somebody else"
        library = ctypes.CDLL(str(file))
        for name in TARGETS:
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(_target(name), capsule, platform="cpu")
    except (OSError, AttributeError) as error:
        return " ".join(str(error).split())
    return None


def _compiler() -> str | None:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def _files(pattern: str) -> list[Path]:
    return sorted(SOURCES.glob(pattern))


@functools.cache
def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    for file in [*_files("*.cc"), *_files("*.h")]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _key(compiler: str) -> str:
    """Changes with all that the library depends on; a home may be shared by unlike machines."""
    parts = [_hash_of_sources(), compiler, jax.__version__, platform.machine(), *FLAGS, *FAST]
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        wanted = ("model name", "flags", "Features", "CPU part")
        lines = cpu.read_text(errors="replace").split("\n\n")[0].splitlines()
        parts += [line for line in lines if line.startswith(wanted)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _compile(compiler: str, file: Path) -> None:
    """Compiles every source, side by side, and links them; the file appears when it is whole.

    Raises:
      OSError: with the compiler's first complaint.
    """
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        sources = _files("*.cc")
        objects = [str(Path(folder) / f"{source.stem}.o") for source in sources]
        # XLA's headers take long to compile, and longer with optimisation.
        bindings = ("-O0", f"-I{jax.ffi.include_dir()}")
        commands = [
            [
                compiler,
                *FLAGS,
                *(bindings if source.name == BINDINGS else FAST),
                *("-c", str(source), "-o", output),
            ]
            for source, output in zip(sources, objects, strict=True)
        ]
        _run(commands)
        library = Path(folder) / file.name
        _run([[compiler, "-shared", *objects, "-o", str(library)]])
        # Loading a damaged library may end the process; whatever follows its end is ignored.
        with library.open("ab") as stream:
            stream.write(hashlib.sha256(library.read_bytes()).digest())
        os.replace(library, file)


def _is_whole(file: Path) -> bool:
    content = file.read_bytes() if file.exists() else b""
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def _run(commands: list[list[str]]) -> None:
    running = [
        subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in running]
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            complaint = output.strip().splitlines() or [f"exit code {process.returncode}"]
            raise OSError(f"{process.args[0]} failed: {complaint[0]}")

"""Compiles this project's C++ for the machine at hand, once, and keeps the libraries."""

import contextlib
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hierseg_jax.system.cache_folder import cache_folder

FLAGS = ("-std=c++17", "-fPIC", "-w")


@functools.cache
def hash_of_sources(folder: Path) -> str:
    """SHA-256 of all C++ in a folder."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.cc"), *folder.glob("*.h")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def compiled_library(
    folder: Path,
    flags: Mapping[str, Sequence[str]],
    depends_on: Sequence[str] = (),
    cache: Path | None = None,
) -> Path:
    """A shared library of a folder's C++ files, from the cache or compiled into it.

    Compiled with `$CXX`, `c++`, `g++` or `clang++`, the files side by side.

    Args:
      folder: of the sources.
      flags: of every source file that is compiled, by its name; the compiler runs in the folder.
      depends_on: what else must be the same for the library to be used again.
      cache: where it is kept; by default `cache_folder()`.

    Returns:
      The library, whole, and this user's own.

    Raises:
      OSError: in a phrase, why it can't be had.
    """
    if sys.platform == "win32":
        raise OSError("they are compiled on Linux and macOS alone")
    compiler = _compiler()
    if compiler is None:
        raise OSError("no C++ compiler was found")
    parts = [hash_of_sources(folder), *compiler, *FLAGS, *map(str, sorted(flags.items()))]
    key = hashlib.sha256(
        "\n".join([*parts, *depends_on, *describe_machine()]).encode()
    ).hexdigest()[:24]
    file = (cache or cache_folder()) / folder.name / f"{key}.so"
    with _lock_of(file):  # another thread may be about to compile it
        if not _is_whole(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _compile(compiler, folder, flags, file)
    if hasattr(os, "getuid") and file.stat().st_uid != os.getuid():
        raise OSError(f"{file} belongs to somebody else")
    return file


@functools.cache
def _lock_of(file: Path) -> threading.Lock:
    del file
    return threading.Lock()


def _compiler() -> tuple[str, ...] | None:
    """The command, with whatever `$CXX` has in front of a compiler or behind it."""
    given = os.environ.get("CXX", "")
    words = [given]
    if not shutil.which(given):  # a path may have spaces
        with contextlib.suppress(ValueError):  # quotes that don't end
            words = shlex.split(given)
    for command in (words, ["c++"], ["g++"], ["clang++"]):
        if command and (found := shutil.which(command[0])):
            return os.path.abspath(found), *command[1:]
    return None


def describe_machine() -> list[str]:
    """A home may be shared by unlike machines."""
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists():
        return [platform.machine()]
    wanted = ("model name", "flags", "Features", "CPU part")
    lines = cpu.read_text("utf-8", errors="replace").split("\n\n")[0].splitlines()
    return [platform.machine(), *(line for line in lines if line.startswith(wanted))]


def _compile(
    compiler: Sequence[str], folder: Path, flags: Mapping[str, Sequence[str]], file: Path
) -> None:
    """The file appears when it is whole.

    Raises:
      OSError: with the compiler's first complaint.
    """
    with tempfile.TemporaryDirectory(dir=file.parent.absolute()) as scratch:
        objects = {name: str(Path(scratch) / f"{name}.o") for name in flags}
        _run(
            [
                [*compiler, *FLAGS, *flags[name], "-c", name, "-o", output]
                for name, output in objects.items()
            ],
            folder,
        )
        library = Path(scratch) / file.name
        _run([[*compiler, "-shared", *objects.values(), "-o", str(library)]], folder)
        # Loading a damaged library may end the process; whatever follows its end is ignored.
        with library.open("ab") as stream:
            stream.write(hashlib.sha256(library.read_bytes()).digest())
        os.replace(library, file)


def _is_whole(file: Path) -> bool:
    content = file.read_bytes() if file.exists() else b""
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def _run(commands: list[list[str]], folder: Path) -> None:
    running = [
        subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            # Ctrl-C asks a run to save, for which it has to compute: it is not for the compiler.
            process_group=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in running]
    for command, process, output in zip(commands, running, outputs, strict=True):
        if process.returncode:
            complaint = output.strip().splitlines() or [f"exit code {process.returncode}"]
            raise OSError(f"{command[0]} failed: {complaint[0]}")

"""The program that a process begins with: its successor has it, and its memory, made ready early.

Loading it and having a gigabyte's pages supplied take a third of a second of a core, for which
the first step would wait. Here they go on beside whatever comes before it.
"""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from hierseg_jax.system.kept_bytes import read_kept, write_kept
from hierseg_jax.system.memory import prepare_block

Program = Callable[..., Any]


def begin(
    first: Path | None, load: Callable[[Path], Program | None]
) -> dict[Path, Future[Program | None]]:
    """Starts with what an earlier process has told; its file, and what `load` will give of it."""
    content = read_kept(first)
    if first is None or not content:
        return {}
    with contextlib.suppress(ValueError):  # not in the words of `tell`
        name, size = content.decode().split()
        file, size_bytes = first.with_name(name), int(size)
        # A daemon: a process that ends sooner needs no memory.
        threading.Thread(target=prepare_block, args=(size_bytes,), daemon=True).start()
        pool = ThreadPoolExecutor(1)
        loading = pool.submit(load, file)
        pool.shutdown(wait=False)
        return {file: loading}
    return {}


def tell(first: Path | None, file: Path, program: Program) -> None:
    """Tells the next process which program this one has begun with."""
    if first is None:
        return
    told = f"{file.name} {_host_memory(program)}".encode()
    if told != read_kept(first):
        write_kept(first, told)


def _host_memory(program: Any) -> int:
    """Bytes that it takes of the host beside its arguments and results."""
    if jax.default_backend() == "cpu":
        with contextlib.suppress(Exception):  # not all programs can tell
            return int(program.memory_analysis().temp_size_in_bytes)
    return 0

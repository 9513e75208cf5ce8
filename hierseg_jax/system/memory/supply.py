"""The memory of a training step, which the system supplies while Python still imports.

Its pages come one by one otherwise, when the first step writes to them. How much that step will
take is not known yet, but what the last one took is; another step's first request gives it back.
"""

import contextlib
import threading
from pathlib import Path

from hierseg_jax.system.cache_folder import cache_folder
from hierseg_jax.system.kept_bytes import read_kept, write_kept
from hierseg_jax.system.machine_memory import machine_memory
from hierseg_jax.system.memory import prepare_block

SHARE = 4
"""No more than this part of the machine's memory is taken on a guess."""


def supply_ahead() -> None:
    """Begins in a thread; where nothing is known, or memory is not kept, it does nothing."""
    # A daemon: a process that ends sooner needs no memory.
    threading.Thread(target=_supply, daemon=True).start()


def remember(size: int) -> None:
    """Tells later processes how many bytes a training step takes; 0 of none on a CPU."""
    with contextlib.suppress(OSError):
        told = str(size).encode()
        if told != read_kept(_file()):
            write_kept(_file(), told)


def _supply() -> None:
    with contextlib.suppress(OSError, ValueError):
        size = int(read_kept(_file()) or b"0")
        if 0 < size <= machine_memory() // SHARE:
            prepare_block(size)


def _file() -> Path:
    return cache_folder() / "step_memory"

"""Settings of a process in which JAX computes. Scripts make them first; the library never does."""

import contextlib
import ctypes
import os
import platform

import jax

from hierseg_jax.cache_folder import cache_folder

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGEST = 2**31 - 1
BLOCKS, BLOCK_BYTES = 64, 8 * 2**20


def set_up_process() -> None:
    """Keeps compiled programs for the next process, and freed memory for the next step.

    Compiled programs go to `cache_folder() / "jax"`, unless `JAX_COMPILATION_CACHE_DIR` names
    another folder or JAX's own switch, `JAX_ENABLE_COMPILATION_CACHE=false`, is set.
    """
    # Without a home nothing is kept.
    with contextlib.suppress(OSError):
        keep_compiled_programs()
    keep_freed_memory()


def keep_compiled_programs() -> None:
    """Turns JAX's persistent cache on, where the environment has no word on it.

    Raises:
      OSError: for a user without a home.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def keep_freed_memory() -> bool:
    """Has glibc's malloc keep what is freed rather than hand it back; whether it does.

    XLA allocates a step's memory, a gigabyte or so, anew for every step on a CPU. By default
    glibc maps it anew each time, and the kernel then zeroes it page by page, which takes up
    to a third of a step. Left as it is where the environment has settings for malloc, and
    where malloc is not glibc's.
    """
    given = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if given or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    done = [
        mallopt(M_MMAP_THRESHOLD, LARGEST),
        mallopt(M_TRIM_THRESHOLD, -1),
        # XLA's threads would map what is larger than an arena of their own, whatever it is.
        mallopt(M_ARENA_MAX, 1),
    ]
    if all(done):
        _leave_room_for_small_blocks()
    return all(done)


def _leave_room_for_small_blocks() -> None:
    """Frees blocks that can't join, so that what is small and lasting goes there first.

    Else it may end up above or within a step's memory, and the next step needs as much again
    beside it. Free blocks that were never written take no memory.
    """
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = []
    for _ in range(BLOCKS):
        blocks.append(library.malloc(BLOCK_BYTES))
        library.malloc(16)  # never freed: it keeps its neighbours apart
    for block in blocks:
        library.free(block)

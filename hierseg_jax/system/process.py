"""Settings of a process in which JAX computes. Scripts make them first; the library never does."""

import contextlib
import gc
import importlib.util
import os
import pkgutil
import shutil

import jax

from hierseg_jax.system.cache_folder import cache_folder
from hierseg_jax.system.memory import keep_large_blocks, share_heaps

DETERMINISTIC = "--xla_gpu_exclude_nondeterministic_ops"
"""A flag of XLA's. Without it XLA compiles and tries all of cuDNN's algorithms that fit, for every
convolution. With it, it takes the first that cuDNN names of those whose sums have one order."""
ROOM = 50_000_000
"""Bytes that compiled programs may take: those of one training."""


def set_up_process() -> None:
    """Keeps compiled programs for the next process, and freed memory for the next step.

    To be called once all is imported: Python's garbage collector then looks no more at what
    modules hold, which makes tracing a network up to half a second faster.

    Compiled programs go to `cache_folder() / "jax"`, unless `JAX_COMPILATION_CACHE_DIR` names
    another folder, JAX's own switch, `JAX_ENABLE_COMPILATION_CACHE=false`, is set, or it takes
    nothing more.

    Where a GPU may be found, programs for it are compiled with `DETERMINISTIC`, unless `XLA_FLAGS`
    has a word on it: in about a third of the time (docs/gpu.md).
    """
    if may_find_a_gpu(os.environ.get("JAX_PLATFORMS", "")):
        os.environ["XLA_FLAGS"] = with_default(os.environ.get("XLA_FLAGS", ""), DETERMINISTIC)
    # Where the environment has no word on it.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (folder := _folder_with_room()):
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    share_heaps()
    keep_large_blocks()
    gc.freeze()


def _folder_with_room() -> str | None:
    """Where compiled programs can be kept; None without a home, or where that has no room.

    JAX would tell of every program that it can't keep there. Those that are there already are then
    compiled anew, too, and so they are in a folder that says of itself that it is full.
    """
    with contextlib.suppress(OSError):
        folder = cache_folder() / "jax"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM:
            return str(folder)
    return None


def may_find_a_gpu(platforms: str) -> bool:
    """Whether JAX may compute on a GPU of NVIDIA's.

    Args:
      platforms: those that it is to look for, with commas in between; empty: all it has plugins of.
    """
    if platforms:
        return not {"cuda", "gpu"}.isdisjoint(platforms.split(","))
    found = importlib.util.find_spec("jax_plugins")
    folders = found.submodule_search_locations if found is not None else None
    return any("cuda" in plugin.name for plugin in pkgutil.iter_modules(folders or []))


def with_default(flags: str, name: str) -> str:
    """The value of `XLA_FLAGS` with a flag true that it does not name."""
    return flags if name in flags else f"{flags} {name}=true".strip()

"""Settings of a process in which JAX computes. Scripts make them first; the library never does."""

import contextlib
import gc
import os

import jax

from hierseg_jax.system.cache_folder import cache_folder
from hierseg_jax.system.memory import keep_large_blocks, share_heaps


def set_up_process() -> None:
    """Keeps compiled programs for the next process, and freed memory for the next step.

    To be called once all is imported: Python's garbage collector then looks no more at what
    modules hold, which makes tracing a network up to half a second faster.

    Compiled programs go to `cache_folder() / "jax"`, unless `JAX_COMPILATION_CACHE_DIR` names
    another folder or JAX's own switch, `JAX_ENABLE_COMPILATION_CACHE=false`, is set.
    """
    # Where the environment has no word on it; without a home nothing is kept.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with contextlib.suppress(OSError):
            jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "jax"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    share_heaps()
    keep_large_blocks()
    gc.freeze()

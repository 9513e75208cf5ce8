"""What becomes of memory that is freed: large blocks are kept, small ones given back."""

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path

import jaxlib

from hierseg_jax.system.compiler import compiled_library
from hierseg_jax.system.kernel_sources import LARGE_BLOCKS

VARIABLE = "HIERSEG_JAX_KEEP_BLOCKS"
# Whose tables large_blocks.cc was tried on.
TRIED_JAXLIBS = ("0.10.2", "0.11.2")
# Heaps of malloc that threads share.
HEAPS = 2
# Other systems' C libraries lack these functions, and Windows has no library by that name.
_HERE_OR_NOT = contextlib.suppress(OSError, AttributeError, TypeError)


def keep_large_blocks() -> bool:
    """Has jaxlib keep blocks of 16 MB and more that it frees for its next step.

    Once in a process, and for its lifetime: see large_blocks.cc. Compiles it at first, in less
    than a second. Does nothing where there is no compiler, or no glibc, where
    `HIERSEG_JAX_KEEP_BLOCKS=0` forbids it, and with a version of jaxlib that it was not tried
    with, of which `untried` tells.

    Returns:
      Whether it does.
    """
    if not _is_wanted():
        return False
    jaxlib_file = Path(jaxlib.__file__).parent / "libjax_common.so"
    try:
        return load_library().hierseg_keep_large_blocks(str(jaxlib_file).encode()) > 0
    except OSError:
        return False


def prepare_block(size: int) -> None:
    """Makes the block of so many bytes that jaxlib is going to ask for, with all of its pages.

    To be called in a thread beside, before or after `keep_large_blocks`. Where that does nothing,
    or there is such a block, this does nothing either; other blocks that nobody uses are freed.
    """
    if _is_wanted():
        with contextlib.suppress(OSError):
            load_library().hierseg_prepare_block(ctypes.c_size_t(size))


def _is_wanted() -> bool:
    here = sys.platform == "linux"
    return here and decide(os.environ.get(VARIABLE, ""), jaxlib.__version__)[0]


def untried() -> str:
    """A sentence about a jaxlib that it was not tried with, and hence left alone; else empty."""
    return decide(os.environ.get(VARIABLE, ""), jaxlib.__version__)[1]


def decide(variable: str, version: str) -> tuple[bool, str]:
    """Whether to redirect calls of jaxlib, and what is to be said about it.

    Args:
      variable: value of `HIERSEG_JAX_KEEP_BLOCKS`: empty leaves it to the version.
      version: of jaxlib.
    """
    if variable:
        return variable.lower() not in ("0", "false", "no"), ""
    if version in TRIED_JAXLIBS:
        return True, ""
    return False, (
        f"Steps don't keep freed memory for the next one, which costs time: that was tried with "
        f"jaxlib {', '.join(TRIED_JAXLIBS)}, not with {version}. {VARIABLE}=1 does it all the "
        f"same, {VARIABLE}=0 leaves it without this line."
    )


def load_library() -> ctypes.CDLL:
    """large_blocks.cc, compiled at first.

    Raises:
      OSError: where that can't be done.
    """
    return ctypes.CDLL(str(compiled_library(*LARGE_BLOCKS)))


def share_heaps() -> None:
    """Has threads share two of malloc's heaps, where malloc is glibc's.

    By default every thread of the dozens that JAX, orbax, grain and OpenCV start may get a heap
    of its own, each of which grows, slowly and for hours, to as much as its thread ever had at
    once and keeps the holes. To be called before there are many threads.
    """
    m_arena_max = -8
    with _HERE_OR_NOT:
        ctypes.CDLL(None).mallopt(m_arena_max, HEAPS)


def give_back_small_blocks() -> None:
    """Hands back to the system what malloc keeps of freed memory, where malloc is glibc's.

    Every thread that ever compiled or decoded leaves a heap as large as its busiest moment
    behind, hundreds of megabytes in all. What only Python's garbage collector can free, such as
    the figures of matplotlib, goes before: left to itself it comes by rarely. The large blocks
    of `keep_large_blocks` stay. Takes some milliseconds.
    """
    gc.collect()
    with _HERE_OR_NOT:
        ctypes.CDLL(None).malloc_trim(0)

"""What becomes of memory that is freed: large blocks are kept, small ones given back."""

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

import jaxlib

from hierseg_jax.compiler import compiled_library

FOLDER = Path(__file__).parent
# Heaps of malloc that threads share.
HEAPS = 2


def keep_large_blocks() -> bool:
    """Has jaxlib keep blocks of 16 MB and more that it frees for its next step.

    Once in a process, and for its lifetime: see large_blocks.cc. Compiles it at first, in less
    than a second. Does nothing where there is no compiler, or no glibc.

    Returns:
      Whether it does.
    """
    if sys.platform != "linux":
        return False
    jaxlib_file = Path(jaxlib.__file__).parent / "libjax_common.so"
    try:
        library = ctypes.CDLL(str(compiled_library(FOLDER, {"large_blocks.cc": ("-O2",)})))
    except OSError:
        return False
    return library.hierseg_keep_large_blocks(str(jaxlib_file).encode()) > 0


def share_heaps() -> None:
    """Has threads share two of malloc's heaps, where malloc is glibc's.

    By default every thread of the dozens that JAX, orbax, grain and OpenCV start may get a heap
    of its own, each of which grows, slowly and for hours, to as much as its thread ever had at
    once and keeps the holes. To be called before there are many threads.
    """
    m_arena_max = -8
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(m_arena_max, HEAPS)


def give_back_small_blocks() -> None:
    """Hands back to the system what malloc keeps of freed memory, where malloc is glibc's.

    Every thread that ever compiled or decoded leaves a heap as large as its busiest moment
    behind, hundreds of megabytes in all. What only Python's garbage collector can free, such as
    the figures of matplotlib, goes before: left to itself it comes by rarely. The large blocks
    of `keep_large_blocks` stay. Takes some milliseconds.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

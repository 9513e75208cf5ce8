"""Imports of many modules at once, without looking for garbage among them."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Python's garbage collector waits meanwhile, and never looks at what is there at the end.

    Imports make almost no garbage, but so many objects that all of them are looked through again
    and again: a sixth of the time that JAX, flax and orbax take.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

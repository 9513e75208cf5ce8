"""Processes that share a study: which of them does what, told by the kernel's file locks.

The kernel lets go of a lock when its process ends in whatever way, so that nobody has to guess
from silence that a process is dead.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hierseg_jax.system.errors import HiersegOSError


@contextlib.contextmanager
def hold(file: Path, *, wait: bool) -> Iterator[bool]:
    """Holds a lock while entered; gives whether it could be had.

    Args:
      file: made where it does not exist, in a folder that does.
      wait: until another process lets go of it; else False is given at once.

    Raises:
      OSError: a sentence, where the file system has no locks or can't be written.
    """
    try:
        stream = file.open("a+")
    except OSError as error:
        raise HiersegOSError(f"{file} can't be written: {error.strerror or error}.") from error
    with stream:
        held = True
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        except OSError as error:
            raise HiersegOSError(
                f"{file} can't be locked ({error.strerror}), so processes could not share the "
                "study; choose a --study_dir on a local disk."
            ) from error
        if held:
            stream.truncate(0)
            stream.write(f"{os.getpid()}\n")
            stream.flush()
        yield held


def owner(file: Path) -> str:
    """The number of the process that holds a lock or held it last."""
    try:
        return file.read_text().strip() or "?"
    except OSError:
        return "?"

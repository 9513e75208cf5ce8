"""Locks of processes in files: the system lets go of one when its process ends in whatever way.

Nobody has to guess from silence that a process is dead.
"""

import contextlib
import dataclasses
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import lock_descriptor

from hierseg_jax.system.errors import HiersegOSError


class NoLocksError(HiersegOSError):
    """There are no locks on this file system; what follows from it the caller says."""


@dataclasses.dataclass(frozen=True)
class Held:
    """A lock that this process has.

    Attributes:
      file: what it was called.
      descriptor: of the opened file.
    """

    file: Path
    descriptor: int

    def has_its_name(self) -> bool:
        """Whether no other file is called so now, and this one still is."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.file.stat())
        except OSError:
            return False


@contextlib.contextmanager
def hold(file: Path, *, wait: bool) -> Iterator[Held | None]:
    """Holds a lock while entered; gives None where it could not be had.

    Args:
      file: made where it does not exist, in a folder that does.
      wait: until another process lets go of it; else None is given at once.

    Raises:
      NoLocksError: where it can't be locked.
      OSError: where it can't be written.
    """
    try:
        stream = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise HiersegOSError(f"{file} can't be written: {error.strerror or error}.") from error
    with stream:
        try:
            held = lock_descriptor(stream.fileno(), blocking=wait)
        except OSError as error:
            raise NoLocksError(f"{file} can't be locked ({error.strerror})") from error
        if held:
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            stream.flush()
        yield Held(file, stream.fileno()) if held else None


def holder(file: Path) -> str:
    """The process that holds a lock or held it last, as `process 42 on HOST`."""
    try:
        with file.open(encoding="utf-8") as stream:
            return " ".join(stream.read(200).split()) or "a process that has not said its name"
    except OSError:
        return "a process whose name can't be read"

"""One run at a time in a workdir."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from hierseg_jax.system.errors import HiersegError, HiersegOSError

LOCK = ".lock"


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Keeps other runs out while entered; the kernel lets go of it when the process ends.

    Args:
      workdir: made where it does not exist.

    Raises:
      ValueError: if another run is in there, naming its process.
      OSError: if the folder can't be written.
    """
    file = workdir / LOCK
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        stream = file.open("a+")
    except OSError as error:
        raise HiersegOSError(
            f"The workdir {workdir} can't be written: {error.strerror or error}"
        ) from error
    with stream:
        if not _take(stream.fileno(), file):
            stream.seek(0)
            owner = " ".join(stream.read(200).split()) or "a process that has not said its name"
            raise HiersegError(
                f"Another run is at work in {workdir} ({owner}). Wait for its end, or choose "
                "another --workdir."
            )
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        yield


def _take(descriptor: int, file: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        print(
            f"warning: {file} can't be locked here ({error.strerror}); a second run in this folder "
            "would not be noticed.",
            file=sys.stderr,
        )
    return True

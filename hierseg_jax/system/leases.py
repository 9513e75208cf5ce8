"""Locks in a bucket, where none ends with its process: an object that its holder keeps renewing.

Whoever finds one watches whether it is renewed; no clocks are compared. A holder that was cut off
from the store for longer than others watch may lose it without noticing, until it asks.
"""

import contextlib
import dataclasses
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from hierseg_jax.system.bucket_path import BucketPath
from hierseg_jax.system.errors import HiersegError, HiersegOSError

RENEWAL = 10.0
"""Seconds between two renewals."""
PATIENCE = 60.0
"""Seconds without one after which the holder is taken for dead."""


@dataclasses.dataclass(frozen=True)
class Lease:
    """A lock that is held.

    Attributes:
      file: the object.
      name: of the holder, in words and with a number of its own.
    """

    file: BucketPath
    name: str

    def check(self) -> None:
        """Makes sure that it is still held.

        Raises:
          ValueError: if another process has it, or somebody has removed it.
          OSError: if the store can't be reached.
        """
        if self.still_held():
            return
        raise HiersegError(
            f"{self.file} is no longer this process's: it could not be renewed for {PATIENCE:.0f} "
            f"seconds, or was removed ({holder(self.file)} has it now). Nothing more is written "
            "there."
        )

    def still_held(self) -> bool:
        """Whether the object says so."""
        return _name(_content(self.file)) == self.name

    def renew(self, count: int) -> None:
        """Gives it another content, if it is still held."""
        if self.still_held():
            self.file.write_bytes(f"{self.name}\n{count}\n".encode())


@contextlib.contextmanager
def hold(
    file: BucketPath, renewal: float = RENEWAL, patience: float = PATIENCE
) -> Iterator[Lease | None]:
    """Holds a lock while entered; gives None where another process renews it.

    That takes up to `patience` seconds to find out; no time where the holder was a process of this
    machine that has ended.

    Raises:
      OSError: if the store can't be reached or written.
    """
    name = f"process {os.getpid()} on {socket.gethostname()} ({_machine()}, {uuid.uuid4().hex})"
    lease = Lease(file, name)
    content = f"{lease.name}\n0\n".encode()
    held = False
    while not held:
        # Some stores create what is there already.
        found = _content(file)
        if found and not _has_ended(_name(found)) and _is_renewed(file, found, renewal, patience):
            yield None
            return
        if found != _content(file):
            continue  # another process was quicker
        if found:
            file.unlink(missing_ok=True)
        held = file.create(content)
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(lease, ended, renewal), daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(HiersegOSError):
            if lease.still_held():
                file.unlink(missing_ok=True)


def holder(file: BucketPath) -> str:
    """The process that holds a lock, as `process 42 on HOST`."""
    return _name(_content(file)).partition(" (")[0] or "nobody"


def _keep(lease: Lease, ended: threading.Event, renewal: float) -> None:
    count = 0
    while not ended.wait(renewal):
        count += 1
        # Where the store can't be reached for a while, the next time will do.
        with contextlib.suppress(HiersegOSError):
            lease.renew(count)


def _is_renewed(file: BucketPath, found: bytes, renewal: float, patience: float) -> bool:
    """Whether another content stands there within the time."""
    waiting = threading.Event()
    for _ in range(max(1, round(patience / renewal))):
        waiting.wait(renewal)
        now = _content(file)
        if now != found:
            return bool(now)
    return False


def _content(file: BucketPath) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _name(content: bytes) -> str:
    return content.decode(errors="replace").partition("\n")[0]


def _machine() -> str:
    """A machine as long as it runs, and on it the container, in which a number is one process's.

    Empty where the system does not say. A host's name says too little: machines that are made of
    one image may all have the same.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _has_ended(name: str) -> bool:
    """Whether a holder is known to be no more: it was a process of this machine."""
    process, _, rest = name.partition(" (")
    number, machine = process.removeprefix("process ").partition(" ")[0], rest.partition(",")[0]
    if not number.isdecimal() or not machine or machine != _machine():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        pass
    return False

"""One run at a time in a workdir."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from hierseg_jax.system import leases
from hierseg_jax.system.bucket_path import BucketPath
from hierseg_jax.system.errors import HiersegError, HiersegOSError, warn
from hierseg_jax.system.locks import Held, NoLocksError, hold, holder
from hierseg_jax.system.notes import note

LOCK = ".lock"
MARKER = "run.json"
"""Written as a run claims its folder."""


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[Callable[[], None]]:
    """Keeps other runs out of a folder, made where it does not exist, while entered.

    Gives what is to be called before anything is written there: a folder may be moved away, and
    a lock in a bucket be lost.

    Raises:
      ValueError: if another run is in there, naming its process.
      OSError: if the folder can't be written.
    """
    file = workdir / LOCK
    with contextlib.ExitStack() as lock:
        check: Callable[[], None] | None = functools.partial(_make_sure_of, workdir, None)
        try:
            if isinstance(file, BucketPath):
                check = _lease(file, lock)
            else:
                workdir.mkdir(parents=True, exist_ok=True)
                held = lock.enter_context(hold(file, wait=False))
                check = functools.partial(_make_sure_of, workdir, held) if held else None
        except NoLocksError as error:
            warn(f"{error}, so that a second process in this folder would not be noticed.")
        except OSError as error:
            told = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise HiersegOSError(
                f"The workdir {workdir} can't be written: {told.strerror or error}"
            ) from error
        if check is None:
            name = leases.holder(file) if isinstance(file, BucketPath) else holder(file)
            raise HiersegError(
                f"Another run is at work in {workdir} ({name}). Wait for its end, or choose "
                "another --workdir."
            )
        yield check


def _lease(file: BucketPath, lock: contextlib.ExitStack) -> Callable[[], None] | None:
    if file.exists():
        note(
            f"{file} is there, of {leases.holder(file)}; looking for up to "
            f"{leases.PATIENCE:.0f} seconds whether that is at work."
        )
    held = lock.enter_context(leases.hold(file))
    if held is None:
        return None
    note(
        f"no lock in a bucket ends with its process: {file} is renewed every "
        f"{leases.RENEWAL:.0f} seconds, and a run that is cut off from the store for "
        f"{leases.PATIENCE:.0f} seconds gives way to the next one that is started here."
    )
    return held.check


def _make_sure_of(workdir: Path, held: Held | None) -> None:
    """The system's own lock is of a folder wherever it goes to, and not of its name.

    Args:
      workdir: by its name.
      held: its lock; None where there are none.

    Raises:
      ValueError: if the folder has gone from there.
    """
    lock = workdir / LOCK
    # Tidy people may take away a hidden file.
    here = held.has_its_name() if held and lock.exists() else (workdir / MARKER).exists()
    if not here:
        raise HiersegError(
            f"{workdir} is no longer this run's folder: it was moved or removed, or another run "
            "took its place. No further epoch is written there. Where the folder was moved to, "
            "`hierseg train --workdir=FOLDER` goes on from its last checkpoint."
        )

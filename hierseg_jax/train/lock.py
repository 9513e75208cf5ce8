"""One run at a time in a workdir."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from hierseg_jax.system.errors import HiersegError, HiersegOSError, warn
from hierseg_jax.system.locks import NoLocksError, hold, holder

LOCK = ".lock"


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Keeps other runs out of a folder, made where it does not exist, while entered.

    Raises:
      ValueError: if another run is in there, naming its process.
      OSError: if the folder can't be written.
    """
    file = workdir / LOCK
    with contextlib.ExitStack() as lock:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            held = lock.enter_context(hold(file, wait=False))
        except NoLocksError as error:
            warn(f"{error}, so that a second process in this folder would not be noticed.")
            held = True
        except OSError as error:
            told = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise HiersegOSError(
                f"The workdir {workdir} can't be written: {told.strerror or told}"
            ) from error
        if not held:
            raise HiersegError(
                f"Another run is at work in {workdir} ({holder(file)}). Wait for its end, or "
                "choose another --workdir."
            )
        yield

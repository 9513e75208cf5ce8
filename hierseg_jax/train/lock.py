"""One run at a time in a workdir."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from hierseg_jax.system.errors import HiersegError, HiersegOSError
from hierseg_jax.system.locks import NoLocksError, hold, holder

LOCK = ".lock"


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Keeps other runs out while entered.

    Args:
      workdir: made where it does not exist.

    Raises:
      ValueError: if another run is in there, naming its process.
      OSError: if the folder can't be written.
    """
    file = workdir / LOCK
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HiersegOSError(
            f"The workdir {workdir} can't be written: {error.strerror or error}"
        ) from error
    with contextlib.ExitStack() as lock:
        try:
            held = lock.enter_context(hold(file, wait=False))
        except NoLocksError as error:
            print(f"warning: {error}", file=sys.stderr, flush=True)
            held = True
        if not held:
            raise HiersegError(
                f"Another run is at work in {workdir} ({holder(file)}). Wait for its end, or "
                "choose another --workdir."
            )
        yield

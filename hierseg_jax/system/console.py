"""Readers of what a program prints, who have gone."""

import contextlib
import errno
import os
import select
import signal
import sys
from typing import Any, NoReturn

SIGPIPE = 13
"""Its number; Windows has no such signal, and the `signal` module there no such name."""

_PATIENCE = 1.0
"""Seconds."""


def print_nowhere(descriptor: int) -> None:
    """From now on, what is printed to this one."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def tell(sentence: str) -> None:
    """On standard error, from a signal's handler as well, whoever reads it or doesn't any more."""
    with contextlib.suppress(OSError):
        try:
            print(sentence, file=sys.stderr, flush=True)
        except RuntimeError:  # the signal came while something was printed there
            if select.select([], [sys.stderr], [], 0)[1]:
                os.write(sys.stderr.fileno(), f"{sentence}\n".encode(errors="replace"))


def hurry() -> None:
    """What is printed from now on waits for no reader for long: the program is to end."""
    for stream in (sys.stdout, sys.stderr):
        output: Any = getattr(getattr(stream, "buffer", None), "raw", None)
        if hasattr(output, "patience"):
            output.patience = _PATIENCE


def ignore_interrupts() -> None:
    """Another Ctrl-C has nothing more to end, and would break off what Python tidies up."""
    with contextlib.suppress(ValueError):  # in a thread, which gets none
        # For one that has come already, which Python would else report.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_interrupted(number: int = signal.SIGINT) -> NoReturn:
    """At once: whatever is being written was not asked for any more.

    Args:
      number: of the signal.
    """
    ignore_interrupts()
    hurry()
    tell("\nerror: interrupted; what was not saved before is lost.")
    os._exit(128 + number)


def is_end_of_pipe(error: Exception) -> bool:
    """Whether whoever read this program's output has gone; Windows calls that an invalid argument.

    Where something of a file is invalid, the error has its name.
    """
    return isinstance(error, BrokenPipeError) or (
        sys.platform == "win32"
        and isinstance(error, OSError)
        and error.errno == errno.EINVAL
        and error.filename is None
    )


def end_quietly() -> NoReturn:
    """Whoever reads, as `head` does, has read enough. Python would flush once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + SIGPIPE)

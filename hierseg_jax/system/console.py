"""What a program prints to: encodings of few letters, and readers that have gone."""

import errno
import io
import os
import sys
from typing import NoReturn

SIGPIPE = 13
"""Its number; Windows has no such signal, and the `signal` module there no such name."""


def print_any_letter() -> None:
    """Letters that the output's encoding lacks are printed as `?`, and end nothing.

    Windows gives programs whose output is piped an encoding of 256 letters. Errors are printed
    so that nothing ends in any case, by Python itself.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


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

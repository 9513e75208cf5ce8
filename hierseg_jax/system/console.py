"""What a program prints to: encodings of few letters, and readers that have gone."""

import errno
import io
import os
import stat
import sys
from typing import Any, NoReturn

SIGPIPE = 13
"""Its number; Windows has no such signal, and the `signal` module there no such name."""


INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended."""


def print_anything() -> None:
    """Nothing ends because of what is printed, or where to.

    Letters that the output's encoding lacks are printed as `?`: Windows gives programs whose output
    is piped an encoding of 256 letters, Unix some that know no language one of 128. Errors are
    printed so that nothing ends in any case, by Python itself. Programs in the background may have
    no output at all, or outlive their terminal.
    """
    # First of all: what is opened next would be descriptor 1 or 2, and be written into.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in (
        "strict",
        "surrogateescape",
    ):
        sys.stdout.reconfigure(errors="replace")
    sys.stdout, sys.stderr = _outliving_terminals(sys.stdout), _outliving_terminals(sys.stderr)


class _Terminal(io.FileIO):
    """One that may go before the program ends; every line would then be an error."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            print_nowhere()
            return super().write(data)


def _outliving_terminals(stream: Any) -> Any:
    """The same output; where it is a terminal that goes, what is printed goes nowhere.

    Of a run in the background a login's end takes the terminal, but sends no signal; and in the
    foreground lines may be printed before the signal comes.
    """
    if sys.platform == "win32" or not isinstance(stream, io.TextIOWrapper) or not stream.isatty():
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )


def print_nowhere() -> None:
    """From now on, to terminals; files and pipes get what is printed as before."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # one that has gone is no terminal to isatty
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


def end_interrupted() -> NoReturn:
    """At once: whatever is being written was not asked for any more."""
    print("\nerror: interrupted; what was not saved before is lost.", file=sys.stderr)
    sys.stderr.flush()
    os._exit(INTERRUPTED)


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

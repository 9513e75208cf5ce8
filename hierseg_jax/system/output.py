"""Standard output and error: nothing ends because of what is printed, or where to."""

import errno
import io
import os
import select
import sys
from typing import Any

from hierseg_jax.system.console import print_nowhere
from hierseg_jax.system.stop import run_that_saves

_LOOK = 0.2
"""Seconds after which it is looked whether a reader is still waited for."""


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
    if sys.platform != "win32":
        sys.stdout = _outliving_its_reader(sys.stdout, sys.__stdout__)
        sys.stderr = _outliving_its_reader(sys.stderr, sys.__stderr__)


def _outliving_its_reader(stream: Any, first: Any) -> Any:
    """The output that Python began with, as one whose reader may go; others as they are."""
    if stream is not first or not isinstance(stream, io.TextIOWrapper):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        # Else, where Python is told to buffer nothing, this buffer would.
        line_buffering=stream.line_buffering or stream.write_through,
    )


class _Output(io.FileIO):
    """One that work never ends for: what can't be printed is left out.

    Where `tee` or `head` has gone, a run that has something to save is asked to stop. Other
    programs end. A run in the background outlives a login, whose end takes the terminal without a
    signal. What a full disk refuses is told at the end, of `refused_output`.

    Attributes:
      refused: what a disk said.
      patience: seconds that a reader is waited for, once the program is to end; see `hurry`.
    """

    refused: OSError | None = None
    patience: float | None = None

    def write(self, data: Any) -> int:
        whole = memoryview(data).cast("B")
        try:
            while self._has_room():
                # So much is taken without a wait, which no signal would end. None is taken where a
                # parent has its end of a pipe not wait, as Node does.
                if (written := super().write(whole[: select.PIPE_BUF])) is not None:
                    return written
        except OSError as error:
            if error.errno == errno.EPIPE:
                print_nowhere(self.fileno())
                run = run_that_saves()
                if run is None:
                    raise
                run.lose_reader()
            elif error.errno in (errno.EIO, errno.EBADF):
                print_nowhere(self.fileno())
            else:
                self.refused = self.refused or error
        return whole.nbytes

    def _has_room(self) -> bool:
        """Waits until a reader has read; False where that takes too long."""
        waited = 0.0
        while not select.select([], [self], [], _LOOK)[1]:
            waited += _LOOK
            if self.patience is not None and waited > self.patience:
                self.patience = 0.0
                return False
        return True


def refused_output() -> str | None:
    """At the end of a command: a sentence, where a disk took less than was printed."""
    for stream in (sys.stdout, sys.stderr):
        output = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(output, _Output) and output.refused is not None:
            return (
                f"error: not all of the output could be printed ({output.refused.strerror}); "
                "all else is done."
            )
    return None

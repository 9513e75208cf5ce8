"""SIGTERM, Ctrl-C and a terminal that goes: asked to stop, a run saves first."""

import os
import signal
import stat
import sys
import threading
import time
import warnings
from types import FrameType
from typing import Any

from hierseg_jax.system.console import SIGPIPE, hurry, ignore_interrupts, print_nowhere, tell

_AGAIN = 0.5
"""Seconds after a first Ctrl-C from which on a second one is another."""


def is_another(since: float) -> bool:
    """Whether a Ctrl-C is no echo of one before: what passes it on to children may send it twice.

    Args:
      since: `time.monotonic()` at the one before.
    """
    return time.monotonic() - since > _AGAIN


def stop_signals() -> tuple[int, ...]:
    """SIGTERM, SIGINT, and SIGHUP unless it is ignored, as by `nohup`; Windows has none."""
    hang_up = getattr(signal, "SIGHUP", None)
    ignored = hang_up is None or signal.getsignal(hang_up) == signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *(() if ignored else (hang_up,)))


def let_go_of_terminal(number: int) -> None:
    """After SIGHUP, which says that it has gone: every line would be an error."""
    if number == getattr(signal, "SIGHUP", None):
        for descriptor in (1, 2):  # one that has gone is no terminal to isatty
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                print_nowhere(descriptor)


class Stopped(Exception):  # noqa: N818
    """Raised where work is left because a signal has asked to stop."""


class StopSignals:
    """While entered, `stop_signals` are only noted; a second SIGINT, later on, interrupts.

    Entered within another one, it starts with what that has received, and passes on what comes.
    In a thread other than the main one signals can't be caught: that is warned of once.

    Args:
      at_once: where nothing has to be saved, what is said as a signal ends the program at once;
        "" only notes signals.

    Attributes:
      received: the signal's number once it has come to this process, 0 before.
      since: `time.monotonic()` then.
      learned: the same of any process of the run, once all of them know.
    """

    def __init__(self, at_once: str = "") -> None:
        self.received = 0
        self.learned = 0
        self.since = 0.0
        self.at_once = at_once
        self._before: dict[int, Any] = {}
        self._outer: StopSignals | None = None

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is not threading.main_thread():
            warnings.warn(
                "Signals are not caught in a thread: SIGTERM and Ctrl-C end the program without "
                "saving; the run then goes on from its last checkpoint.",
                RuntimeWarning,
                stacklevel=2,
            )
            return self
        for number in stop_signals():
            self._before[number] = signal.signal(number, self._receive)
        outer = getattr(self._before[signal.SIGTERM], "__self__", None)
        if isinstance(outer, StopSignals):
            self._outer, self.received = outer, outer.received
            self.since = outer.since
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> int:
        """The signal's number once any process is known to have it, 0 before."""
        return self.received or self.learned

    def learn(self, number: int) -> None:
        """All processes know of a signal, or of none (0)."""
        self.learned = self.learned or number

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received and number == signal.SIGINT:
            if is_another(self.since):
                raise KeyboardInterrupt
            return
        self._note(number)
        let_go_of_terminal(number)
        if self.at_once:
            self.end(self.at_once)
        name = signal.Signals(number).name
        tell(f"\n{name}: saving, then ending.")

    def lose_reader(self) -> None:
        """Whoever reads what is printed has gone: SIGPIPE, unless another signal came before."""
        if not self.received:
            self._note(SIGPIPE)

    def _note(self, number: int) -> None:
        self.received, self.since = number, time.monotonic()
        hurry()
        if self._outer is not None:
            self._outer.received, self._outer.since = number, self.since

    def end(self, what: str) -> None:
        """Ends the program as the signal would have, after saying what was saved."""
        name = signal.Signals(self.requested).name
        tell(f"{name}: {what}. Give the same command to go on.")
        ignore_interrupts()
        sys.exit(128 + self.requested)


def run_that_saves() -> StopSignals | None:
    """Whatever now notes signals and, asked to stop, saves first."""
    stop = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return stop if isinstance(stop, StopSignals) and not stop.at_once else None

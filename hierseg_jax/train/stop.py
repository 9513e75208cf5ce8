"""SIGTERM and Ctrl-C: asked to stop, a run saves first."""

import signal
import sys
from types import FrameType
from typing import Any


class StopSignals:
    """While entered, SIGTERM and SIGINT are only noted; a second SIGINT interrupts.

    Entered within another one, it starts with what that has received, and passes on what comes.

    Attributes:
      received: the signal's number once it has come to this process, 0 before.
      learned: the same of any process of the run, once all of them know.
    """

    def __init__(self) -> None:
        self.received = 0
        self.learned = 0
        self._before: dict[int, Any] = {}
        self._outer: StopSignals | None = None

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)
        outer = getattr(self._before[signal.SIGTERM], "__self__", None)
        if isinstance(outer, StopSignals):
            self._outer, self.received = outer, outer.received
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
            raise KeyboardInterrupt
        self.received = number
        if self._outer is not None:
            self._outer.received = number
        name = signal.Signals(number).name
        print(f"\n{name}: saving, then ending.", file=sys.stderr, flush=True)

    def end(self, what: str) -> None:
        """Ends the program as the signal would have, after saying what was saved."""
        name = signal.Signals(self.requested).name
        print(f"{name}: {what}. Give the same command to go on.", file=sys.stderr, flush=True)
        sys.exit(128 + self.requested)

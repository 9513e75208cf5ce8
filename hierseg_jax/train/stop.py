"""SIGTERM and Ctrl-C: asked to stop, a run saves first."""

import signal
import sys
from types import FrameType
from typing import Any


class StopSignals:
    """While entered, SIGTERM and SIGINT only set `requested`; a second SIGINT interrupts.

    Attributes:
      requested: the signal's number once it has come, 0 before.
    """

    def __init__(self) -> None:
        self.requested = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = number
        name = signal.Signals(number).name
        print(f"\n{name}: saving, then ending.", file=sys.stderr, flush=True)

    def end(self, what: str) -> None:
        """Ends the program as the signal would have, after saying what was saved."""
        name = signal.Signals(self.requested).name
        print(f"{name}: {what}. Give the same command to go on.", file=sys.stderr, flush=True)
        sys.exit(128 + self.requested)

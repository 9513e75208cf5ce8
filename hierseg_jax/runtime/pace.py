"""When a frame is due: arithmetic on seconds, and the watch they are read from."""

import dataclasses
import statistics
import time
from collections.abc import Callable

Clock = Callable[[], float]
# Of a frame rate's median: long enough to be read, short enough to follow.
_LAST = 31


class Stopwatch:
    """Seconds since the first question, pauses left out.

    Attributes:
      paused: whether it stands still.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._started: float | None = None
        self._stopped: float | None = None

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._stopped is not None

    def elapsed(self) -> float:
        """In seconds; 0 at the first call."""
        now = self._clock() if self._stopped is None else self._stopped
        self._started = now if self._started is None else self._started
        return now - self._started

    def pause(self, paused: bool) -> None:
        """Stands still, or goes on from where it stood."""
        self.elapsed()
        if paused and self._stopped is None:
            self._stopped = self._clock()
        elif not paused and self._stopped is not None and self._started is not None:
            self._started += self._clock() - self._stopped
            self._stopped = None


@dataclasses.dataclass(frozen=True)
class Rate:
    """How fast pictures follow one another: of the last few, whatever one of them took.

    Attributes:
      times: in seconds, of the last pictures.
    """

    times: tuple[float, ...] = ()

    def after(self, seconds: float) -> "Rate":
        """With a picture at that time."""
        return Rate((*self.times[-_LAST + 1 :], seconds))

    @property
    def fps(self) -> float | None:
        """Pictures a second by the median of their distances; None before there are three."""
        distances = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        middle = statistics.median(distances) if len(distances) > 1 else 0
        return 1 / middle if middle > 0 else None


def frames_missing(written: int, elapsed: float, fps: float, slack: int = 0) -> int:
    """How often the last picture stands in a video before the next, so that it keeps the time.

    Args:
      written: frames in the video.
      elapsed: seconds between the first picture and the next one.
      fps: of the video.
      slack: frames that may be missing without being made up for.

    Returns:
      That number, 0 for a picture that comes in time; -1 for one that there is no room for.
    """
    missing = round(elapsed * fps) - written
    return -1 if missing < -1 else missing if missing > slack else 0

"""Frames as they are to be shown: in time, or the newest one of a camera."""

import threading
from collections.abc import Callable, Generator, Iterable

from hierseg_jax.runtime.pace import Stopwatch
from hierseg_jax.runtime.video import Frame, Video

Wait = Callable[[float], bool]
"""Lets so many seconds pass; False where nobody wants to go on."""
# Seconds between two looks at whether somebody wants to end.
_LOOK = 0.05
_ROUNDING = 1e-6


def in_real_time(video: Video, watch: Stopwatch, wait: Wait) -> Generator[Frame]:
    """Frames at the video's own pace; those that would come late are passed over.

    Args:
      video: from its beginning.
      watch: which tells the time; a pause holds the video.
      wait: for a frame that is early.
    """
    try:
        late: Frame | None = None
        while video.advance():
            if late is not None and video.seconds > watch.elapsed():
                yield late  # it stands until this one
            late, elapsed = None, watch.elapsed()
            over = video.seconds + 1 / video.fps <= elapsed + _ROUNDING
            if not over and not wait(max(0.0, video.seconds - elapsed)):
                return
            frame = video.frame()
            if frame is None:
                break
            if over:
                late = frame
            else:
                yield frame
        if late is not None:
            yield late
    finally:
        video.close()
    yield from video.ending()


class Newest:
    """One place for a frame: whoever comes takes the newest one, and others are forgotten.

    A thread reads, so that a camera's own buffer never fills with frames that are late.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = frames
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._ended, self._stopped = False, False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes, and nothing is left to be taken."""
        with self._changed:
            return self._ended and self._frame is None

    def take(self, seconds: float) -> Frame | None:
        """A frame that nobody had yet; None where there is none within so many seconds.

        Raises:
          Exception: what ended the reading, once its last frame was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._frame is not None, seconds)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def stop(self) -> None:
        """Ends the thread; one that waits for a stalled source ends with the process."""
        self._stopped = True
        self._thread.join(1)

    def _read(self) -> None:
        try:
            for frame in self._frames:
                with self._changed:
                    self._frame = frame
                    self._changed.notify()
                if self._stopped:
                    break
        except Exception as error:  # raised where frames are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()


def newest_frames(frames: Iterable[Frame], wait: Wait) -> Generator[Frame]:
    """Of a live source, as often as one is asked for."""
    slot = Newest(frames)
    try:
        while not slot.ended:
            frame = slot.take(_LOOK)
            if frame is not None:
                yield frame
            elif not wait(0.0):
                return
        slot.take(0.0)  # raises what ended it
    finally:
        slot.stop()

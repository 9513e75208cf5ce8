"""A window that shows what a network sees; what its keys do is `view`'s."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hierseg_jax.reports.drawing.legend import letter_size
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.reports.drawing.plate import caption_plate, lay_over
from hierseg_jax.runtime.outputs import write_new_image
from hierseg_jax.runtime.pace import Rate, Stopwatch
from hierseg_jax.runtime.segmentation import Segmentation
from hierseg_jax.runtime.window_keys import (
    KEYS,
    STILL_KEYS,
    WindowView,
    after_frame,
    caption,
    press,
)
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.fonts import find_fonts
from hierseg_jax.tree.level import Level

NAME = "hierseg"
# Pixels of a screen that a window takes at first; it may be drawn larger.
_WIDEST, _HIGHEST = 1600, 900
# Seconds between two looks at the keys, and that a caption tells what a key did.
_LOOK, _TOLD = 0.02, 2.0

Finished = Callable[[bool], Segmentation]
"""A picture's labels, whose borders follow its edges or don't."""


class Window:
    """One window, of one run.

    Attributes:
      view: what it shows now.
    """

    def __init__(
        self,
        view: WindowView,
        levels: tuple[Level, ...],
        painter: Painter,
        watch: Stopwatch,
        folder: Path,
        key_pressed: Callable[[int], int] = cv2.waitKeyEx,
    ) -> None:
        """Nothing is opened before the first picture.

        Args:
          view: to begin with.
          levels: all of the network's.
          painter: of these.
          watch: that stands still in a pause.
          folder: for what the key `s` writes.
          key_pressed: waits for so many milliseconds and gives a key's code, or -1.
        """
        self.view = view
        self._levels, self._painter, self._watch = levels, painter, watch
        self._folder, self._key_pressed = folder, key_pressed
        self._names = tuple(level.name for level in levels)
        self._fonts = find_fonts(self._names)
        self._rate, self._said, self._until = Rate(), "", 0.0
        self._shape: tuple[int, ...] = ()  # of the picture that the window was made for
        self._picture: tuple[np.ndarray, Segmentation] | None = None
        self._finished: Finished | None = None
        self._drawn_bgr: np.ndarray | None = None

    def show(self, image_bgr: np.ndarray, result: Segmentation, finished: Finished | None) -> bool:
        """Shows a picture; False where the window is to end. An image stays until a key.

        Args:
          image_bgr: the picture.
          result: of the network.
          finished: gives others, where a key asks for them while the picture stays; None where
            there are none.
        """
        if self._closed():
            return False
        self._picture, self._finished = (image_bgr, result), finished
        if not self.view.stills:
            self._rate = self._rate.after(self._watch.elapsed())
            before, self.view = self.view, after_frame(self.view, sum(result.seconds.values()))
            if before.edges and not self.view.edges:
                self._say("edges off: slow (e)")
        self._draw()
        images = self.view.images
        while self.wait(_LOOK if self.view.stills else 0.0):
            if not self.view.stills or self.view.images > images:
                return True
        return False

    def wait(self, seconds: float) -> bool:
        """Lets time pass, and pauses too; False where the window is to end."""
        end = self._watch.elapsed() + seconds
        while not self.view.ended:
            left = min(_LOOK, end - self._watch.elapsed())
            self._press(self._key_pressed(max(1, round(1000 * left))))
            if not self._watch.paused and self._watch.elapsed() >= end:
                break
        return not self.view.ended

    def close(self) -> None:
        """Takes the window from the screen."""
        if self._shape:
            cv2.destroyAllWindows()

    def _closed(self) -> bool:
        """Whether the user has closed it."""
        return bool(self._shape) and cv2.getWindowProperty(NAME, cv2.WND_PROP_VISIBLE) < 1

    def _press(self, code: int) -> None:
        before, self.view = self.view, press(self.view, code)
        if self._closed():
            self.view = press(self.view, ord("q"))
        self._watch.pause(self.view.paused)
        if self.view == before or self.view.ended:
            return
        if self.view.screenshots > before.screenshots and self._drawn_bgr is not None:
            file = write_new_image(self._folder / "screenshot.png", self._drawn_bgr)
            tqdm.write(f"Written: {file}", file=sys.stderr)
            self._say(f"written: {file.name}")
        if self.view.edges != before.edges:
            self._change_edges(before)
        self._draw()

    def _change_edges(self, before: WindowView) -> None:
        if self._picture is None:
            return
        if self._finished is None:
            self.view = before
            self._say("no scores to change edges by")
            return
        self._picture = self._picture[0], self._finished(self.view.edges)
        self._say(f"edges {'on' if self.view.edges else 'off'}")

    def _say(self, what: str) -> None:
        """In the caption, for a while."""
        self._said, self._until = what, time.monotonic() + _TOLD

    def _draw(self) -> None:
        if self._picture is None:
            return
        image_bgr, result = self._picture
        levels = [self._levels[number] for number in self.view.levels]
        drawn_bgr = self._painter.draw_levels(
            image_bgr, result.levels, levels, self.view.photo_share
        )
        self._drawn_bgr = drawn_bgr.copy()
        said = self._said if time.monotonic() < self._until else ""
        text = caption(self.view, self._names, self._rate.fps, said)
        em = letter_size(image_bgr.shape[:2])
        lines: tuple[tuple[str, str], ...] = ((text, ""),)
        if self.view.keys_shown:
            lines = (*lines, *(STILL_KEYS if self.view.stills else KEYS))
        plate = caption_plate(lines, em, self._fonts)
        lay_over(drawn_bgr, plate, (0, 0), bgr=True)
        if self._shape != drawn_bgr.shape:
            open_window(NAME, drawn_bgr.shape)
            self._shape = drawn_bgr.shape
        cv2.imshow(NAME, drawn_bgr)


def open_window(name: str, shape: tuple[int, ...]) -> None:
    """As large as the picture, or as a screen has room for; one that is open changes its size.

    Qt keeps no ratio of its own where pictures of another shape follow.
    """
    cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    shrunk = min(1.0, _WIDEST / shape[1], _HIGHEST / shape[0])
    cv2.resizeWindow(name, round(shrunk * shape[1]), round(shrunk * shape[0]))


def require_display() -> None:
    """Raises ValueError where a window can't be opened.

    Without a display Qt aborts the whole process; hence another one tries first.
    """
    if not cv2.currentUIFramework():
        raise HiersegError(
            "--show needs an OpenCV with windows, and this one has none; install opencv-python in "
            "place of opencv-python-headless, or give --output."
        )
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('trial')"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:  # noqa: S603
        raise HiersegError(
            "--show needs a display, and none can be opened; leave it out, and give --output."
        )

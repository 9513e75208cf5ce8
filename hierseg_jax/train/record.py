"""What a run leaves beside its checkpoints: tables, curves, pictures, TensorBoard's events."""

import contextlib
import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from tensorboardX import SummaryWriter

from hierseg_jax.checkpoint import HISTORY
from hierseg_jax.evaluation.shown_pictures import Samples
from hierseg_jax.reports.drawing.overlay import overlaid
from hierseg_jax.settings import Settings
from hierseg_jax.system.atomic_writing import write_atomically, write_json
from hierseg_jax.system.fonts import find_fonts, missing_note
from hierseg_jax.system.notes import note
from hierseg_jax.train.events import Events
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.sample_pictures import draw_samples, without_ignored
from hierseg_jax.tree.hierarchy import Hierarchy

DRAWING_SHARE = 1 / 10
"""Of a run's time, what its pictures take at most, beside the first and the last drawing: on a GPU
an epoch can be shorter than one."""


class Pace:
    """Says when something may be done again that is not to take more than a share of the time."""

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._rests = 1 / share - 1
        self._clock = clock
        self._due = self._began = clock()

    def is_due(self) -> bool:
        """Whether it may; the first time it always may."""
        return self._clock() >= self._due

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        ended = self._clock()
        self._due = ended + self._rests * (ended - self._began)


class Recorder:
    """Writes a run's files anew after every epoch, from its history alone.

    A resumed run therefore leaves the files of an uninterrupted one. Where epochs are short,
    pictures are not drawn after every one, but always at the end. After a kill `samples.png` may
    be of an earlier best epoch until there is a better one.
    """

    def __init__(
        self,
        workdir: Path,
        settings: Settings,
        hierarchy: Hierarchy,
        start_step: int,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens TensorBoard's file.

        Args:
          workdir: of the run.
          settings: of the run.
          hierarchy: of its classes.
          start_step: that it goes on from.
          before: called before anything is written, and where that fails; it may know better why.
        """
        self._workdir, self._before = workdir, before
        self._config = settings.to_dict()
        self._hierarchy = hierarchy
        names = [name for level in hierarchy.levels for name in (level.name, *level.class_names)]
        note(missing_note(find_fonts(names).missing))
        self._drawing = Pace(DRAWING_SHARE)
        self._best: Callable[[], Samples] = dict
        self._undrawn: list[dict[str, Any]] = []
        self._events = None
        if settings.tensorboard:
            self._events = Events(workdir / "tensorboard", start_step)

    def write_epoch(
        self, progress: Progress, look_at_samples: Callable[[], Samples], *, last: bool
    ) -> None:
        """After every epoch; `samples.png` follows the best epoch so far.

        Args:
          progress: with the epoch.
          look_at_samples: at what the epoch's weights made of them; called when they are drawn.
          last: whether no epoch comes after it.
        """
        self._before()
        try:
            self._write(progress, look_at_samples, last)
        except OSError:
            self._before()
            raise

    def _write(
        self, progress: Progress, look_at_samples: Callable[[], Samples], last: bool
    ) -> None:
        rows = list(progress.rows)
        write_json(self._workdir / HISTORY, {"config": self._config, "epochs": rows})
        _write_csv(self._workdir / "metrics.csv", [flatten_dict(row, sep=".") for row in rows])
        is_best = progress.stale_epochs == 0
        if is_best:
            self._best = look_at_samples
        self._undrawn = rows
        due = last or self._drawing.is_due()
        with self._drawing if due else contextlib.nullcontext():
            shown = self._draw() if due else {}
            if self._events is not None:
                if due and not is_best:
                    shown = look_at_samples()
                with self._events.writer(progress.step) as writer:
                    self._write_events(writer, progress, shown)

    def draw_rest(self) -> None:
        """What was not due, where a run is stopped before its last epoch."""
        # No picture is worth another end of the run than the one that was asked for.
        with contextlib.suppress(OSError, ValueError):
            if self._undrawn:
                self._draw()

    def _draw(self) -> Samples:
        """All that was not drawn; gives back what the best epoch of that made of samples."""
        # Matplotlib is a fifth of what a training process imports, and wanted here alone.
        from hierseg_jax.train.curve_pictures import draw_loss, draw_metrics

        draw_loss(self._undrawn, self._workdir / "loss.png")
        draw_metrics(self._undrawn, self._workdir / "metrics.png")
        if samples := self._best():
            draw_samples(samples, self._hierarchy, self._workdir / "samples.png")
        self._undrawn, self._best = [], dict
        return samples

    def _write_events(self, writer: SummaryWriter, progress: Progress, samples: Samples) -> None:
        row = dict(progress.rows[-1])
        for key, value in flatten_dict(row, sep=".").items():
            if key not in ("epoch", "step") and value is not None:
                writer.add_scalar(key.replace(".", "/"), value, progress.step)
        if samples:
            leaf, shown = self._hierarchy.num_levels - 1, without_ignored(samples)
            for kind in ("label", "prediction"):
                pictures = [
                    overlaid(image, label, self._hierarchy, leaf)
                    for image, label in zip(shown["image"], shown[kind], strict=True)
                ]
                writer.add_images(
                    f"samples/{kind}", _stacked(pictures), progress.step, dataformats="NHWC"
                )

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._events is not None:
            self._events.close()


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of several sizes, each in the middle of white: uint8 [N, H, W, 3]."""
    sizes = np.array([picture.shape[:2] for picture in pictures])
    canvas = np.full((len(pictures), *sizes.max(0), 3), 255, np.uint8)
    for of_one, picture, size in zip(canvas, pictures, sizes, strict=True):
        (top, left), (height, width) = (sizes.max(0) - size) // 2, size
        of_one[top : top + height, left : left + width] = picture
    return canvas


def _write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    # Rows of a run that an older version began may lack columns.
    columns = list(dict.fromkeys(key for row in reversed(rows) for key in row))
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(file, text.getvalue().encode())

"""What a run over a source draws, and where it writes that."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hierseg_jax.reports.drawing.painter import LEGENDS, Painter
from hierseg_jax.runtime.frames import Images
from hierseg_jax.runtime.mask_data import DATA, LIST, MaskData
from hierseg_jax.runtime.outputs import VideoFile, write_image
from hierseg_jax.runtime.pace import Stopwatch, frames_missing
from hierseg_jax.runtime.places import label_map, settle_places
from hierseg_jax.runtime.segmenter import Segmentation, Segmenter
from hierseg_jax.runtime.video import Frame, Video
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note
from hierseg_jax.tree.level import Level


class Sink:
    """Draws and writes; refuses what exists before any work.

    Attributes:
      places: the video or picture, and the folder of several files; empty if none is written.
      folder: of what is written, or would be.
      left_out: frames of a file that come faster than those that are written.
      missing: the images that are to be segmented; None for a video.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        opened: Images | Video,
        source: str,
        output: str | None,
        levels: list[int],
        masks: bool,
        overwrite: bool,
        *,
        legend: str = "auto",
        pictures: bool = True,
        skip_existing: bool = False,
        watch: Stopwatch | None = None,
    ) -> None:
        """Names are settled, and a video begun.

        Args:
          segmenter: the network.
          opened: the source.
          source: as it was given.
          output: a folder, or a file; None for the usual place.
          levels: numbers of those that are drawn.
          masks: whether label maps are written.
          overwrite: whether files that are there may go.
          legend: of `painter.LEGENDS`, or `auto`.
          pictures: whether drawn pictures are written.
          skip_existing: whether files that are there stay as they are, without a refusal.
          watch: for a live source, whose video is to keep its time.
        """
        self._levels = [segmenter.hierarchy.levels[i] for i in levels]
        self._painter = painter_for(self._levels, opened, legend)
        self._watch = watch if watch is not None and isinstance(opened, Video) else None
        self._last: np.ndarray | None = None
        self.left_out = 0
        note(self._painter.note)
        masks_of = [level.name for level in self._levels if masks]
        finest = segmenter.hierarchy.levels[-1].name
        places = settle_places(opened, source, output, masks_of, pictures, finest)
        self._places = places
        self._skip_existing = skip_existing
        self.folder = places.folder
        self.places = places.where_to_look
        self.missing = None
        if isinstance(opened, Images):
            both = zip(opened.files, opened.names, strict=True)
            missing = (
                file for file, name in both if not (skip_existing and places.has_image(name))
            )
            self.missing = dataclasses.replace(opened, files=tuple(missing))
        places.make_room(overwrite or skip_existing)
        self._data: MaskData | None = None
        if isinstance(opened, Images) and places.labelled is not None:
            folder = opened.files[0].parent
            self._data = MaskData(places.labelled, folder, segmenter.hierarchy, overwrite)
        self._video: VideoFile | None = None
        if isinstance(opened, Video) and places.video is not None:
            self._video = self._begin(places.video, opened)

    def _begin(self, file: Path, opened: Video) -> VideoFile:
        width, height = opened.size
        below = self._painter.legend_height((height, width))
        size = (width * len(self._levels), height + below)
        video = VideoFile(file, opened.fps, size)
        if video.size != size:
            tqdm.write(
                f"{file}: {size[0]}x{size[1]} pixels are written as "
                "{}x{}, its codec takes even sides".format(*video.size)
                + ("; an .avi keeps them." if video.fps == round(video.fps) else "."),
                file=sys.stderr,
            )
        return video

    def take(self, frame: Frame, result: Segmentation) -> None:
        """Draws and writes one picture, as far as anything is to be written."""
        if self._video is not None or frame.name in self._places.pictures:
            assert frame.image_bgr is not None
            drawn_bgr = self._painter.draw_levels(frame.image_bgr, result.levels, self._levels)
            if self._video is not None:
                self._write_frame(self._video, drawn_bgr, frame.seconds)
            else:
                self._write(self._places.pictures[frame.name], drawn_bgr)
        self._name_label_map(frame.name)
        for level, folder in self._places.masks.items():
            self._write(label_map(folder, frame.name), result.levels[level])

    def _name_label_map(self, name: str) -> None:
        if self._data is not None and not self._data.begin():
            note(
                f"{self._data.masks / DATA} is of other pictures or classes, and stays as it is. "
                f"The label maps of this run are not named in {LIST} beside it; add them if their "
                "numbers mean the same, or give another --output."
            )
            self._data = None
        if self._data is not None:
            self._data.add(Path(name).name)

    def _write(self, file: Path, image: np.ndarray) -> None:
        if not (self._skip_existing and file.exists()):
            write_image(file, image)

    def _write_frame(self, video: VideoFile, drawn_bgr: np.ndarray, seconds: float | None) -> None:
        """A picture stands until the next one comes, however long that takes.

        Args:
          seconds: when it is shown; of a camera None: that is now. Times of files are rounded, so
            that frames which follow evenly are to be written one for one.
        """
        missing = 0
        if self._watch is not None:
            missing = frames_missing(video.count, self._watch.elapsed(), video.fps)
        elif seconds is not None:
            missing = frames_missing(video.count, seconds, video.fps, slack=1)
            self.left_out += missing < 0
        if missing < 0:
            return
        for _ in range(missing):
            video.write(drawn_bgr if self._last is None else self._last)
        self._last = drawn_bgr
        video.write(drawn_bgr)

    def close(self) -> None:
        """Completes a video, or a data set of label maps."""
        if self._video is not None:
            self._video.close()
        if self._data is not None:
            self._data.finish()


def painter_for(levels: Sequence[Level], opened: Images | Video, legend: str) -> Painter:
    """With the legend of a choice: `auto` is below images, and over videos, which keep their size.

    Raises:
      ValueError: for no choice of these.
    """
    moving = isinstance(opened, Video)
    if legend not in ("auto", *LEGENDS):
        raise HiersegError(f"--legend is {legend!r}; choose auto, {', '.join(LEGENDS)}.")
    place = ("corner" if moving else "below") if legend == "auto" else legend
    return Painter(levels, steady=moving, legend=place)

"""What a run over a source draws, and where it writes that."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from tqdm import tqdm

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.reports.drawing.painter import LEGENDS, Painter
from hierseg_jax.runtime.frames import Images, Video
from hierseg_jax.runtime.outputs import VideoFile, folder_name, refuse_existing, write_image
from hierseg_jax.runtime.pace import Stopwatch, frames_missing
from hierseg_jax.runtime.segmenter import Segmentation, Segmenter
from hierseg_jax.runtime.video import is_address
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.errors import HiersegError, HiersegPermissionError
from hierseg_jax.system.paths import local_path
from hierseg_jax.tree.hierarchy import Level


class Sink:
    """Draws and writes; decides all names, and refuses what exists, before any work.

    Attributes:
      place: where pictures, or masks alone, are; None where nothing is written.
      folder: of what is written, or would be.
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
          watch: for a live source, whose video is to keep its time.
        """
        self._levels = [segmenter.hierarchy.levels[i] for i in levels]
        self._painter = painter_for(self._levels, opened, legend)
        self._watch = watch if watch is not None and isinstance(opened, Video) else None
        self._last: np.ndarray | None = None
        if self._painter.note:
            tqdm.write(f"note: {self._painter.note}", file=sys.stderr)
        self._video: VideoFile | None = None
        self._pictures: dict[str, Path] = {}
        self.place: Path | None = None
        if isinstance(opened, Images):
            folder = local_path(output or "segmented")
            self.place = folder if pictures or masks else None
            names = [file.name for file in opened.files]
            if len(names) == 1 and folder.suffix.lower() in IMAGE_SUFFIXES and not folder.is_dir():
                names, folder = [folder.name], folder.parent
            stems = [Path(name).stem for name in names]
            if len(set(stems if masks else names)) < len(names):
                raise HiersegError(f"Two images of {source} have one name; segment them apart.")
            targets = [folder / name for name in names if pictures]
            sources = [file.name for file in opened.files]
            self._pictures = dict(zip(sources, targets, strict=True)) if pictures else {}
            mine = {file.resolve() for file in opened.files}
            if any(target.resolve() in mine for target in targets):
                raise HiersegError(f"--output is where the images are, {folder}; choose another.")
        elif pictures and (output or not opened.live):
            file = local_path(output) if output else Path("segmented") / f"{_stem(source)}.mp4"
            self.place, folder, targets = file, file.parent, [file]
            if file.exists() and Path(source).exists() and file.samefile(source):
                raise HiersegError(f"--output is the source itself, {file}; choose another.")
        else:
            folder, targets = Path("segmented"), []
            self.place = folder if masks else None
        self._masks = {
            each.name: folder / "masks" / folder_name(each.name)
            for each in (self._levels if masks else ())
        }
        if len(set(self._masks.values())) < len(self._masks):
            raise HiersegError(
                "Two levels of the network have one name as that of a folder "
                f"({', '.join(self._masks)}); write their masks "
                "one by one, with --level, to an --output each."
            )
        if isinstance(opened, Images):
            targets += [to / f"{stem}.png" for to in self._masks.values() for stem in stems]
        else:
            # A shorter video would leave the last frames of a longer one among its own.
            stale = [f for to in self._masks.values() for f in sorted(to.glob("frame_*.png"))]
            targets += [to / "frame_000001.png" for to in self._masks.values()] + stale
        self.folder = folder
        refuse_existing(targets, overwrite)
        for needed in (folder, *self._masks.values()) if targets else ():
            make_folder(needed)
            if not os.access(needed, os.W_OK):
                raise HiersegPermissionError(
                    f"{needed} can't be written to; choose another --output."
                )
        if isinstance(opened, Video):
            for file in stale:
                file.unlink()
        if isinstance(opened, Video) and len(targets) and self.place in targets:
            width, height = opened.size
            below = self._painter.legend_height((height, width))
            size = (width * len(levels), height + below)
            self._video = VideoFile(self.place, opened.fps, size)
            if self._video.size != size:
                tqdm.write(
                    f"{self.place}: {size[0]}x{size[1]} pixels are written as "
                    "{}x{}, its codec takes even sides; an .avi keeps them.".format(
                        *self._video.size
                    ),
                    file=sys.stderr,
                )

    def take(self, name: str, image_bgr: np.ndarray, result: Segmentation) -> None:
        """Draws and writes one picture, as far as anything is to be written."""
        if self._video is not None or name in self._pictures:
            drawn_bgr = self._painter.draw_levels(image_bgr, result.levels, self._levels)
            if self._video is not None:
                self._write_frame(self._video, drawn_bgr)
            else:
                write_image(self._pictures[name], drawn_bgr)
        for level, folder in self._masks.items():
            write_image(folder / f"{Path(name).stem}.png", result.levels[level])

    def _write_frame(self, video: VideoFile, drawn_bgr: np.ndarray) -> None:
        """A camera's picture stands until the next one comes, however long that takes."""
        if self._watch is not None:
            missing = frames_missing(video.count, self._watch.elapsed(), video.fps)
            if missing < 0:
                return
            for _ in range(missing):
                video.write(drawn_bgr if self._last is None else self._last)
            self._last = drawn_bgr
        video.write(drawn_bgr)

    def close(self) -> None:
        """Completes a video."""
        if self._video is not None:
            self._video.close()


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


def _stem(source: str) -> str:
    """Of a file, or of what an address ends in."""
    if not is_address(source):
        return Path(source).stem
    return re.sub(r"[^\w.-]", "_", Path(urlsplit(source).path).stem) or "stream"

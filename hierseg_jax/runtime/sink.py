"""What a run over a source draws, and where it writes that."""

import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.frames import Images, Video
from hierseg_jax.runtime.outputs import VideoFile, folder_name, refuse_existing, write_image
from hierseg_jax.runtime.segmenter import Segmentation, Segmenter
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.errors import HiersegError, HiersegPermissionError
from hierseg_jax.system.paths import local_path, stored_name


class Sink:
    """Draws and writes; decides all names, and refuses what exists, before any work."""

    def __init__(
        self,
        segmenter: Segmenter,
        opened: Images | Video,
        source: str,
        output: str | None,
        levels: list[int],
        masks: bool,
        overwrite: bool,
    ) -> None:
        self._levels = [segmenter.hierarchy.levels[i] for i in levels]
        self._painter = Painter(self._levels, steady=isinstance(opened, Video))
        if self._painter.note:
            tqdm.write(f"note: {self._painter.note}", file=sys.stderr)
        self._video: VideoFile | None = None
        self._pictures: dict[str, Path] = {}
        self.place: Path | None = None
        if isinstance(opened, Images):
            self.place = folder = local_path(output or "segmented")
            names = [file.name for file in opened.files]
            if len(names) == 1 and folder.suffix.lower() in IMAGE_SUFFIXES and not folder.is_dir():
                names, folder = [folder.name], folder.parent
            stems = [Path(name).stem for name in names]
            if len(set(map(stored_name, stems if masks else names))) < len(names):
                raise HiersegError(f"Two images of {source} have one name; segment them apart.")
            targets = [folder / name for name in names]
            sources = [file.name for file in opened.files]
            self._pictures = dict(zip(sources, targets, strict=True))
            mine = {file.resolve() for file in opened.files}
            if any(target.resolve() in mine for target in targets):
                raise HiersegError(f"--output is where the images are, {folder}; choose another.")
        elif output or not opened.live:
            file = local_path(output) if output else Path("segmented") / f"{Path(source).stem}.mp4"
            self.place, folder, targets = file, file.parent, [file]
            if not opened.live and file.exists() and file.samefile(source):
                raise HiersegError(f"--output is the source itself, {file}; choose another.")
        else:
            folder, targets = Path("segmented"), []
        self._masks = {
            each.name: folder / "masks" / folder_name(each.name)
            for each in (self._levels if masks else ())
        }
        if len({stored_name(to.name) for to in self._masks.values()}) < len(self._masks):
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
        if isinstance(opened, Video) and self.place is not None:
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

    def take(self, name: str, image_bgr: np.ndarray, result: Segmentation) -> np.ndarray:
        """Draws and writes one picture; returns it as drawn."""
        drawn = self._painter.draw_levels(image_bgr, result.levels, self._levels)
        if self._video is not None:
            self._video.write(drawn)
        elif name in self._pictures:
            write_image(self._pictures[name], drawn)
        for level, folder in self._masks.items():
            write_image(folder / f"{Path(name).stem}.png", result.levels[level])
        return drawn

    def close(self) -> None:
        """Completes a video."""
        if self._video is not None:
            self._video.close()

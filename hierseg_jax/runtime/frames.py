"""Pictures from an image, a folder, a pattern, a video or a camera, one after another."""

import dataclasses
import glob
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.regular_file import check_pixels

# OpenCV would open these as videos of one frame.
UNREAD_SUFFIXES = (".gif", ".jp2", ".avif")
# Frames that a whole video may lack of what it announces.
MISCOUNTED = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One picture.

    Attributes:
      name: of its image file, or frame_000001.png and so on.
      image_bgr: uint8 [H, W, 3]; None where it can't be read.
      fault: the reason for that, a sentence.
    """

    name: str
    image_bgr: np.ndarray | None
    fault: str = ""


@dataclasses.dataclass(frozen=True)
class Images:
    """Image files, in order."""

    files: tuple[Path, ...]

    def __iter__(self) -> Iterator[Frame]:
        """Reads file after file; what can't be read comes as a fault."""
        for file in self.files:
            try:
                # No name for the picture in RGB, which would keep it beside the other.
                yield Frame(file.name, cv2.cvtColor(read_image(file), cv2.COLOR_RGB2BGR))
            except (HiersegError, OSError) as error:
                yield Frame(file.name, None, str(error))

    def __len__(self) -> int:
        """Number of files."""
        return len(self.files)


class Video:
    """A video file, or a camera; OpenCV turns frames upright, as a tag of the file says.

    Attributes:
      live: whether it is a camera.
      size: (width, height) in pixels, of upright frames.
      fps: frames per second.
    """

    def __init__(self, source: str) -> None:
        """Opens it; raises ValueError where nothing comes of it."""
        self.live = source.isdecimal()
        self._source = source
        self._capture = cv2.VideoCapture(int(source) if self.live else source)
        if not self._capture.isOpened():
            raise HiersegError(
                f"No camera with the index {source} can be opened."
                if self.live
                else f"{source} can't be opened: it is no image or video, or is cut off."
            )
        read = self._capture.get
        self.size = int(read(cv2.CAP_PROP_FRAME_WIDTH)), int(read(cv2.CAP_PROP_FRAME_HEIGHT))
        # Some containers tell none; their frames are as large as they are.
        try:
            check_pixels(source, max(1, self.size[1]), max(1, self.size[0]))
        except HiersegError:
            self._capture.release()
            raise
        fps = read(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else 30.0
        self._announced = 0 if self.live else max(0, int(read(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[Frame]:
        """Reads to the end; a video that ends far too early ends with a fault."""
        count = 0
        try:
            while True:
                found, image_bgr = self._capture.read()
                if not found:
                    break
                count += 1
                yield Frame(f"frame_{count:06d}.png", image_bgr)
        finally:
            self._capture.release()
        # Announced counts are estimates in some formats; a tenth is beyond any estimate.
        if count == 0 or count < 0.9 * self._announced:
            fault = f"{self._source} is cut off: it announces {self._announced} frames, {count} "
            yield Frame(self._source, None, fault + "could be read.")
        elif count + MISCOUNTED < self._announced:
            print(
                f"warning: {self._source} announces {self._announced} frames, {count} could be "
                "read; its end may be missing.",
                file=sys.stderr,
                flush=True,
            )

    def __len__(self) -> int:
        """Number of frames as announced; 0 where that is not known."""
        return self._announced


def open_frames(source: str) -> Images | Video:
    """What `--source` names.

    Args:
      source: an image, a folder of images, a pattern with * or ?, a video, or the index
        of a camera.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    path = Path(source)
    if not source:
        raise HiersegError(
            "--source is empty; give an image, a folder, a video or a camera's index."
        )
    if path.suffix.lower() in UNREAD_SUFFIXES:
        raise HiersegError(f"{source} is no JPEG or PNG image; convert it first.")
    if path.is_dir():
        files = sorted(
            f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()
        )
        if not files:
            raise HiersegError(f"{source} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
        return Images(tuple(files))
    if path.is_file():
        return Images((path,)) if path.suffix.lower() in IMAGE_SUFFIXES else Video(source)
    if source.isdecimal() and len(source) < 6:
        return Video(source)
    files = sorted(Path(f) for f in glob.glob(source) if Path(f).is_file())
    if not files:
        raise HiersegFileNotFoundError(
            f"{source} is no file, folder or camera index, and no file matches it as a pattern."
        )
    strange = next((f for f in files if f.suffix.lower() not in IMAGE_SUFFIXES), None)
    if strange is not None:
        raise HiersegError(
            f"{source} matches {strange}; a pattern is for images "
            f"({', '.join(IMAGE_SUFFIXES)}), videos are given one by one."
        )
    return Images(tuple(files))

"""Where segmented pictures go: image files, a video, label PNGs."""

import os
import re
import secrets
import shutil
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.system.atomic_writing import make_folder, write_atomically
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError, HiersegOSError
from hierseg_jax.system.wording import counted

# Windows has no files of these names.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d) *", re.IGNORECASE)
CODECS = {
    ".mp4": "mp4v",
    ".m4v": "mp4v",
    ".avi": "MJPG",
    ".mkv": "mp4v",
    ".mov": "mp4v",
    ".webm": "VP80",
}
"""Browsers play the last alone; OpenCV writes it several times as slowly as the others."""
RESERVE = 2 << 20
"""Bytes of a disk that a video leaves, beside those of a frame: it is completed with them."""


def write_image(file: Path, image: np.ndarray) -> None:
    """Encodes by the suffix and writes the file whole or not at all."""
    write_atomically(file, _encoded(file, image))


def write_new_image(file: Path, image: np.ndarray) -> Path:
    """Writes `a.png`, or the first of `a_2.png`, `a_3.png`, ... that does not exist; returns it."""
    make_folder(file.parent)
    data, name, number = _encoded(file, image), file, 1
    while True:
        made = False
        try:
            with name.open("xb") as opened:
                made = True
                opened.write(data)
        except FileExistsError:
            number += 1
            name = file.with_name(f"{file.stem}_{number}{file.suffix}")
            continue
        except OSError as error:
            if made:
                name.unlink(missing_ok=True)  # half of a picture
            reason = error.strerror or error
            raise HiersegOSError(f"{name} could not be written: {reason}.") from error
        return name


def _encoded(file: Path, image: np.ndarray) -> memoryview:
    done, data = cv2.imencode(file.suffix, image)
    if not done:
        raise HiersegOSError(f"{file} could not be written: OpenCV can't encode {file.suffix}.")
    return data.data


def folder_name(level_name: str) -> str:
    """A level's name as that of a folder: it comes from the .onnx and may hold anything."""
    name = re.sub(r"[^\w -]", "_", level_name) or "_"
    return f"{name}_" if _DEVICE.fullmatch(name) else name


def check_video_name(file: Path, example: str = "video.mp4") -> None:
    """Raises ValueError where a video can't be written to that; `example` is a video's name."""
    if file.is_dir():
        raise HiersegError(
            f"{file} is a folder, and is to be a video; give the name of a file as --output, such "
            f"as {file / example}."
        )
    if file.suffix.lower() not in CODECS:
        raise HiersegError(f"{file} is to be a video: end its name in {', '.join(CODECS)}.")


def refuse_existing(files: list[Path], overwrite: bool, others: bool = False) -> None:
    """Raises FileExistsError naming the first of them that is there; a folder always is refused.

    Args:
      files: to be written.
      overwrite: whether they may be there.
      others: whether the rest of them can be asked for.
    """
    folder = next((file for file in files if file.is_dir()), None)
    if folder is not None:
        raise HiersegFileExistsError(
            f"{folder} is a folder, and a file of that name is to be written; choose another "
            "--output."
        )
    found = next((file for file in files if file.exists()), None)
    if found is not None and not overwrite:
        raise HiersegFileExistsError(
            f"{found} exists; choose another --output or give --overwrite"
            + (", or --skip_existing to segment the others alone." if others else ".")
        )


class VideoFile:
    """A video that gets its name when it is complete.

    Attributes:
      size: (width, height) of its frames: even ones, as the codecs ask, but in an .avi of whole
        frames a second.
      fps: frames per second.
      count: of the frames written.
    """

    def __init__(self, file: Path, fps: float, size: tuple[int, int]) -> None:
        """Opens it for frames of (width, height); raises OSError or ValueError."""
        check_video_name(file)
        self._file, self.fps, self._drawn = file, fps, size
        # Another process may write one to the same name, of another machine or container even.
        self._partial = file.with_name(f".partial.{secrets.token_hex(4)}.{file.name}")
        self._replaces = file.exists()
        self._reserve = RESERVE + 3 * size[0] * size[1]
        # Some network folders say that nothing is free, and take all the same.
        self._watches_room = shutil.disk_usage(file.parent).free > self._reserve
        # OpenCV would write through a link that stands there.
        self._partial.unlink(missing_ok=True)
        code = cv2.VideoWriter.fourcc(*CODECS[file.suffix.lower()])
        # FFmpeg's writers drop the last row or column of odd sides. OpenCV's own does not, but
        # rounds how many frames a second has.
        odd = any(side % 2 for side in size)
        own = odd and file.suffix.lower() == ".avi" and fps == round(fps) > 0
        backend = cv2.CAP_OPENCV_MJPEG if own else cv2.CAP_ANY
        self.size = size if own else (size[0] // 2 * 2, size[1] // 2 * 2)
        self._writer = cv2.VideoWriter(str(self._partial), backend, code, fps, size)
        if not self._writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise HiersegOSError(
                f"{file} can't be written as a video of {size[0]}x{size[1]} pixels."
            )
        self.count = 0

    def write(self, image_bgr: np.ndarray) -> None:
        """Adds a frame.

        Raises:
          ValueError: for one of another size, which OpenCV would drop.
          OSError: where the disk is about to be full, of which OpenCV says nothing.
        """
        if (size := image_bgr.shape[1::-1]) != self._drawn:
            raise HiersegError(
                f"{self._file}: after {counted(self.count, 'frame')} the source changed its "
                f"size, from {self._drawn[0]}x{self._drawn[1]} to {size[0]}x{size[1]} pixels as "
                "drawn, and a video has one. What came before is kept."
            )
        if self._watches_room and shutil.disk_usage(self._file.parent).free < self._reserve:
            raise HiersegOSError(
                f"{self._file}: the disk is full after {counted(self.count, 'frame')}. What came "
                "before is kept."
            )
        self._writer.write(image_bgr)
        self.count += 1

    def close(self) -> None:
        """Completes the file; one without frames vanishes, and so does one that isn't whole.

        What is whole and can't have its name stays under the name that it was written by.

        Raises:
          OSError: where it can't be read back whole: OpenCV does not tell of a full disk.
        """
        self._writer.release()
        if not self.count:
            self._partial.unlink(missing_ok=True)
            return
        if not _readable_to_the_end(self._partial, self.count):
            self._partial.unlink(missing_ok=True)
            raise HiersegOSError(f"{self._file} could not be written whole. (Is the disk full?)")
        if self._file.is_file() and not self._replaces:
            raise HiersegFileExistsError(
                f"{self._file} is there now, and was not when this video was begun: another "
                f"process has written it. This one is in {self._partial}."
            )
        try:
            os.replace(self._partial, self._file)
        except OSError as error:
            raise HiersegOSError(
                f"{self._file} could not be written: {error.strerror or error}. The video is in "
                f"{self._partial}."
            ) from error


def _readable_to_the_end(file: Path, count: int) -> bool:
    """By its last frame or, where seeking fails, by all of them."""
    capture = cv2.VideoCapture(str(file))
    try:
        # In an .avi without its index a seek says yes and reads the first frame.
        at_last = capture.set(cv2.CAP_PROP_POS_FRAMES, count - 1) and capture.read()[0]
        if at_last and capture.get(cv2.CAP_PROP_POS_FRAMES) == count:
            return True
        capture.open(str(file))
        found = 0
        while capture.grab():
            found += 1
        return found >= count
    finally:
        capture.release()

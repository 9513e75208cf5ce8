"""Frames of a video file, of an address, or of a camera."""

import dataclasses
import os
import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.system.errors import HiersegError, warn
from hierseg_jax.system.regular_file import check_pixels, check_readable
from hierseg_jax.system.wording import counted

# Frames that a whole video may lack of what it announces.
MISCOUNTED = 2
# Containers that count their frames; the length times some rate is what others announce.
_COUNTED = (".mp4", ".m4v", ".mov", ".3gp", ".avi")
# Frames at the beginning by which a rate is known, and by how much it is then to be the faster one.
_FIRST, _FASTER, _FASTEST = 30, 1.2, 120.0
# Milliseconds; OpenCV's own is half a minute, for opening and for every frame.
_PATIENCE = 10_000
_ADDRESS = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|rtp|srt)://", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One picture.

    Attributes:
      name: of its image file, or frame_000001.png and so on.
      image_bgr: uint8 [H, W, 3]; None where it can't be read.
      fault: the reason for that, a sentence.
      seconds: of a video with an end, when it is shown, from the first frame on.
    """

    name: str
    image_bgr: np.ndarray | None
    fault: str = ""
    seconds: float | None = None


class Video:
    """A video, read once; OpenCV turns frames upright, as a tag of the file says.

    Attributes:
      live: whether it has no end of its own: a camera, or an address that announces none.
      name: of the source as messages have it, without a password.
      size: (width, height) in pixels, of upright frames.
      fps: frames per second, as it tells; of a file whose frames don't follow evenly, as in
        recordings of phones and screens, those of its beginning if they are more.
      count: of the frames that were read or skipped.
      seconds: when the last of these is shown, from the first one on.
    """

    def __init__(self, source: str) -> None:
        """Opens it; raises ValueError where nothing comes of it."""
        camera, address = source.isdecimal(), is_address(source)
        self.name = f"The camera {source}" if camera else without_password(source)
        if camera:
            self._capture = cv2.VideoCapture(int(source))
        elif address:
            limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
            settings = [number for limit in limits for number in (limit, _PATIENCE)]
            self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, settings)
        else:
            self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            if camera:
                raise HiersegError(missing_camera(int(source)))
            reason = "nobody answers there, or what comes is no video"
            if not address:
                check_readable(Path(source))
                reason = "it is no image or video, or is cut off"
            raise HiersegError(f"{self.name} can't be opened: {reason}.")
        read = self._capture.get
        self.size = int(read(cv2.CAP_PROP_FRAME_WIDTH)), int(read(cv2.CAP_PROP_FRAME_HEIGHT))
        if address and not all(self.size):
            self._capture.release()
            raise HiersegError(
                f"{self.name} tells no size of its frames: it is damaged, or no video. Give the "
                "address of a stream, or download the file."
            )
        # Some containers tell none; their frames are as large as they are.
        try:
            check_pixels(self.name, max(1, self.size[1]), max(1, self.size[0]))
        except HiersegError:
            self._capture.release()
            raise
        fps = read(cv2.CAP_PROP_FPS)
        self._told_fps = self.fps = fps if 0 < fps < 1000 else 30.0
        if not (camera or address):
            self.fps = _faster_beginning(source, self.fps)
        self._announced = 0 if camera else max(0, int(read(cv2.CAP_PROP_FRAME_COUNT)))
        self.live = camera or (address and not self._announced)
        self._lost = address
        self._exact = source.lower().endswith(_COUNTED)
        self._last_told, self._offset, self._tells = 0.0, 0.0, False
        self.count, self.seconds = 0, 0.0

    def advance(self) -> bool:
        """Goes on to the next frame, without its picture; False at the end."""
        if not self._capture.grab():
            return False
        self.count += 1
        told, before = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, self._last_told
        self._last_told = told
        if self.count == 1:
            self._offset = -told
            return True
        self._tells |= told != before
        if not self._tells:  # as some formats
            self.seconds = (self.count - 1) / self.fps
            return True
        if told < before:  # what was joined begins anew
            self._offset += before - told + 1 / self.fps
        self.seconds = told + self._offset
        return True

    def frame(self) -> Frame | None:
        """The frame that `advance` went on to; None where it can't be read."""
        found, image_bgr = self._capture.retrieve()
        if not found:
            return None
        seconds = None if self.live else self.seconds
        return Frame(f"frame_{self.count:06d}.png", image_bgr, seconds=seconds)

    def close(self) -> None:
        """Gives the file or camera back."""
        self._capture.release()

    def __iter__(self) -> Generator[Frame]:
        """Reads to the end; a video that ends far too early ends with a fault.

        Raises:
          ValueError: where a live source gives nothing more; a sentence.
        """
        try:
            while self.advance() and (frame := self.frame()) is not None:
                yield frame
        finally:
            self.close()
        yield from self.ending()

    def ending(self) -> Iterator[Frame]:
        """What is to be said once there is nothing more to read; as `__iter__` ends."""
        if self.live:
            raise HiersegError(
                f"{self.name} gives no more frames, after {self.count}; what was made of these is "
                "kept."
                if self.count
                else f"{self.name} opens but gives no frame; does another program use it?"
            )
        uneven = abs(self.seconds * self._told_fps - (self.count - 1)) > MISCOUNTED
        if uneven and not self._exact and self.seconds > 0.9 * self._announced / self._told_fps:
            return
        # Announced counts are estimates in some formats; a tenth is beyond any estimate.
        if self.count == 0 or self.count < 0.9 * self._announced:
            fault = f"{self.name} is {'lost' if self._lost else 'cut off'}: it announces "
            fault += f"{counted(self._announced, 'frame')}, {self.count} could be read."
            yield Frame(self.name, None, fault)
        elif self.count + MISCOUNTED < self._announced:
            warn(
                f"{self.name} announces {counted(self._announced, 'frame')}, {self.count} could be "
                "read; its end may be missing."
            )

    def __len__(self) -> int:
        """Number of frames as announced; 0 where that is not known."""
        return self._announced


def _faster_beginning(file: str, fps: float) -> float:
    """Frames a second of a file's beginning if they are clearly more than `fps`; else that."""
    capture = cv2.VideoCapture(file)
    times: list[float] = []
    while len(times) < _FIRST and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    middle = float(np.median(np.diff(times))) if len(times) > MISCOUNTED else 0.0
    rate = min(_FASTEST, 1 / middle) if middle > 0 else 0.0
    return rate if rate > _FASTER * fps else fps


def is_address(source: str) -> bool:
    """Whether that is where a video comes from over a network."""
    return _ADDRESS.match(source) is not None


def without_password(source: str) -> str:
    """An address as it may be printed."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "", source)


def missing_camera(index: int, devices: Path = Path("/dev"), system: str = sys.platform) -> str:
    """Why there is no such camera, and which there are, as far as the system tells.

    Args:
      index: of the camera.
      devices: the folder of Linux's devices.
      system: as `sys.platform`.
    """
    registry = cv2.videoio_registry
    ways = [registry.getBackendName(each) for each in registry.getCameraBackends()]
    tried = f"No camera with the index {index} can be opened (tried: {', '.join(ways)})"
    if not system.startswith("linux"):
        return f"{tried}. Indices count from 0; may this program use the camera?"
    device = devices / f"video{index}"
    if device.exists() and not os.access(device, os.R_OK | os.W_OK):
        return f"{tried}: {device} is not yours to read; the group `video` may."
    if device.exists():
        return f"{tried}: {device} gives no pictures, or another program uses it."
    there = sorted(each.name for each in devices.glob("video[0-9]*"))
    return f"{tried}: {devices} has {', '.join(there) if there else 'no camera at all'}."

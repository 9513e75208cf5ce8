"""WebP files by their first chunks: what is checked before OpenCV reads them."""

import pathlib

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import check_pixels, cut_off

_ANIMATED = 2


def is_webp(data: bytes) -> bool:
    """Whether it begins as a WebP does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def check(data: bytes, file: pathlib.Path) -> None:
    """Refuses a file that is cut off, too large, or an animation.

    Raises:
      ValueError: a sentence starting with `file`.
    """
    if int.from_bytes(data[4:8], "little") + 8 > len(data) or len(data) < 30:
        raise cut_off(file)
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        if body[0] & _ANIMATED:
            raise HiersegError(f"{file} is an animation; store its pictures one by one.")
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    else:
        raise HiersegError(f"{file} is damaged: a WebP without a picture; replace it.")
    check_pixels(file, height, width)

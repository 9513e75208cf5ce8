"""BMP files by their header, and the numbers of a palette that OpenCV turns into colours."""

import dataclasses
import pathlib
import struct

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import check_pixels, cut_off

SIGNATURE = b"BM"
_PLAIN, _BIT_FIELDS = 0, 3


@dataclasses.dataclass(frozen=True)
class Header:
    """Of a file that is whole.

    Attributes:
      height, width: in pixels.
      upwards: whether the lowest row comes first.
      bits: of a pixel; up to 8 they are numbers of a palette.
      start: of the pixels, in bytes.
      row: bytes of a row.
    """

    height: int
    width: int
    upwards: bool
    bits: int
    start: int
    row: int


def check(data: bytes, file: pathlib.Path) -> Header:
    """The header of a BMP that is not compressed, and not cut off.

    Raises:
      ValueError: a sentence starting with `file`.
    """
    if len(data) < 54:
        raise cut_off(file)
    start, size, width, height, _, bits, packing = struct.unpack_from("<IIiiHHI", data, 10)
    if size < 40 or packing not in (_PLAIN, _BIT_FIELDS):
        raise HiersegError(
            f"{file} is a BMP that is compressed, or of a kind that is not read; store it as PNG."
        )
    check_pixels(file, abs(height), width)
    row = (width * bits + 31) // 32 * 4
    if bits not in (1, 4, 8, 16, 24, 32) or start < 14 + size:
        raise HiersegError(f"{file} is damaged: a BMP with a wrong header; replace it.")
    if start + row * abs(height) > len(data):
        raise cut_off(file)
    return Header(abs(height), width, height > 0, bits, start, row)


def indices(data: bytes, header: Header) -> np.ndarray:
    """The numbers of the palette: uint8 [H, W], of at most 8 bits."""
    count = header.height * header.row
    rows = np.frombuffer(data, np.uint8, count, header.start).reshape(header.height, header.row)
    if header.bits < 8:
        bits = np.unpackbits(rows, axis=1).reshape(header.height, -1, header.bits)
        weights = (1 << np.arange(header.bits)[::-1]).astype(np.uint8)
        rows = (bits * weights).sum(-1, dtype=np.uint8)
    rows = rows[:, : header.width]
    return np.ascontiguousarray(rows[::-1] if header.upwards else rows)

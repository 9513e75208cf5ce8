"""TIFF files by their first directory: what is checked before OpenCV reads them."""

import dataclasses
import io
import pathlib
import struct
from typing import BinaryIO

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import check_pixels, cut_off

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_BIG = (b"II+\0", b"MM\0+")
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_KIND_OF_PICTURE, _SMALLER, _TRANSPARENCY = 254, 1, 4
_SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT = 277, 322, 323, 338, 339
# Where the pixels are, and how many bytes they take, by strips or by tiles.
_PLACES = ((273, 279), (324, 325))
_TYPES = {1: "B", 3: "H", 4: "I"}
_GREY, _PALETTE, _JPEGS = 1, 3, (6, 7)
_MOST_TAGS, _MOST_VALUES = 1000, 1 << 20


@dataclasses.dataclass(frozen=True)
class Header:
    """A directory of a file, the first or a later one.

    Attributes:
      values: of its tags that hold whole numbers.
      places: of its tags' values in the file.
      following: where the next directory is; 0 of the last.
      order: of bytes, as `struct` has it.
    """

    values: dict[int, tuple[int, ...]]
    places: dict[int, int]
    following: int
    order: str

    def one(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return (self.values.get(tag) or (default,))[0]

    @property
    def bits(self) -> int:
        """Of a sample."""
        return self.one(_BITS, 1)


def is_tiff(data: bytes) -> bool:
    """Whether it begins as a TIFF does."""
    return data[:4] in _ORDERS or data[:4] in _BIG


def check_image(data: bytes, file: pathlib.Path) -> bool:
    """Whether it has 16 bits a sample; refuses what can't be read as a picture of 8 or 16.

    Raises:
      ValueError: a sentence starting with `file`.
    """
    header = _checked(data, file)
    if header.one(_FORMAT, 1) != 1 or header.bits not in (1, 2, 4, 8, 16):
        raise HiersegError(
            f"{file} is a TIFF of {_kind(header)}; pictures have whole numbers of 8 or 16 bits, so "
            "store it as such."
        )
    return header.bits == 16


def grey_mask(data: bytes, file: pathlib.Path) -> tuple[bytes, int]:
    """The file with the numbers of a palette as those of grey, as which they are stored; its bits.

    Raises:
      ValueError: a sentence starting with `file`, where it is of colours, compressed as JPEG, or
        not of 1, 8, 16 or 32 bits.
    """
    header = _checked(data, file)
    photometric = header.one(_PHOTOMETRIC, _GREY)
    _refuse_jpeg(header, file)
    samples = header.one(_SAMPLES, 1)
    if photometric not in (_GREY, _PALETTE) or samples != 1 or header.bits not in (1, 8, 16, 32):
        raise HiersegError(
            f"{file} is a TIFF of {_kind(header)}, {samples} a pixel; a mask has one whole number "
            "of 1, 8, 16 or 32 bits a pixel, grey or of a palette."
        )
    if photometric == _GREY:
        return data, header.bits
    patched = bytearray(data)
    struct.pack_into(f"{header.order}H", patched, header.places[_PHOTOMETRIC], _GREY)
    return bytes(patched), header.bits


def is_rgb(data: bytes, file: pathlib.Path) -> bool:
    """Whether it has several samples a pixel, of 8 bits; raises as `check_image` does."""
    header = _checked(data, file)
    return header.one(_SAMPLES, 1) >= 3 and header.bits == 8


def check_colours(data: bytes, file: pathlib.Path) -> None:
    """Refuses a file whose colours can't be those of a mask.

    Raises:
      ValueError: a sentence starting with `file`: of more than 8 bits, or compressed as JPEG.
    """
    header = _checked(data, file)
    _refuse_jpeg(header, file)
    if header.bits > 8 or header.one(_FORMAT, 1) != 1:
        raise HiersegError(
            f"{file} is a TIFF of {_kind(header)}; the colours of a mask have 8, so store it with "
            "them."
        )


def _refuse_jpeg(header: Header, file: pathlib.Path) -> None:
    if header.one(_COMPRESSION, 1) in _JPEGS:
        raise HiersegError(
            f"{file} is compressed as a JPEG is, which changes the values of a mask; store it "
            "without loss."
        )


def told(file: pathlib.Path) -> tuple[bool, bool, bool]:
    """Whether the header tells of 16 bits, of transparency, and of more pictures; of no TIFF not.

    Overviews and transparency of the first picture are no more pictures.

    Raises:
      OSError: a file that cannot be opened.
    """
    with file.open("rb") as stream:
        header = page = _read(stream)
        if header is None:
            return False, False, False
        more, seen = False, 0
        while page is not None and page.following and not more and seen < _MOST_TAGS:
            page, seen = _directory(stream, page.order, page.following), seen + 1
            more = page is None or not page.one(_KIND_OF_PICTURE) & (_SMALLER | _TRANSPARENCY)
    alpha = any(kind in (1, 2) for kind in header.values.get(_EXTRA, ()))
    return header.bits == 16, alpha, more


def _checked(data: bytes, file: pathlib.Path) -> Header:
    """The header of a file that is whole."""
    if data[:4] in _BIG:
        raise HiersegError(f"{file} is a BigTIFF, which is not read; store it as TIFF or PNG.")
    header = _read(io.BytesIO(data))
    if header is None or not {_WIDTH, _HEIGHT} <= header.values.keys():
        raise cut_off(file)
    check_pixels(file, header.one(_HEIGHT), header.one(_WIDTH))
    check_pixels(file, header.one(_TILE_HEIGHT, 1), header.one(_TILE_WIDTH, 1))
    pieces = [
        (at, count)
        for starts, counts in _PLACES
        for at, count in zip(
            header.values.get(starts, ()), header.values.get(counts, ()), strict=False
        )
    ]
    if not pieces or any(at + count > len(data) for at, count in pieces):
        raise cut_off(file)
    return header


def _read(stream: BinaryIO) -> Header | None:
    """The first directory; None of what is no TIFF, or ends within it."""
    start = stream.read(8)
    order = _ORDERS.get(start[:4])
    if order is None or len(start) < 8:
        return None
    return _directory(stream, order, struct.unpack_from(f"{order}I", start, 4)[0])


def _directory(stream: BinaryIO, order: str, at: int) -> Header | None:
    """The one at a place; None where the file ends within it."""
    try:
        stream.seek(at)
        (count,) = struct.unpack(f"{order}H", stream.read(2))
        body = stream.read(12 * min(count, _MOST_TAGS) + 4)
        values, places = {}, {}
        for i in range(min(count, _MOST_TAGS)):
            tag, kind, number = struct.unpack_from(f"{order}HHI", body, 12 * i)
            code, place = _TYPES.get(kind), at + 2 + 12 * i + 8
            if code is None or not 0 < number <= _MOST_VALUES:
                continue
            layout = f"{order}{number}{code}"
            size = struct.calcsize(layout)
            if size > 4:
                (place,) = struct.unpack_from(f"{order}I", body, 12 * i + 8)
            places[tag] = place
            stream.seek(place)
            values[tag] = struct.unpack(layout, stream.read(size))
        (following,) = struct.unpack_from(f"{order}I", body, 12 * count)
    except struct.error:  # the file ends before
        return None
    return Header(values, places, following, order)


def _kind(header: Header) -> str:
    kind = {2: "signed ", 3: "floating-point "}.get(header.one(_FORMAT, 1), "")
    return f"{kind}numbers of {header.bits} bits"

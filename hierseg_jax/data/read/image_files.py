"""From the bytes of one image or mask file to an array, or to a sentence about it.

OpenCV fills what a cut-off file lacks with grey and only warns on stderr, lets a
header of 50 bytes ask for gigabytes, and turns a palette PNG into colours. Hence
the containers are looked at here first.
"""

import io
import math
import pathlib
import re
import reprlib
import zlib

import cv2
import numpy as np

from hierseg_jax.data.read import png
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import cut_off, read_file
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

MAX_PIXELS = 100_000_000
"""Images that announce more are refused before anything is decoded.

It is about the largest that single cameras take; decoded it fills 0.3 GB, of 16 bits 0.9.
OpenCV's own limit, 2**30 pixels, is 3 GB, and far more than that with several reading threads.
"""

_PNG_COLOUR_TYPES = {2: "RGB", 4: "grey with alpha", 6: "RGB with alpha"}
# SOF0..SOF15 without DHT, JPG and DAC, which share the range.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What libjpeg takes for one that a length follows; the others it passes over, and so must
# we, lest a false length hide the frame header from us that libjpeg goes by.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def read_image(file: pathlib.Path) -> np.ndarray:
    """A JPEG or PNG as OpenCV reads it (EXIF orientation applied): uint8 RGB [H, W, 3].

    Transparency is dropped, and of 16 bits the upper eight of those in use are read, see
    `png.upper_eight_bits`; `png.losses` says so.

    Raises:
      ValueError: a sentence starting with `file`, where that is no such image, cut
        off, or larger than MAX_PIXELS.
    """
    return decode_image(read_file(file), file)


def decode_image(data: bytes, file: pathlib.Path) -> np.ndarray:
    """As `read_image`, of bytes that are there; `file` is for the sentence."""
    chunks: list[png.Chunk] = []
    if data.startswith(b"\xff\xd8"):
        height, width = _jpeg_size(data, file)
    elif data.startswith(png.SIGNATURE):
        chunks = png.read_chunks(data, file)
        width, height = (int.from_bytes(chunks[0][1][i : i + 4]) for i in (0, 4))
    else:
        raise HiersegError(f"{file} is neither a JPEG nor a PNG image; replace it.")
    if height * width > MAX_PIXELS:
        raise HiersegError(too_large(file, height, width))
    deep = bool(chunks) and chunks[0][1][8] == 16
    image_hwc = _decode(data, cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_ANYDEPTH if deep else 0))
    if image_hwc is None:
        raise HiersegError(f"{file} is damaged: OpenCV cannot read it; replace it.")
    return png.upper_eight_bits(image_hwc, chunks) if image_hwc.dtype != np.uint8 else image_hwc


def read_mask(file: pathlib.Path) -> np.ndarray:
    """A mask in .npy or .png: integers [H, W], of whatever integer type is stored.

    Of a palette PNG these are the indices, not the colours.

    Raises:
      ValueError: a sentence starting with `file`, for anything else.
    """
    return decode_mask(read_file(file), file)


def decode_mask(data: bytes, file: pathlib.Path) -> np.ndarray:
    """As `read_mask`, of bytes that are there; `file` tells the format and is for the sentence."""
    return _read_npy(data, file) if file.suffix.lower() == ".npy" else _read_png(data, file)


def check_size(
    mask_hw: np.ndarray,
    mask_file: pathlib.Path,
    image_hwc: np.ndarray,
    image_file: pathlib.Path,
) -> None:
    """Refuses a mask of another size than its image's.

    Raises:
      ValueError: a sentence starting with `mask_file`.
    """
    if mask_hw.shape != image_hwc.shape[:2]:
        raise HiersegError(
            f"{mask_file} is {mask_hw.shape[0]} x {mask_hw.shape[1]} (height x width), but its "
            f"image {image_file} is {image_hwc.shape[0]} x {image_hwc.shape[1]} (EXIF "
            "orientation applied); the two must be of one size."
        )


def check_classes(mask_hw: np.ndarray, mask_file: pathlib.Path, num_classes: int) -> None:
    """Refuses a mask with values that are neither below `num_classes` nor 255.

    Raises:
      ValueError: a sentence starting with `mask_file`.
    """
    wrong = ((mask_hw < 0) | (mask_hw >= num_classes)) & (mask_hw != IGNORE_LABEL)
    if wrong.any():
        values = np.unique(mask_hw[wrong]).tolist()
        raise HiersegError(
            f"{mask_file} holds the labels {listed(values, 5)}; the tree has the classes 0 to "
            f"{num_classes - 1}, and {IGNORE_LABEL} marks ignored pixels."
        )


def too_large(file: pathlib.Path | str, height: int, width: int) -> str:
    """The sentence about a picture of more than MAX_PIXELS."""
    return (
        f"{file} is announced as {height} x {width}, more than {MAX_PIXELS:,} pixels; scale it "
        "down."
    )


def _decode(data: bytes, flag: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None


def _jpeg_size(data: bytes, file: pathlib.Path) -> tuple[int, int]:
    """Height and width from the frame header of a JPEG that has its end."""
    size, at, kind = None, 2, 0
    while kind != 0xDA:
        marker = _JPEG_MARKER.search(data, at)
        if marker is None or marker.start() + 9 > len(data):
            raise cut_off(file)
        at, kind = marker.start(), data[marker.start() + 1]
        if kind in _JPEG_FRAMES:
            size = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    # Within the scans 0xFF is followed by 0 or a restart marker: this is the end,
    # and not that of a thumbnail in the header.
    if data.find(b"\xff\xd9", at) < 0:
        raise cut_off(file)
    if size is None:
        raise HiersegError(f"{file} is damaged: a JPEG without a frame header; replace it.")
    return size


def _read_png(data: bytes, file: pathlib.Path) -> np.ndarray:
    """Stored values of a grey or palette PNG: uint8 or uint16 [H, W]."""
    if not data.startswith(png.SIGNATURE):
        raise HiersegError(f"{file} is no PNG image; masks are .npy or .png.")
    chunks = png.read_chunks(data, file)
    header = bytearray(chunks[0][1])
    height, width = int.from_bytes(header[4:8]), int.from_bytes(header[:4])
    bits, colour_type = header[8:10]
    if colour_type not in (png.GRAY, png.PALETTE):
        kind = _PNG_COLOUR_TYPES.get(colour_type, "unknown")
        raise HiersegError(
            f"{file} is a colour PNG ({kind}); a mask is a grey or palette PNG whose values are "
            "class indices."
        )
    if height * width > MAX_PIXELS:
        raise HiersegError(too_large(file, height, width))
    # A palette PNG's pixels are stored as a grey one's: under that header, and without
    # palette, transparency and gamma, OpenCV returns the indices.
    header[9] = png.GRAY
    plain = [(b"IHDR", memoryview(header)), *(c for c in chunks if c[0] in (b"IDAT", b"IEND"))]
    mask_hw = _decode(
        png.SIGNATURE
        + b"".join(
            len(body).to_bytes(4) + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)
            for kind, body in plain
        ),
        cv2.IMREAD_UNCHANGED,
    )
    if mask_hw is None:
        raise HiersegError(f"{file} is damaged: OpenCV cannot read it; replace it.")
    # Grey of 1, 2 or 4 bits comes stretched to 0..255.
    return mask_hw // (255 // (2**bits - 1)) if bits < 8 else mask_hw


def _read_npy(data: bytes, file: pathlib.Path) -> np.ndarray:
    """The array of a .npy file without a copy; Python objects in it are never loaded."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
        shape = tuple(map(int, shape))  # True is a whole number to numpy's parser
    except Exception as error:  # the header is parsed as Python, with Python's many errors
        raise HiersegError(
            f"{file} is no .npy file, or a damaged one; write it with numpy.save."
        ) from error
    if dtype.hasobject:
        raise HiersegError(
            f"{file} holds Python objects (a pickle), which are never loaded; store the mask as "
            "a uint8 array."
        )
    if dtype.kind not in "iu":
        raise HiersegError(
            f"{file} holds {dtype} values; a mask holds class indices, store it as uint8."
        )
    count, start = math.prod(shape), stream.tell()
    if len(data) - start < count * dtype.itemsize:
        raise cut_off(file)
    if count <= 0 or any(side < 0 for side in shape):
        raise HiersegError(f"{file} holds an empty array; a mask is [height, width].")
    if len(shape) != 2:
        raise HiersegError(
            f"{file} has the shape {reprlib.repr(shape)}; a mask is [height, width], one class "
            "index a pixel."
        )
    if count > MAX_PIXELS:
        raise HiersegError(too_large(file, *shape))
    array = np.frombuffer(data, dtype, count, start)
    return array.reshape(shape, order="F" if fortran_order else "C")

"""From the bytes of one image or mask file to an array, or to a sentence about it.

OpenCV fills what a cut-off file lacks with grey and only warns on stderr, lets a
header of 50 bytes ask for gigabytes, and turns a palette PNG into colours. Hence
the containers are looked at here first.
"""

import contextlib
import pathlib
import re
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.data.read import bmp, png, tiff, webp
from hierseg_jax.data.read.layout import LOSSY
from hierseg_jax.data.read.npy import read_npy, whole_numbers
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import check_pixels, cut_off, read_file
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

# That are named to be given names.
_MOST_COLOURS = 12
_PNG_COLOUR_TYPES = {2: "RGB", 4: "grey with alpha", 6: "RGB with alpha"}
# SOF0..SOF15 without DHT, JPG and DAC, which share the range.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What libjpeg takes for one that a length follows; the others it passes over, and so must
# we, lest a false length hide the frame header from us that libjpeg goes by.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def read_image(file: pathlib.Path) -> np.ndarray:
    """A picture as OpenCV reads it (EXIF orientation applied): uint8 RGB [H, W, 3].

    JPEG, PNG, WebP, BMP and TIFF. Of a single channel three equal ones are made. Transparency is
    dropped, and of 16 bits the upper eight of those in use are read, see `png.upper_eight_bits`;
    `unread.losses` says so.

    Raises:
      ValueError: a sentence starting with `file`, where that is no such image, cut
        off, or larger than MAX_PIXELS.
    """
    return decode_image(read_file(file), file)


def decode_image(data: bytes, file: pathlib.Path) -> np.ndarray:
    """As `read_image`, of bytes that are there; `file` is for the sentence."""
    chunks: list[png.Chunk] = []
    deep = deep_tiff = False
    if data.startswith(b"\xff\xd8"):
        check_pixels(file, *_jpeg_size(data, file))
    elif data.startswith(png.SIGNATURE):
        chunks = png.read_chunks(data, file)
        check_pixels(file, *png.size(chunks))
        deep = chunks[0][1][8] == 16
    elif tiff.is_tiff(data):
        deep = deep_tiff = tiff.check_image(data, file)
    elif data.startswith(bmp.SIGNATURE):
        bmp.check(data, file)
    elif webp.is_webp(data):
        webp.check(data, file)
    else:
        _refuse_changed_lines(data, file)
        raise HiersegError(
            f"{file} is neither a JPEG nor a PNG, WebP, BMP or TIFF image; replace it."
        )
    # Asked for RGB, OpenCV 5 mixes up the channels of a TIFF of 16 bits.
    flags = cv2.IMREAD_COLOR if deep_tiff else cv2.IMREAD_COLOR_RGB
    image_hwc = _decoded(data, flags | (cv2.IMREAD_ANYDEPTH if deep else 0), file)
    if image_hwc.dtype != np.uint8:
        image_hwc = png.upper_eight_bits(image_hwc, chunks)
    return image_hwc[..., ::-1].copy() if deep_tiff else image_hwc


def read_mask(file: pathlib.Path, *, colours: bool = False) -> np.ndarray:
    """A mask in .npy, .png, .bmp or .tif: integers [H, W], of whatever integer type is stored.

    Of a palette these are the indices, not the colours.

    Args:
      file: of the mask.
      colours: of a picture, the colours are read: int32 [H, W], 0xRRGGBB.

    Raises:
      ValueError: a sentence starting with `file`, for anything else.
    """
    return decode_mask(read_file(file), file, colours=colours)


def decode_mask(data: bytes, file: pathlib.Path, *, colours: bool = False) -> np.ndarray:
    """As `read_mask`, of bytes that are there; `file` tells the format and is for the sentence."""
    if file.suffix.lower() == ".npy":
        if colours:
            raise HiersegError(
                f"{file} holds numbers, and `labels` are colours; name "
                "numbers there, or store the mask as a PNG."
            )
        return read_npy(data, file)
    if data.startswith(png.SIGNATURE):
        chunks = png.read_chunks(data, file)
        check_pixels(file, *png.size(chunks))
        return _png_colours(chunks, file) if colours else _png_indices(chunks, file)
    if tiff.is_tiff(data):
        if not colours and tiff.is_rgb(data, file):
            raise _colour_mask(file, "TIFF", _packed(_decoded(data, cv2.IMREAD_COLOR_RGB, file)))
        if colours:
            tiff.check_colours(data, file)
            return _packed(_decoded(data, cv2.IMREAD_COLOR_RGB, file))
        grey, bits = tiff.grey_mask(data, file)
        mask_hw = _decoded(grey, cv2.IMREAD_UNCHANGED, file)
        # Of 1 bit it comes stretched to 0 and 255.
        return mask_hw // 255 if bits == 1 else whole_numbers(mask_hw, file)
    if data.startswith(bmp.SIGNATURE):
        header = bmp.check(data, file)
        if header.bits <= 8 and not colours:
            return bmp.indices(data, header)
        packed_hw = _packed(_decoded(data, cv2.IMREAD_COLOR_RGB, file))
        if not colours:
            raise _colour_mask(file, "BMP", packed_hw)
        return packed_hw
    if data.startswith(b"\xff\xd8") or webp.is_webp(data):
        kind = "WebP" if webp.is_webp(data) else "JPEG"
        raise HiersegError(f"{file} is a {kind} image, whatever its name. {LOSSY}")
    _refuse_changed_lines(data, file)
    raise HiersegError(
        f"{file} is no PNG image, and no BMP or TIFF; masks are .npy, .png, .bmp or .tif."
    )


def _refuse_changed_lines(data: bytes, file: pathlib.Path) -> None:
    """Of a PNG that went through what ends lines anew: the signature is made to show that."""
    if re.match(rb"\x89PNG[\r\n]+\x1a[\r\n]+", data):
        raise HiersegError(
            f"{file} was a PNG: its line endings were changed, as git, FTP and archives do with "
            "texts. Nothing brings it back; copy or download it anew, as a binary file."
        )


def check_size(
    mask_hw: np.ndarray, mask_file: pathlib.Path, image_hwc: np.ndarray, image_file: pathlib.Path
) -> None:
    """Refuses a mask of another size than its image's.

    Raises:
      ValueError: a sentence starting with `mask_file`.
    """
    mask, size = mask_hw.shape, image_hwc.shape[:2]
    if mask == size:
        return
    if is_scaled(mask, size):
        hint = how_to_turn(mask, size) + (
            f" It looks like the whole image at {100 * mask[0] / size[0]:.3g} % of its sides; "
            "`hierseg prepare` scales such masks without new values."
        )
    else:  # of the turned picture, maybe at another scale
        hint = how_to_turn(size[::-1] if is_scaled(mask, size[::-1]) else mask, size)
    raise HiersegError(
        f"{mask_file} is {mask[0]} x {mask[1]} (height x width), but its image {image_file} is "
        f"{size[0]} x {size[1]} as it is shown; the two must be of one size.{hint}"
    )


def is_scaled(mask: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether a mask of this height and width may show a whole image of that size.

    To a pixel of the smaller one, whose sides were rounded.
    """
    (h, w), (height, width) = mask, size
    return abs(height * w - width * h) <= max(height, width, h, w)


def how_to_turn(told: object, size: tuple[int, ...]) -> str:
    """A sentence behind a space, for what was made of a picture as it is stored, lying on a side.

    Args:
      told: height and width of the mask or the annotations.
      size: of the picture as it is shown, EXIF orientation applied.
    """
    if told != size[::-1]:
        return ""
    return (
        " If it was annotated as it is stored, lying on its side, take the orientation out of the "
        "picture's file: `exiftool -Orientation=1 -n FILE`."
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
            f"{num_classes - 1}, and {IGNORE_LABEL} marks ignored pixels. "
            f"{_meaning(values, mask_file)}"
        )


ASK = ", and `hierseg inspect` may know which line to write"


def _meaning(values: Sequence[int], mask_file: pathlib.Path) -> str:
    """How a data.yaml says what values are that are no class indices."""
    if mask_file.stem.endswith("_labelIds"):
        # The numbers of Cityscapes' ids begin anew: those below are other classes, too.
        return "Of Cityscapes' labelIds `hierseg prepare --from=cityscapes` makes a data.yaml."
    line = f"`ignore: [{listed(values, 5)}]`" if len(values) <= 5 else "`unknown: ignore`"
    return (
        "If the classes are numbered from 1 or otherwise, or one was taken out of `names`, "
        f"`labels: {{VALUE: NAME, ...}}` says what the values mean{ASK}. Only if these are no "
        f"classes, {line} beside `names` leaves them out."
    )


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


def _decoded(data: bytes, flag: int, file: pathlib.Path) -> np.ndarray:
    image = None
    with contextlib.suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise HiersegError(f"{file} is damaged: OpenCV cannot read it; replace it.")
    return image


def _png_indices(chunks: list[png.Chunk], file: pathlib.Path) -> np.ndarray:
    """Stored values of a grey or palette PNG: uint8 or uint16 [H, W]."""
    header = bytearray(chunks[0][1])
    bits, colour_type = header[8:10]
    if colour_type not in (png.GRAY, png.PALETTE):
        kind = _PNG_COLOUR_TYPES.get(colour_type, "unknown")
        raise _colour_mask(file, f"PNG ({kind})", _png_colours(chunks, file))
    # A palette PNG's pixels are stored as a grey one's: under that header, and without
    # palette, transparency and gamma, OpenCV returns the indices.
    header[9] = png.GRAY
    plain = [(b"IHDR", memoryview(header)), *(c for c in chunks if c[0] in (b"IDAT", b"IEND"))]
    mask_hw = _decoded(png.assembled(plain), cv2.IMREAD_UNCHANGED, file)
    # Grey of 1, 2 or 4 bits comes stretched to 0..255.
    return mask_hw // (255 // (2**bits - 1)) if bits < 8 else mask_hw


def _png_colours(chunks: list[png.Chunk], file: pathlib.Path) -> np.ndarray:
    """Colours of a PNG as it stores them, without transparency and gamma: int32 [H, W]."""
    if chunks[0][1][8] == 16:
        raise HiersegError(
            f"{file} is a PNG of 16 bits; the colours of a mask have 8, so store it with them."
        )
    plain = png.assembled(chunk for chunk in chunks if chunk[0] != b"sBIT")
    return _packed(_decoded(plain, cv2.IMREAD_COLOR_RGB, file))


def _packed(image_hwc: np.ndarray) -> np.ndarray:
    """uint8 RGB [H, W, 3] as int32 [H, W], 0xRRGGBB."""
    red, green, blue = (image_hwc[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _colour_mask(file: pathlib.Path, kind: str, colours_hw: np.ndarray) -> HiersegError:
    """The error about a mask of colours where none have names, with the line that names them."""
    found = np.unique(colours_hw).tolist()
    # White is 255 then, which is ignored; as a colour it may have a name.
    if 0xFFFFFF not in found and all(colour % 0x010101 == 0 for colour in found):
        return HiersegError(
            f"{file} is a colour {kind} of three equal channels; a mask is a grey or palette "
            "picture whose values are class indices. Name the values as colours, where the classes "
            f"are named: {_colour_line(found)}."
        )
    return HiersegError(
        f"{file} is a colour {kind}; a mask is a grey or palette picture whose values are class "
        f"indices, or its colours are named where the classes are: {_colour_line(found)}."
    )


def _colour_line(colours: Sequence[int]) -> str:
    names = [f"'#{colour:06X}': NAME" for colour in colours]
    return f"`labels: {{{listed(names, _MOST_COLOURS)}}}`"

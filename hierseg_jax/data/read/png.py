"""PNG files by their chunks: what OpenCV doesn't tell of a picture, and 16 bits made 8."""

import contextlib
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import cut_off

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
Chunk = tuple[bytes, memoryview]
# Of those that the pixels need, damage is an error; of the others libpng passes over it.
_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
# Bits of cameras and of 8-bit pictures that were stored as 16-bit numbers.
_DEPTHS = (8, 10, 12, 16)
# Chunks in front of the pixels that are passed over in search of transparency.
_MOST_CHUNKS = 100


def read_chunks(data: bytes, file: pathlib.Path) -> list[Chunk]:
    """The chunks needed for the pixels and sBIT, IHDR first and IEND last, checksums verified.

    Args:
      data: of a file that starts with `SIGNATURE`.
      file: for the sentence.

    Raises:
      ValueError: a sentence starting with `file`, where it is cut off or damaged.
    """
    view, at = memoryview(data), len(SIGNATURE)
    chunks: list[Chunk] = []
    while not chunks or chunks[-1][0] != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data):
            raise cut_off(file)
        kind = data[at + 4 : at + 8]
        if kind in (*_NEEDED, b"sBIT"):
            whole = zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
            if not whole and kind in _NEEDED:
                raise HiersegError(
                    f"{file} is damaged: the checksum of its {kind.decode()} chunk is wrong; "
                    "replace it."
                )
            if whole:
                chunks.append((kind, view[at + 8 : end - 4]))
        at = end
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise HiersegError(f"{file} is damaged: a PNG without its header; replace it.")
    return chunks


def size(chunks: Sequence[Chunk]) -> tuple[int, int]:
    """Height and width, as the header announces them."""
    header = chunks[0][1]
    return int.from_bytes(header[4:8]), int.from_bytes(header[:4])


def assembled(chunks: Iterable[Chunk]) -> bytes:
    """A file of these chunks."""
    return SIGNATURE + b"".join(
        len(body).to_bytes(4) + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)
        for kind, body in chunks
    )


def upper_eight_bits(image_hwc: np.ndarray, chunks: Sequence[Chunk]) -> np.ndarray:
    """A picture of 16-bit numbers as uint8: the upper eight of the bits that its values use.

    A camera's 10 or 12 bits fill the lower ones of 16, of which the upper eight are nearly
    black. How many are used is told by the largest value alone, of the picture itself: a
    picture is then the same wherever it is read. A far darker one of the same camera is
    taken for one of fewer bits, and comes out brighter than its neighbours. A file can say
    what it is by an sBIT chunk: of n bits if its values fit into n, else all 16, to which
    the standard wants them scaled.

    Args:
      image_hwc: uint16, of any shape; it is overwritten.
      chunks: from `read_chunks`.
    """
    largest = int(image_hwc.max(initial=0))
    told = [max(body) for kind, body in chunks if kind == b"sBIT" and len(body)]
    depths = (*(bits for bits in told if 8 <= bits <= 16), 16) if told else _DEPTHS
    bits = next(bits for bits in depths if largest < 1 << bits)
    return np.right_shift(image_hwc, bits - 8, out=image_hwc).astype(np.uint8)


def told(file: pathlib.Path) -> tuple[bool, bool]:
    """Whether the header tells of 16 bits, and of transparency; neither of another file."""
    kinds: dict[bytes, bytes] = {}
    for kind, head in _heads(file):
        kinds.setdefault(kind, head)
    header = kinds.get(b"IHDR", b"")
    if len(header) < 10:
        return False, False
    return header[8] == 16, header[9] in (GRAY_ALPHA, RGB_ALPHA) or b"tRNS" in kinds


def colour_type(file: pathlib.Path) -> int | None:
    """As the header tells it, such as GRAY; None of another file, or where there is none."""
    header = next((head for kind, head in _heads(file) if kind == b"IHDR"), b"")
    return header[9] if len(header) > 9 else None


def palette_of(file: pathlib.Path) -> tuple[int, ...]:
    """The colours of a palette, 0xRRGGBB, by their numbers; none of another file."""
    body = next((head for kind, head in _heads(file, 3 * 256) if kind == b"PLTE"), b"")
    return tuple(int.from_bytes(body[at : at + 3]) for at in range(0, len(body) - 2, 3))


def _heads(file: pathlib.Path, most: int = 13) -> Iterator[tuple[bytes, bytes]]:
    """Kind and first bytes of the chunks in front of the pixels.

    None of another format, nor of a file that can't be opened.
    """
    if not file.is_file():
        return
    with contextlib.suppress(OSError), file.open("rb") as stream:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            return
        for _ in range(_MOST_CHUNKS):
            start = stream.read(8)
            length, kind = int.from_bytes(start[:4]), start[4:]
            if len(kind) < 4 or kind == b"IDAT":
                return
            head = stream.read(min(length, most))
            yield kind, head
            stream.seek(length - len(head) + 4, 1)

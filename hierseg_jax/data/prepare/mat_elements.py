"""Whether a MATLAB 5 file is built as its format says, before scipy reads it.

scipy's reader believes every tag: where one is wrong, it reads memory that is not its own
and may end the process; and a compressed element unpacks to any size. The format (MAT-File
Format, The MathWorks, version 5): 128 bytes of header, then elements, each a tag of a type
and a size and a content padded to 8 bytes, or both in 8 bytes where the content has up to 4.
A matrix is an element of elements: flags (its class), dimensions, name, and by its class
numbers, text, or further matrices.
"""

import math
import zlib
from collections.abc import Iterator
from typing import Literal

from hierseg_jax.system.errors import HiersegError

MATRIX, COMPRESSED = 14, 15
INT8, INT32, UINT32 = 1, 5, 6
NUMBERS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
TEXTS = {1, 2, 4, 16, 17, 18}
CELL, STRUCT, CHAR = 1, 2, 4
NUMERIC_CLASSES = range(6, 16)
COMPLEX = 8
DEEPEST = 32
Order = Literal["little", "big"]
ORDERS: dict[bytes, Order] = {b"IM": "little", b"MI": "big"}


def check_elements(data: bytes, limit: int) -> None:
    """Refuses what annotations are not made of, or what unpacks to more than `limit` bytes.

    Raises:
      ValueError: no sentence by itself.
    """
    order = ORDERS.get(data[126:128])
    if order is None or 0 in data[:4]:  # by a zero there MATLAB 4 is known
        raise HiersegError("it is no MATLAB 5 file")
    for kind, body in _elements(memoryview(data)[128:], order):
        if kind == COMPRESSED:
            unpacked = memoryview(_unpack(body, limit))
            limit -= len(unpacked)
            for inner, content in _elements(unpacked, order):
                _check_matrix(inner, content, order, 0)
        else:
            _check_matrix(kind, body, order, 0)


def _elements(view: memoryview, order: Order) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of one after another."""
    at = 0
    while at < len(view):
        if at + 8 > len(view):
            raise HiersegError("it is cut off")
        kind, size = (int.from_bytes(view[at + i : at + i + 4], order) for i in (0, 4))
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4 or kind in (MATRIX, COMPRESSED):
                raise HiersegError(f"a short element has type {kind} and {size} bytes")
            yield kind, view[at + 4 : at + 4 + size]
            at += 8
            continue
        at += 8
        if at + size > len(view):
            raise HiersegError("it is cut off")
        yield kind, view[at : at + size]
        at += size if kind == COMPRESSED else size + -size % 8


def _check_matrix(kind: int, view: memoryview, order: Order, depth: int) -> None:
    if kind != MATRIX or depth > DEEPEST:
        raise HiersegError(f"an element of type {kind} stands where a matrix should")
    if not view:  # the empty field of a struct
        return
    parts = list(_elements(view, order))
    if [part for part, _ in parts[:3]] != [UINT32, INT32, INT8] or len(parts[0][1]) != 8:
        raise HiersegError("a matrix lacks its flags, dimensions or name")
    flags = int.from_bytes(parts[0][1][:4], order)
    array_class, rest = flags & 0xFF, parts[3:]
    sides = [
        int.from_bytes(parts[1][1][i : i + 4], order, signed=True)
        for i in range(0, len(parts[1][1]), 4)
    ]
    if not 2 <= len(sides) <= DEEPEST or min(sides) < 0:
        raise HiersegError(f"a matrix has the dimensions {sides[:5]}")
    count = math.prod(sides)
    if array_class in (CELL, STRUCT):
        if array_class == STRUCT:
            count *= _field_count(rest[:2], order)
            rest = rest[2:]
        if len(rest) != count:
            raise HiersegError(f"a struct or cell has {len(rest)} of {count} matrices")
        for inner, content in rest:
            _check_matrix(inner, content, order, depth + 1)
        return
    allowed = {CHAR: TEXTS, **dict.fromkeys(NUMERIC_CLASSES, NUMBERS)}.get(array_class)
    if allowed is None or flags >> 8 & COMPLEX or len(rest) != 1 or rest[0][0] not in allowed:
        raise HiersegError(f"a matrix is of class {array_class} and has {len(rest)} contents")


def _field_count(parts: list[tuple[int, memoryview]], order: Order) -> int:
    if [kind for kind, _ in parts] != [INT32, INT8] or len(parts[0][1]) != 4:
        raise HiersegError("a struct lacks the names of its fields")
    length = int.from_bytes(parts[0][1], order)
    if not 1 <= length <= 64 or len(parts[1][1]) % length:
        raise HiersegError("a struct's names of fields have no length")
    return len(parts[1][1]) // length


def _unpack(view: memoryview, limit: int) -> bytes:
    try:
        inflate, size = zlib.decompressobj(), 0
        for start in range(0, len(view), 1 << 16):  # first without keeping anything
            left: bytes | memoryview = view[start : start + (1 << 16)]
            while len(left) and not inflate.eof:
                size += len(inflate.decompress(left, 1 << 20))
                if size > limit:
                    raise HiersegError(f"it unpacks to more than {limit:,} bytes")
                left = inflate.unconsumed_tail
        return zlib.decompressobj().decompress(view)
    except zlib.error as error:
        raise HiersegError(f"a compressed element is damaged ({error})") from error

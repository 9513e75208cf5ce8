"""Protobuf's wire format, without the package protobuf."""

from collections.abc import Iterator
from typing import NamedTuple

Value = int | memoryview
# Of a key: a message, string or packed numbers, whose length stands before them.
_OF_A_LENGTH = 2


class Field(NamedTuple):
    """One of a message.

    Attributes:
      number: that the message's type has for it.
      value: a number, or the bytes of all else.
      whole: all of its bytes, key and length included.
    """

    number: int
    value: Value
    whole: memoryview


def fields(data: memoryview) -> Iterator[Field]:
    """Every field of a message, in order.

    Raises:
      IndexError, ValueError: for what is no message.
    """
    at, end = 0, len(data)
    while at < end:
        start = at
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield Field(key >> 3, value, data[start:at])
            continue
        size, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(data, at)
        if kind not in (1, _OF_A_LENGTH, 5) or at + size > end:
            raise ValueError("no protobuf message")
        at += size
        yield Field(key >> 3, data[at - size : at], data[start:at])


def messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The bytes of every field of a number, of a message's."""
    return (
        field.value
        for field in fields(data)
        if field.number == wanted and isinstance(field.value, memoryview)
    )


def varints(data: memoryview) -> Iterator[int]:
    """Numbers that stand one after another."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def message_head(number: int, size: int) -> bytes:
    """What stands before the bytes of a field that is a message, a string or bytes."""
    return _as_varint(number << 3 | _OF_A_LENGTH) + _as_varint(size)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:  # as most are
        return byte, at + 1
    value, shift = 0, 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])

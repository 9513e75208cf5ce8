"""JSON that someone else wrote, and what its records may hold."""

import base64
import binascii
import json
import pathlib
import reprlib
from collections.abc import Iterator
from typing import Any

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import read_file

# The annotations of LVIS's 100,000 pictures take 1.1e9.
MAX_BYTES = 1 << 32
_LONGEST = 200  # of what is shown of a value, which may be nested


def read_bytes(file: pathlib.Path) -> bytes:
    """All bytes of a JSON file, as `read_file` has them."""
    return read_file(file, MAX_BYTES)


def read_json(file: pathlib.Path) -> Any:
    """Content of a JSON file.

    Raises:
      HiersegError: one sentence that starts with the file's path.
      OSError: a file that cannot be opened.
    """
    try:
        return json.loads(read_bytes(file).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise HiersegError(
            f"{file} is no UTF-8 text (byte {error.start}); expected JSON."
        ) from error
    except json.JSONDecodeError as error:
        raise HiersegError(
            f"{file} is no JSON: line {error.lineno}: {error.msg}; export it again."
        ) from error
    except RecursionError:
        raise HiersegError(f"{file}: its JSON is nested too deep.") from None
    except ValueError as error:
        if isinstance(error, HiersegError):
            raise
        # Python refuses to read whole numbers of thousands of digits.
        raise HiersegError(f"{file} is no JSON: it holds an absurdly long number.") from error


def records(document: Any, key: str, file: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mappings listed under a key, each with where it stands, for sentences.

    Raises:
      HiersegError: one sentence that starts with the file's path.
    """
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise HiersegError(f"{file} has no list {key!r}; found {shown(found)}.")
    for number, record in enumerate(found):
        if not isinstance(record, dict):
            raise HiersegError(f"{file}: {key}[{number}] is {shown(record)}; expected a mapping.")
    return ((f"{file}: {key}[{number}]", record) for number, record in enumerate(found))


def text(record: dict[str, Any], key: str, where: str) -> str:
    """A text that is not empty, and can be that of a file's name.

    Raises:
      HiersegError: one sentence that starts with `where`.
    """
    value = record.get(key)
    if not isinstance(value, str) or not value or any(map(_is_odd, value)):
        raise HiersegError(f"{where}: {key!r} is {shown(value)}; expected text.")
    return value


def from_base64(data: Any, what: str) -> bytes:
    """Bytes from base64; the HiersegError is half a sentence about `what` they are."""
    if not isinstance(data, str) or not data.isascii():
        raise HiersegError(f"{what} is {shown(data)}, which is no base64")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise HiersegError(f"{what} is no base64 ({error})") from error


def _is_odd(character: str) -> bool:
    """Whether it commands a terminal, or is half of a surrogate pair, which no file's name has."""
    return character < " " or "\ud800" <= character <= "\udfff"


def shown(value: Any) -> str:
    """A value as a sentence can hold it."""
    text = "nothing" if value is None else reprlib.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

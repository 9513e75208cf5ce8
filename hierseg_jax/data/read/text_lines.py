"""Lines of a text that a user has written."""

import pathlib

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import read_file


def numbered_lines(file: pathlib.Path, expected: str) -> list[tuple[int, str]]:
    """(line number, line), without blank ones and surrounding spaces.

    Raises:
      ValueError: a sentence that starts with the file, where it is no UTF-8.
      OSError: a file that cannot be opened.
    """
    try:
        lines = read_file(file).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise HiersegError(f"{file} is no UTF-8 text; {expected}.") from error
    return [(i, line.strip()) for i, line in enumerate(lines, start=1) if line.strip()]

"""A file that someone else made: read whole, and of a bounded size, or a sentence about it."""

import os
import pathlib
import stat

from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, HiersegPermissionError
from hierseg_jax.system.paths import leads_nowhere

MAX_PIXELS = 100_000_000
"""Images that announce more are refused before anything is decoded.

It is about the largest that single cameras take; decoded it fills 0.3 GB, of 16 bits 0.9.
OpenCV's own limit, 2**30 pixels, is 3 GB, and far more than that with several reading threads.
"""

MAX_BYTES = 1 << 30
"""An image or mask of MAX_PIXELS takes 0.8 GB in the widest format there is, 8 bytes a pixel."""

_LFS = b"version https://git-lfs.github.com/spec/"


def read_file(file: pathlib.Path, most: int = MAX_BYTES) -> bytes:
    """All bytes of a regular file; links are followed.

    Args:
      file: to read.
      most: bytes that it may have.

    Raises:
      ValueError: a sentence starting with `file`: a folder, a device or a pipe, which would
        not end, or a file of more than that.
      FileNotFoundError: such a sentence about a link that leads nowhere.
      OSError: a file that cannot be opened.
    """
    refuse_dead_link(file)
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "device or a pipe"
        raise HiersegError(f"{file} is a {kind}; expected a file.")
    if found.st_size > most:
        raise HiersegError(
            f"{file} has {found.st_size:,} bytes, more than the {most:,} that are read of a file."
        )
    try:
        data = file.read_bytes()
    except OSError as error:
        error.filename = error.filename or str(file)  # a disk that fails does not say of what
        raise
    _refuse_pointer(data, file)
    return data


def _refuse_pointer(data: bytes, file: pathlib.Path) -> None:
    """Raises ValueError for what Git LFS has in place of a file that was not fetched."""
    if data.startswith(_LFS):
        raise HiersegError(
            f"{file} isn't the file itself, but what Git LFS has in its place until `git lfs pull` "
            "in its repository fetches it. If it is not meant, take it away."
        )


def check_readable(file: pathlib.Path) -> None:
    """Refuses a file that is there and of which libraries would say that it is damaged.

    Raises:
      PermissionError, ValueError: a sentence starting with `file`: it may not be read, or is a
        pointer of Git LFS.
    """
    if file.exists() and not os.access(file, os.R_OK):
        raise HiersegPermissionError(
            f"{file} may not be read: permission denied. Let this user read it."
        )
    if file.is_file():
        with file.open("rb") as opened:
            _refuse_pointer(opened.read(len(_LFS)), file)


def refuse_dead_link(file: pathlib.Path) -> None:
    """Raises FileNotFoundError, a sentence starting with `file`, for a link that leads nowhere."""
    if leads_nowhere(file):
        raise HiersegFileNotFoundError(
            f"{file} is a link that leads nowhere, to {os.readlink(file)}; bring back what it "
            "leads to, or take it away."
        )


def cut_off(file: pathlib.Path) -> HiersegError:
    """The error about a file that ends too early."""
    return HiersegError(f"{file} is cut off: the file ends before the image does; replace it.")


def check_pixels(file: pathlib.Path | str, height: int, width: int) -> None:
    """Refuses a picture of more than MAX_PIXELS, or of none.

    Raises:
      ValueError: a sentence starting with `file`.
    """
    if height < 1 or width < 1:
        raise HiersegError(f"{file} is damaged: it is announced as {height} x {width}; replace it.")
    if height * width > MAX_PIXELS:
        raise HiersegError(
            f"{file} is announced as {height} x {width}, more than {MAX_PIXELS:,} pixels; scale it "
            "down."
        )

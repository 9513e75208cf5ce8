"""Files that arrive whole or not at all, whenever the process is cut off."""

import errno
import json
import os
import pathlib
import shutil
from typing import Any

from hierseg_jax.system.errors import HiersegOSError, HiersegPermissionError
from hierseg_jax.system.paths import in_bucket


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder and those above it, where they do not exist.

    Raises:
      OSError: a sentence.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        above = (folder, *folder.parents)
        there = next((of for of in above if os.path.lexists(of) and not of.is_dir()), folder)
        raise HiersegOSError(
            f"The folder {folder} can't be made: {there} is no folder; choose another name."
        ) from error
    except OSError as error:
        raise HiersegOSError(
            f"The folder {folder} can't be made: {error.strerror or error}."
        ) from error


def check_room(folder: pathlib.Path) -> None:
    """Refuses, before long work, a folder that could not be made or written to; makes none.

    Raises:
      OSError: a sentence.
    """
    if in_bucket(folder):
        return
    whole = folder.absolute()
    there = next(path for path in (whole, *whole.parents) if path.exists())
    if not there.is_dir():
        raise HiersegOSError(f"The folder {folder} can't be made: {there} is a file.")
    if not os.access(there, os.W_OK):
        raise HiersegPermissionError(f"{there} can't be written to; choose another folder.")


def write_atomically(file: pathlib.Path, data: bytes | memoryview) -> None:
    """Writes a file under another name, hidden and next to it, and then renames it.

    In a bucket an object appears whole in any case.

    Raises:
      OSError: naming the file, which is then as it was before.
    """
    if in_bucket(file):
        file.write_bytes(data)
        return
    try:
        partial = _partial(file)
        try:
            partial.write_bytes(data)
            os.replace(partial, file)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HiersegOSError(f"{file} could not be written: {error.strerror or error}.") from error


def write_json(file: pathlib.Path, content: Any) -> None:
    """As `write_atomically`, of JSON."""
    write_atomically(file, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """As all JSON files of this project are written; NaN and infinity are refused."""
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def bring(source: pathlib.Path, target: pathlib.Path, move: bool) -> bool:
    """Copies or moves one file; at every moment one of the two is whole.

    Args:
      source: may be missing where `target` exists.
      target: in a folder that exists; where it exists itself, of the same content.
      move: whether `source` goes.

    Returns:
      Whether `target` is new.

    Raises:
      OSError: from the file system.
    """
    if target.exists():
        # By way of links the two may be one and the same file.
        if move and source.exists() and not source.samefile(target):
            source.unlink()
        return False
    if move and not source.is_symlink():
        try:
            os.rename(source, target)
            return True
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    partial = _partial(target)
    shutil.copyfile(source, partial)
    if move:  # the source goes only when the copy is on the disk
        with partial.open("r+b") as stream:  # of what is only read Windows flushes nothing
            os.fsync(stream.fileno())
    os.replace(partial, target)
    if move:
        source.unlink()
    return True


def link(source: pathlib.Path, target: pathlib.Path) -> bool:
    """Makes a hard link, or a symbolic one where the file system allows no hard one.

    A copy where it allows neither, as on Windows across disks.

    Args:
      source: is there; of a link, what it leads to.
      target: in a folder that exists; where it exists itself, of the same content.

    Returns:
      Whether `target` is new.

    Raises:
      OSError: from the file system.
    """
    if target.exists():
        return False
    partial, source = _partial(target), source.resolve()
    try:
        os.link(source, partial)
    except OSError:  # another disk, no hard links there, too many of one file, or not ours
        try:
            os.symlink(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
    os.replace(partial, target)
    return True


def _partial(file: pathlib.Path) -> pathlib.Path:
    """The other name, free: what a cut-off run or somebody's link left there is removed."""
    partial = file.with_name(f".{file.name}.partial")
    if os.path.lexists(partial):
        partial.unlink()
    return partial

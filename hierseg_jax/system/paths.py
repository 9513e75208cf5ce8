"""From what a person names to a path: of this machine, or of a bucket."""

import contextlib
import importlib.util
import os
import pathlib
import posixpath
import re
import reprlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast

from hierseg_jax.system.bucket_path import BucketPath
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.missing import installation_of

EXTRAS = {"gs": ("gcs", "gcsfs"), "s3": ("s3", "s3fs")}
"""Scheme -> the extra of this package, and the module of fsspec's driver."""

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


def is_url(text: str) -> bool:
    """Whether this names a place by a scheme, as `gs://bucket/run`, and no file of this machine."""
    return _SCHEME.match(text) is not None


def as_path(text: str | pathlib.Path) -> pathlib.Path:
    """A file or folder of this machine, or of a bucket where it is named `gs://` or `s3://`.

    A bucket's is a `BucketPath`, which does as a `pathlib.Path` does for all that is asked of it
    here. Nothing is looked up.

    Raises:
      ValueError: neither, another scheme, no bucket, or a bucket whose driver is not installed.
    """
    if not isinstance(text, str | pathlib.PurePath):
        raise _no_path(text)
    found = _SCHEME.match(str(text))
    if isinstance(text, BucketPath) or not found:
        return pathlib.Path(_at_home(text)) if isinstance(text, str) else text
    if found[1] not in EXTRAS:
        raise HiersegError(
            f"{text} is not on this machine, nor in a bucket that can be used; give a path, "
            "gs://BUCKET/NAME or s3://BUCKET/NAME."
        )
    path = BucketPath(text)
    no_bucket = str(text).removeprefix(found[0]).startswith("/")  # `gs:///x`
    if no_bucket or len(path.parts) < 2 or ".." in path.parts:
        raise HiersegError(f"{text} names no place in a bucket; give {found[0]}BUCKET/NAME.")
    extra, module = EXTRAS[found[1]]
    if importlib.util.find_spec(module) is None:
        raise HiersegError(
            f"{text} is in a bucket, which takes a driver: {installation_of(extra)}."
        )
    return cast(pathlib.Path, path)


def local_path(text: str | os.PathLike[str]) -> pathlib.Path:
    """The path of what has to be on this machine.

    Raises:
      ValueError: no path, or a URL, which as one would be a folder with the name of its scheme.
    """
    if not isinstance(text, str | os.PathLike):
        raise _no_path(text)
    if is_url(str(text)):
        raise HiersegError(
            f"{text} is not on this machine, and can't be used from where it is; give the path of "
            "a file or folder here."
        )
    return pathlib.Path(_at_home(text) if isinstance(text, str) else text)


def _no_path(given: Any) -> HiersegError:
    return HiersegError(f"A path is text, or a pathlib.Path; got {reprlib.repr(given)}.")


def _at_home(text: str) -> str:
    """With the home in place of `~`, which shells leave as it is in `--flag=~/folder`."""
    return os.path.expanduser(text) if text == "~" or slashed(text).startswith("~/") else text


def slashed(path: str) -> str:
    """A path with `/` between its names, which every system reads and all of a data set's have."""
    return path.replace(os.sep, "/")


def stored_name(name: str) -> str:
    """A file's name as this system compares names: on Windows and macOS, without case."""
    return name.casefold() if sys.platform in ("win32", "darwin") else name


def in_bucket(path: Any) -> bool:
    """Whether it is a path of a bucket, where what has several files is never replaced at once."""
    return isinstance(path, BucketPath)


def absolute(text: str | pathlib.Path) -> pathlib.Path:
    """As `as_path`, whatever the working directory is later; links are not followed."""
    path = as_path(text)
    return path if in_bucket(path) else pathlib.Path(os.path.abspath(path))


def place_of(text: str, folder: pathlib.Path) -> pathlib.Path:
    """What a file in `folder` names: a place of its own, or one relative to the folder.

    Raises:
      ValueError: a path that leaves the bucket in which the folder is, or as in `as_path`.
    """
    if is_url(text):
        return as_path(text)
    text = _at_home(text)
    if not in_bucket(folder):
        return pathlib.Path(os.path.normpath(folder / text))
    normal = posixpath.normpath("/".join((*folder.parts[1:], text)))
    if posixpath.isabs(text) or normal.split("/")[0] != folder.parts[1]:
        raise HiersegError(f"{text!r} is no place in the bucket of {folder}.")
    return as_path(f"{folder.parts[0]}//{normal}")


def scan(folder: str | pathlib.Path) -> contextlib.AbstractContextManager[Iterable[Any]]:
    """As `os.scandir`: entries with `name`, `path`, `is_file()`, `is_dir()` and `stat().st_size`.

    Raises:
      FileNotFoundError: there is no such folder.
    """
    path = as_path(folder) if isinstance(folder, str) and is_url(folder) else folder
    return contextlib.nullcontext(path.scan()) if isinstance(path, BucketPath) else os.scandir(path)


def sizes_below(root: pathlib.Path, folders: Iterable[str]) -> Callable[[str], int]:
    """What gives the bytes of files, by their paths below the root.

    Args:
      root: of the paths.
      folders: with a slash behind each, in which or below which all of the files are.
    """
    if not isinstance(root, BucketPath):
        return lambda path: _size(os.path.join(root, path))
    sizes = {
        f"{folder}{name}": size
        for folder in folders
        for name, size in (root / folder).sizes().items()
    }

    def size_of(path: str) -> int:
        return sizes[path] if path in sizes else (root / path).stat().st_size

    return size_of


def _size(file: str) -> int:
    """In bytes; none of a link that leads nowhere, which whoever reads it is told of."""
    try:
        return os.stat(file).st_size
    except OSError:
        if leads_nowhere(file):
            return 0
        raise


def leads_nowhere(file: str | pathlib.Path) -> bool:
    """Whether it is a link to what is not there, or to itself; in a bucket there are no links.

    Whoever lists files takes it for one: passed over, it would be missed by nobody.
    """
    return not in_bucket(file) and os.path.islink(file) and not os.path.exists(file)


def real(path: pathlib.Path) -> str:
    """As `os.path.realpath`; in a bucket there are no links."""
    return str(path) if in_bucket(path) else os.path.realpath(path)

"""Objects of a bucket as paths: what this project asks of a `pathlib.Path`, asked of fsspec."""

import contextlib
import dataclasses
import fnmatch
import io
import pathlib
import stat
import types
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import IO, Any

from hierseg_jax.system.errors import (
    DEFECTS,
    HiersegFileExistsError,
    HiersegFileNotFoundError,
    HiersegOSError,
    HiersegPermissionError,
)
from hierseg_jax.system.wording import one_line


@dataclasses.dataclass(frozen=True)
class BucketEntry:
    """What `os.DirEntry` is of a folder's."""

    name: str
    path: str
    folder: bool
    size: int

    def is_dir(self) -> bool:
        """Whether it is the beginning of other names."""
        return self.folder

    def is_file(self) -> bool:
        """Whether it is an object."""
        return not self.folder

    def is_symlink(self) -> bool:
        """There are no links."""
        return False

    def stat(self) -> Any:
        """With `st_size` and `st_mode`."""
        return _stat(self.folder, self.size)


class BucketPath(pathlib.PurePosixPath):
    """`gs://BUCKET/NAME` or `s3://BUCKET/NAME`, with the methods of `pathlib.Path`.

    An object appears whole or not at all. A folder is there while names of objects begin with it:
    making one, or removing an empty one, is nothing. All that goes wrong is an OSError with a
    sentence.
    """

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        raise TypeError(f"{self} was given to a function that knows this machine's files alone")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self),)

    @property
    def store(self) -> Any:
        """fsspec's file system, one a process; it remembers no listings, which others change."""
        import fsspec

        return fsspec.filesystem(self.parts[0].removesuffix(":"), use_listings_cache=False)

    @property
    def key(self) -> str:
        """Bucket and name, as `store` wants them."""
        return "/".join(self.parts[1:])

    def absolute(self) -> "BucketPath":
        """It is."""
        return self

    def resolve(self) -> "BucketPath":
        """There are no links."""
        return self

    def is_absolute(self) -> bool:
        """It is."""
        return True

    def samefile(self, other: Any) -> bool:
        """Whether it is the same name."""
        return str(self) == str(other)

    def stat(self) -> Any:
        """With `st_size` and `st_mode`."""
        with _in_a_sentence(self):
            info = self.store.info(self.key)
        return _stat(info["type"] == "directory", info["size"] or 0)

    def exists(self) -> bool:
        """Whether there is an object of this name, or one whose name begins with it."""
        return bool(self._mode())

    def is_dir(self) -> bool:
        """Whether names of objects begin with it."""
        return stat.S_ISDIR(self._mode())

    def is_file(self) -> bool:
        """Whether it is an object."""
        return stat.S_ISREG(self._mode())

    def _mode(self) -> int:
        """As `stat` has it; 0 where there is nothing."""
        try:
            return self.stat().st_mode
        except FileNotFoundError:
            return 0

    def scan(self) -> Iterator[BucketEntry]:
        """Its entries, of one listing."""
        with _in_a_sentence(self):
            infos = self.store.ls(self.key, detail=True)
        for info in infos:
            key = info["name"].rstrip("/")
            # An object whose name ends in a slash is what some programs make of an empty folder.
            if key == self.key:
                continue
            name = key.rpartition("/")[2]
            folder = info["type"] == "directory" or info["name"].endswith("/")
            yield BucketEntry(name, f"{self}/{name}", folder, info["size"] or 0)

    def iterdir(self) -> Iterator["BucketPath"]:
        """Paths of its entries."""
        return (self / entry.name for entry in self.scan())

    def glob(self, pattern: str) -> Iterator["BucketPath"]:
        """Its entries of a pattern without slashes; none where there is no such folder."""
        with contextlib.suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def files(self) -> list["BucketPath"]:
        """All objects below it."""
        return [self / name for name in self.sizes()]

    def sizes(self) -> dict[str, int]:
        """Bytes of all objects below it, by their names below it; of one listing."""
        with _in_a_sentence(self):
            found = self.store.find(self.key, detail=True)
        start = len(self.key) + 1
        return {key[start:]: of["size"] for key, of in found.items() if not key.endswith("/")}

    def open(self, mode: str = "r") -> IO[Any]:
        """To be read."""
        if mode not in ("r", "rb"):
            # A defect of the caller's: objects are written whole, by `write_bytes`.
            raise NotImplementedError(f"{self} can't be opened with {mode!r}")
        with _in_a_sentence(self):
            stream = self.store.open(self.key, "rb")
        return stream if mode == "rb" else io.TextIOWrapper(stream, encoding="utf-8")

    def read_bytes(self) -> bytes:
        """All of an object."""
        with _in_a_sentence(self):
            return self.store.cat_file(self.key)

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of an object."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes | memoryview) -> int:
        """Makes or replaces an object."""
        with _in_a_sentence(self):
            self.store.pipe_file(self.key, bytes(data))
        return len(data)

    def create(self, data: bytes) -> bool:
        """Makes an object where there is none of this name; whether there was none."""
        try:
            with _in_a_sentence(self):
                self.store.pipe_file(self.key, data, mode="create")
        except FileExistsError:
            return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes an object."""
        try:
            with _in_a_sentence(self):
                self.store.rm_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def copy_to(self, target: "BucketPath") -> None:
        """Copies an object within the store."""
        with _in_a_sentence(target):
            self.store.cp_file(self.key, target.key)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: see the class."""

    def rmdir(self) -> None:
        """Nothing: see the class."""


def send(files: Mapping[pathlib.Path, BucketPath]) -> None:
    """Copies files of this machine, several at a time."""
    if files:
        first = next(iter(files.values()))
        with _in_a_sentence(first.parent):
            first.store.put([str(file) for file in files], [path.key for path in files.values()])


def fetch(files: Mapping[BucketPath, pathlib.Path]) -> None:
    """Copies objects to this machine, several at a time; folders are made."""
    if files:
        first = next(iter(files))
        for folder in {file.parent for file in files.values()}:
            folder.mkdir(parents=True, exist_ok=True)
        with _in_a_sentence(first.parent):
            first.store.get([path.key for path in files], [str(file) for file in files.values()])


def remove(paths: list[BucketPath]) -> None:
    """Removes objects, several at a time."""
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: path.unlink(missing_ok=True), paths))


def _stat(folder: bool, size: int) -> Any:
    mode = stat.S_IFDIR if folder else stat.S_IFREG
    return types.SimpleNamespace(st_size=size, st_mode=mode)


@contextlib.contextmanager
def _in_a_sentence(path: BucketPath) -> Iterator[None]:
    try:
        yield
    except DEFECTS:
        raise
    except FileNotFoundError as error:
        raise HiersegFileNotFoundError(f"{path} is not there: {_reason(error)}") from error
    except FileExistsError as error:
        raise HiersegFileExistsError(f"{path} is there already.") from error
    except PermissionError as error:
        raise HiersegPermissionError(f"{path} may not be used: {_reason(error)}") from error
    except Exception as error:
        raise HiersegOSError(f"{path} can't be reached: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = one_line(error, 300) or type(error).__name__
    return f"{text.rstrip('.')}."

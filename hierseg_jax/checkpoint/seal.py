"""A hash of every file of a checkpoint, so that damage is found before anything reads it.

orbax gives back a flipped byte in silence, and its reader can wait for ever on a file that
was cut; so no file goes to it that is not as it was written.
"""

import errno
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hierseg_jax.checkpoint.digest import file_digest
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import in_bucket

SEAL = "files.json"
ITEMS = ("variables", "training", "meta", "metrics")


class DamagedCheckpointError(HiersegError):
    """A checkpoint is not as it was written."""

    def __init__(self, folder: Path, what: str) -> None:
        self.what = what
        super().__init__(
            f"The checkpoint {folder} is damaged: {what}. Bring it back from a copy, or use "
            "another checkpoint."
        )


def seal(folder: Path) -> None:
    """Writes down the hashes of all files of all items, once they are complete."""
    digests = {name: _digest(folder / name) for name in _files(folder, ITEMS)}
    (folder / SEAL).write_text(json.dumps({"sha256": digests}, indent=1), encoding="utf-8")


def check_seal(folder: Path, items: Collection[str] = ITEMS) -> bool:
    """Makes sure that the files of some items are those that were written.

    Returns:
      Whether there is a seal; checkpoints of earlier versions have none.

    Raises:
      DamagedCheckpointError: naming the first file that is missing or changed.
    """
    file = folder / SEAL
    if not file.exists():
        return False
    for name, digest in _sealed(folder, file).items():
        if name.split("/")[0] not in items:
            continue
        if not name.isprintable() or len(name) > 1000 or ".." in name.split("/"):
            what = f"its {SEAL} names {name[:100]!r}, which is no file of it"
            raise DamagedCheckpointError(folder, what)
        try:
            found = _digest(folder / name)
        except FileNotFoundError:
            raise DamagedCheckpointError(folder, f"its file {name} is missing") from None
        except OSError as error:
            what = f"its file {name} can't be read ({error.strerror or error})"
            raise DamagedCheckpointError(folder, what) from error
        if found != digest:
            what = f"its file {name} does not have the hash it was written with"
            raise DamagedCheckpointError(folder, what)
    return True


def lacks_files(folder: Path) -> bool:
    """Whether files that were sealed, or the seal itself, are not there, as while it is removed."""
    file = folder / SEAL
    if in_bucket(folder):
        return not file.exists()  # it goes first
    try:
        # Names may be anything here, which `os.path.exists` takes for files that are not there.
        return not all(os.path.exists(folder / name) for name in _sealed(folder, file))
    except DamagedCheckpointError:
        return not file.exists()


def _sealed(folder: Path, file: Path) -> Mapping[str, Any]:
    try:
        digests = json.loads(file.read_text(encoding="utf-8"))["sha256"]
        if not isinstance(digests, dict) or not digests:
            raise HiersegError("no hashes")
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise DamagedCheckpointError(folder, f"its file {SEAL} can't be read") from None
    return digests


def _files(folder: Path, items: Collection[str]) -> list[str]:
    found = (file for item in items for file in (folder / item).rglob("*") if file.is_file())
    return sorted(file.relative_to(folder).as_posix() for file in found)


def _digest(file: Path) -> str:
    if file.exists() and not file.is_file():
        # A device or a pipe would be read without end.
        raise OSError(errno.EINVAL, "it is no regular file")
    return file_digest(file)

"""Folders of checkpoints on this machine and in a bucket: whether one is there, moving, removing.

orbax knows no `s3://`, and its way of `gs://` needs more than fsspec's. So it writes and reads
folders of this machine alone, and whole checkpoints are copied. Nothing with several files is
replaced at once in a bucket: a checkpoint is there while its seal is, which is written last and
removed first.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hierseg_jax.checkpoint.seal import SEAL
from hierseg_jax.system import bucket_path
from hierseg_jax.system.bucket_path import BucketPath


def is_there(folder: Any) -> bool:
    """Whether there is a checkpoint, damaged or not."""
    return (folder / SEAL).exists() if isinstance(folder, BucketPath) else folder.exists()


def remove(folder: Any) -> None:
    """Removes a checkpoint, or what a cut-off process left of one."""
    if isinstance(folder, BucketPath):
        (folder / SEAL).unlink(missing_ok=True)
        bucket_path.remove(folder.files())
    else:
        shutil.rmtree(folder)


def move(folder: Any, target: Any) -> None:
    """Gives a checkpoint another name, which is free."""
    if not isinstance(folder, BucketPath):
        folder.rename(target)
        return
    for file in sorted(folder.files(), key=lambda file: file.name == SEAL):  # the seal last
        file.copy_to(target / file.relative_to(folder))
    remove(folder)


def upload(near: Path, folder: BucketPath) -> None:
    """Copies a sealed checkpoint of this machine into a bucket.

    Raises:
      OSError: one sentence; there is no such checkpoint then.
    """
    remove(folder)
    files = {
        file: folder / file.relative_to(near).as_posix()
        for file in near.rglob("*")
        if file.is_file() and file != near / SEAL
    }
    bucket_path.send(files)
    bucket_path.send({near / SEAL: folder / SEAL})


def download(folder: BucketPath, near: Path, items: Collection[str]) -> None:
    """Copies the seal, what orbax notes of all items, and some of the items."""
    bucket_path.fetch(
        {
            file: near / file.relative_to(folder)
            for file in folder.files()
            if len(parts := file.relative_to(folder).parts) == 1 or parts[0] in items
        }
    )


@contextlib.contextmanager
def at_hand(folder: Any, items: Collection[str]) -> Iterator[Path]:
    """Some items of a checkpoint, on this machine: its folder, or a copy for as long as entered."""
    if not isinstance(folder, BucketPath):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="hierseg_jax_") as scratch:
        download(folder, Path(scratch), items)
        yield Path(scratch)

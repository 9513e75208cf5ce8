"""A run's checkpoints in a bucket, and the folder of this machine in which orbax keeps its books.

Of every checkpoint there the folder has what tells which are worth keeping, and the arrays of none
but the one that is being written.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hierseg_jax.checkpoint.choose import FOLDER, SUPERSEDED, checkpoint_steps, settle_superseded
from hierseg_jax.checkpoint.folders import download, move, remove, upload
from hierseg_jax.checkpoint.seal import ITEMS, SEAL

_BOOKS = ("metrics",)


class Mirror:
    """Brings what is written into the bucket, and takes away from there what orbax has dropped.

    Attributes:
      near: the folder of this machine.
    """

    def __init__(self, folder: Any) -> None:
        """Looks at the checkpoints that are there, and removes what a cut-off process left."""
        self._folder = folder
        self._scratch = tempfile.TemporaryDirectory(prefix="hierseg_jax_")
        self.near = Path(self._scratch.name) / FOLDER
        settle_superseded(folder)
        self._mine = set(checkpoint_steps(folder.parent))
        for step in self._mine:
            download(folder / str(step), self.near / str(step), _BOOKS)
        for name in self._names() - {str(step) for step in self._mine}:
            if name.isdecimal():
                remove(folder / name)

    def supersede(self, step: int) -> None:
        """Makes room for another one of a step; until that is there this one keeps its place."""
        move(self._folder / str(step), self._folder / f"{step}{SUPERSEDED}")

    def upload(self, near: Path, step: int) -> None:
        """Copies a whole, sealed one; there it is all there or not at all."""
        self._mine.add(step)
        upload(near, self._folder / str(step))

    def settle(self, kept: Collection[int]) -> None:
        """Once nothing is being written: what orbax has dropped goes there, arrays go here.

        Steps that came there otherwise are another process's, and stay. So do those whose folder
        here is gone, unless orbax says so: what cleans up a machine's scratch takes old files.

        Args:
          kept: the steps that orbax knows.
        """
        settle_superseded(self._folder)
        for step in self._mine.difference(kept):
            remove(self._folder / str(step))
        self._mine.intersection_update(kept)
        for seal in self.near.glob(f"*/{SEAL}"):
            for item in set(ITEMS) - set(_BOOKS):
                shutil.rmtree(seal.parent / item, ignore_errors=True)

    def close(self) -> None:
        """Removes the folder of this machine."""
        self._scratch.cleanup()

    def _names(self) -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            return {entry.name for entry in self._folder.scan()}
        return set()

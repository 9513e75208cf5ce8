"""TensorBoard's files of a run: one that grows or, in a bucket, one for every epoch."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tensorboardX import SummaryWriter

from hierseg_jax.system import bucket_path
from hierseg_jax.system.bucket_path import BucketPath
from hierseg_jax.system.errors import HiersegOSError


class Events:
    """Opens them as they are needed.

    Nothing can be added to an object of a bucket, and tensorboardX, which has ways of its own to
    stores, would write all of it anew. TensorBoard reads several files as one.
    """

    def __init__(self, folder: Path, start_step: int) -> None:
        self._folder = folder
        # Steps that are done again replace what a killed run had written of them.
        self._purge: int | None = start_step + 1
        self._writer: SummaryWriter | None = None
        if not isinstance(folder, BucketPath):
            try:
                self._writer = SummaryWriter(str(folder), purge_step=self._purge)
            except OSError as error:
                if error.filename is not None:
                    raise
                # Its queue wants semaphores, which the system keeps in shared memory.
                raise HiersegOSError(
                    f"TensorBoard's files can't be written ({error.strerror}: on Linux, /dev/shm). "
                    "--config.tensorboard=false does without them."
                ) from error

    @contextlib.contextmanager
    def writer(self, step: int) -> Iterator[SummaryWriter]:
        """What is written is in the folder once this is left."""
        if self._writer is not None:
            yield self._writer
            self._writer.flush()
            return
        with tempfile.TemporaryDirectory(prefix="hierseg_jax_") as scratch:
            # Names hold no more than a second, and epochs may be shorter.
            suffix = f".{step}"
            with SummaryWriter(scratch, purge_step=self._purge, filename_suffix=suffix) as writer:
                yield writer
            folder: BucketPath = self._folder  # type: ignore[assignment]
            bucket_path.send({file: folder / file.name for file in Path(scratch).iterdir()})
        self._purge = None

    def close(self) -> None:
        """Ends the file that grows."""
        if self._writer is not None:
            self._writer.close()

"""One checkpoint for all processes of a run."""

from pathlib import Path

from hierseg_jax.checkpoint.choose import open_checkpoint
from hierseg_jax.checkpoint.reader import Checkpoint
from hierseg_jax.system.devices.hosts import agree


def open_same_checkpoint(path: Path | str, which: str = "best") -> Checkpoint:
    """As `open_checkpoint`, the same one in all processes.

    A run at work may write another between the choices of two processes; then all read the
    newest that was chosen.
    """
    loaded = open_checkpoint(path, which)
    step = agree(loaded.meta["step"])
    if step == loaded.meta["step"]:
        return loaded
    return open_checkpoint(loaded.path.with_name(str(step)))

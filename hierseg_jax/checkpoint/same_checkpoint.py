"""One checkpoint for all processes of a run."""

from pathlib import Path

from hierseg_jax.checkpoint.choose import open_checkpoint
from hierseg_jax.checkpoint.reader import Checkpoint
from hierseg_jax.checkpoint.stored_network import check_own_arrays
from hierseg_jax.system.devices.hosts import agree
from hierseg_jax.system.errors import HiersegError


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


def open_configured(path: str, key: str) -> Checkpoint:
    """As `open_same_checkpoint`, of a key of the config, with the arrays of its own network.

    Raises:
      HiersegError: one sentence that names the key.
    """
    try:
        loaded = open_same_checkpoint(path)
        check_own_arrays(loaded)
        return loaded
    except (HiersegError, OSError) as error:
        raise HiersegError(f"The config's {key}: {error}") from error

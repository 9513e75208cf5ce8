"""Checkpoints through orbax: written while training goes on, checked before they are read.

A run's checkpoint is a folder `checkpoints/<step>` with the items `variables` (parameters
and batch statistics), `training` (optimizer, step, random key) and `meta` (JSON: the config,
the class tree, the run's history, and a hash of the arrays), and a seal with a hash of every
file. Converted weights are such a folder by themselves, without `training`.

May import: settings, models, tree, system.
"""

from hierseg_jax.checkpoint.arrays import check_arrays
from hierseg_jax.checkpoint.choose import (
    FOLDER,
    HISTORY,
    checkpoint_folder,
    checkpoint_steps,
    find_checkpoint,
    is_checkpoint,
    last_whole_checkpoint,
    newest_meta,
    open_checkpoint,
)
from hierseg_jax.checkpoint.contents import checkpoint_meta
from hierseg_jax.checkpoint.reader import Checkpoint, load_checkpoint, read_contents, read_meta
from hierseg_jax.checkpoint.seal import DamagedCheckpointError
from hierseg_jax.checkpoint.writer import CheckpointWriter, save_checkpoint

__all__ = [
    "FOLDER",
    "HISTORY",
    "Checkpoint",
    "CheckpointWriter",
    "DamagedCheckpointError",
    "check_arrays",
    "checkpoint_folder",
    "checkpoint_meta",
    "checkpoint_steps",
    "find_checkpoint",
    "is_checkpoint",
    "last_whole_checkpoint",
    "load_checkpoint",
    "newest_meta",
    "open_checkpoint",
    "read_contents",
    "read_meta",
    "save_checkpoint",
]

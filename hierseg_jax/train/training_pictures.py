"""What a run does with its training pictures, wherever they are kept."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batches
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Resize
from hierseg_jax.train.first_epoch import labels_in_batch

PutBatch = Callable[..., dict[str, Any]]
"""As `Parallel.put_batch`."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingPictures:
    """What a run does with its training pictures.

    Attributes:
      source: from which examples come.
      resize: how their pictures come to the network's size.
      said: a sentence about it, for the screen; or nothing.
      batches: in place of `train_batches` of the source, but for `start_step`; None where these
        are meant.
      put_batch: from a batch to examples on the devices; None where it has them.
      labels_in: which labels a batch shows, or its pictures have, bool [256].
    """

    source: Source
    resize: Resize
    said: str = ""
    batches: Callable[..., Batches] | None = None
    put_batch: PutBatch | None = None
    labels_in: Callable[[Any], np.ndarray] = labels_in_batch

"""What a mask means, whether it holds numbers or colours: anything with this protocol."""

import pathlib
from typing import Protocol

import numpy as np

from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.system.regular_file import read_file


class MaskMeaning(Protocol):
    """From a file of values to labels of the tree."""

    told: tuple[str, ...]

    def entries(self) -> tuple[Entry, ...]:
        """Of an inventory: what a data.yaml says of values, for other names are other data."""
        return tuple((line, 0) for line in self.told)

    def read(self, file: pathlib.Path) -> np.ndarray:
        """A mask as `labels` takes it; raises as `read_mask` does."""
        return self.decode(read_file(file), file)

    def decode(self, data: bytes, file: pathlib.Path) -> np.ndarray:
        """As `read`, of bytes that are there."""
        ...

    def labels(self, mask_hw: np.ndarray, file: pathlib.Path) -> np.ndarray:
        """Labels, uint8 [H, W].

        Raises:
          ValueError: for a value without a name; a sentence starting with `file`.
        """
        ...

"""What reads examples: anything with this protocol."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from hierseg_jax.data.read.inventory import Entry

Example = dict[str, np.ndarray]
"""`image`: uint8 RGB [H, W, 3], `label`: uint8 [H, W], in their own size."""


class Source(Protocol):
    """Random access to examples."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, index: int) -> Example:
        """`image`: uint8 RGB [H, W, 3], `label`: uint8 [H, W], in their own size."""
        ...

    def inventory(self) -> Iterable[Entry]:
        """What it reads, by names that don't tell where the data lie, in the examples' order."""
        ...


class WrappedSource:
    """A source over another, of its length and inventory."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def inventory(self) -> Iterable[Entry]:
        """The source's."""
        return self._source.inventory()


def read_label(source: Source, index: int) -> np.ndarray:
    """The label of an example alone, uint8 [H, W]; without its image, where that takes time."""
    read = getattr(source, "label", None)
    return source[index]["label"] if read is None else read(index)

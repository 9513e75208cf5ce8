"""A data set some of whose files can't be read: fail, or go on without them."""

import pathlib
from collections.abc import Callable

import numpy as np

from hierseg_jax.data.read.source import Source, WrappedSource, read_label
from hierseg_jax.system.errors import HiersegError, warn
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

ON_ERROR = ("fail", "skip")
# One after another that can't be read, before it is the disk rather than a file.
MOST = 100


class SkippingSource(WrappedSource):
    """Examples that can't be read are passed over, and named once each on stderr.

    In training the next readable one takes the place, so that batches stay full; to be
    evaluated comes a single ignored pixel that counts as no example (`valid` False).
    """

    def __init__(self, source: Source, *, replace: bool) -> None:
        super().__init__(source)
        self._replace = replace
        self._named: set[int] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The source's, where it has some."""
        return getattr(self._source, "names", ())

    @property
    def image_file(self) -> Callable[[int], pathlib.Path] | None:
        """The source's, where it has files."""
        return getattr(self._source, "image_file", None)

    @property
    def unread(self) -> str:
        """As of the source itself."""
        return getattr(self._source, "unread", "")

    @property
    def mask_file(self) -> Callable[[int], pathlib.Path] | None:
        """The same of masks."""
        return getattr(self._source, "mask_file", None)

    def each(self, wrap: Callable[[Source], Source]) -> "SkippingSource":
        """The same with the source wrapped in another of its length."""
        skipping = SkippingSource.__new__(SkippingSource)
        skipping.__dict__ = self.__dict__ | {"_source": wrap(self._source)}
        return skipping

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """As of the source.

        Raises:
          ValueError: if a hundred in a row can't be read.
        """
        last: Exception | None = None
        for offset in range(min(MOST, len(self)) if self._replace else 1):
            at = (index + offset) % len(self)
            try:
                return self._source[at]
            except (HiersegError, OSError) as error:
                last = error
                self._name(at, error)
        if self._replace:
            raise HiersegError(f"No example can be read any more: {last}") from last
        return no_example()

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone; of one that can't be read, without a pixel: [0, 0]."""
        try:
            return read_label(self._source, index)
        except (HiersegError, OSError) as error:
            self._name(index, error)
        return np.empty((0, 0), np.uint8)

    def _name(self, index: int, error: Exception) -> None:
        if index not in self._named:
            self._named.add(index)
            warn(f"skipped, {error}")


def no_example() -> dict[str, np.ndarray]:
    """What fills a batch up and is not counted."""
    return {
        "image": np.zeros((1, 1, 3), np.uint8),
        "label": np.full((1, 1), IGNORE_LABEL, np.uint8),
        "valid": np.array(False),
    }

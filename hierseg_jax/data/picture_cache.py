"""Decoded training pictures that stay in memory, so that later epochs need not decode them again.

What a source gives is the same with and without, to the bit. Pictures come in as they are first
read, as many as there is room for; none leaves again, since an epoch comes by all of them and the
one that was longest away is the next to be read.
"""

import threading
from collections.abc import Callable

import numpy as np

from hierseg_jax.data.read.source import Example, Source, WrappedSource, read_label
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.errors import HiersegError

CACHES = ("auto", "none", "host", "device")
PIXEL_BYTES = 4
"""Red, green, blue and the label."""
# Pictures that are looked at for the size of all.
_LOOKS = 3


class Room:
    """Bytes of memory that several sources, and threads that read them, share.

    A copy in another process has as much of its own.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = self._left = capacity
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Room"], tuple[int]]:
        return Room, (self._capacity,)

    def take(self, count: int) -> bool:
        """Whether there was room for that many bytes more, which then are taken."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
        return True

    def give_back(self, count: int) -> None:
        """Of what was taken."""
        with self._lock:
            self._left += count


class CachedSource(WrappedSource):
    """A source whose examples are read once each, as long as there is room for them.

    Its arrays can't be written into.
    """

    def __init__(self, source: Source, room: Room) -> None:
        super().__init__(source)
        self._room = room
        self._kept: dict[int, Example] = {}

    def __reduce__(self) -> tuple[type["CachedSource"], tuple[Source, Room]]:
        # Empty: to send pictures to a process would take as long as to decode them there.
        return CachedSource, (self._source, self._room)

    def __getitem__(self, index: int) -> Example:
        """As of the source."""
        kept = self._kept.get(index)
        if kept is None:
            example = {key: _read_only(of) for key, of in self._source[index].items()}
            count = byte_count(example)
            # Of two threads that read the same one, the second finds it there.
            if self._room.take(count) and self._kept.setdefault(index, example) is not example:
                self._room.give_back(count)
            return dict(example)
        return dict(kept)

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone."""
        kept = self._kept.get(index)
        return read_label(self._source, index) if kept is None else kept["label"]


def cached(source: Source, room: Room) -> Source:
    """A source whose pictures stay in memory.

    What can't be read is not kept, so that it is tried again every time.

    Args:
      source: a mixture, or one that skips, keeps being one.
      room: for them.
    """
    return wrap_readers(source, lambda reader: CachedSource(reader, room))


def wrap_readers(source: Source, wrap: Callable[[Source], Source]) -> Source:
    """A source with what reads its files wrapped, below mixtures and what skips."""
    each = getattr(source, "each", None)
    if each is None:
        return wrap(source)
    return each(lambda inner: wrap_readers(inner, wrap))


def sample_shapes(source: Source) -> list[tuple[int, int]]:
    """(height, width) of a few pictures, evenly spread; without those that can't be read."""
    shapes = []
    for index in spread_indices(len(source), _LOOKS):
        try:
            height, width = source[index]["label"].shape
        except (HiersegError, OSError):
            continue  # told of where it is trained on
        shapes.append((height, width))
    return shapes


def in_gb(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.2g} GB" if count < 10**10 else f"{count / 1e9:,.0f} GB"


def byte_count(example: Example) -> int:
    """Of its arrays."""
    return sum(array.nbytes for array in example.values())


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view

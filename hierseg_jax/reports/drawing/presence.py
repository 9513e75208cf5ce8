"""Which classes the legend of a video names: none that comes and goes with a few pixels."""

import dataclasses

import numpy as np

VISIBLE = 10_000
"""A class of less than one pixel in so many can't be found in a picture."""
CLEAR = 2_000
"""A class of one pixel in so many is named at once."""
BEGIN, END = 10, 30
"""Frames in a row that a smaller class must be there before it is named, and that a named one must
be gone before it is left out."""


def visible(counts_k: np.ndarray, pixels: int) -> np.ndarray:
    """Of which classes there is enough in a picture: bool [K], of their numbers of its pixels."""
    return counts_k >= max(1, pixels // VISIBLE)


@dataclasses.dataclass(frozen=True)
class Presence:
    """Of the classes of a level, in a video so far.

    Attributes:
      named_k: bool [K], those that a legend names.
      since_k: int [K], frames in a row that a class was there and not named, or named and gone.
    """

    named_k: np.ndarray
    since_k: np.ndarray

    @classmethod
    def before(cls, classes: int) -> "Presence":
        """Before the first frame."""
        return cls(np.zeros(classes, bool), np.zeros(classes, int))

    def after(self, counts_k: np.ndarray, pixels: int) -> "Presence":
        """After a frame of so many pixels, with their numbers in every class, int [K]."""
        other_k = visible(counts_k, pixels) != self.named_k
        since_k = np.where(other_k, self.since_k + 1, 0)
        clear_k = counts_k >= max(1, pixels // CLEAR)
        changed_k = other_k & np.where(self.named_k, since_k >= END, clear_k | (since_k >= BEGIN))
        return Presence(self.named_k ^ changed_k, np.where(changed_k, 0, since_k))

"""How far a loop is, told on a terminal by a bar that vanishes at its end."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def bar(
    parts: Iterable[T], doing: str, total: int | None, unit: str = "picture", hidden: bool = False
) -> Iterable[T]:
    """The same parts, one after another. Files and pipes are told nothing.

    Args:
      parts: what is looped over.
      doing: a word for it, such as `reading`.
      total: how many parts there are, where that is known.
      unit: what a part is.
      hidden: whether terminals are told nothing either.
    """
    return tqdm(parts, doing, total, leave=False, unit=unit, disable=hidden or None)

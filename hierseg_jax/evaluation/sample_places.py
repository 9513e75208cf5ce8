"""Which pictures of a split are shown while a network learns."""

import collections

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.read.source import Source, read_label
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

_LOOKED_AT = 8
"""Labels that are read for each picture that is shown."""
_LEAST = 0.002
"""Of a picture what a class has to have to be seen in it."""


def sample_places(
    source: Source, hierarchy: Hierarchy, count: int, first: int = 0, stride: int = 1
) -> list[int]:
    """Up to `count` indices, in order, of pictures that show many classes between them.

    They are chosen among some from all over the split: pictures that follow one another are often
    of one scene, and those of one class alone tell little. One after another is taken that shows
    most of what those before don't, and of equal ones the farthest from them. What can't be read
    is passed over.

    Args:
      source: of the split.
      hierarchy: of its labels.
      count: of the pictures, at most.
      first, stride: they are among `first`, `first + stride`, ...
    """
    own = range(first, len(source), stride)
    shown: dict[int, frozenset[int]] = {}
    for place in spread_indices(len(own), _LOOKED_AT * count) if count else ():
        try:
            label_hw = read_label(source, own[place])
        except (HiersegError, OSError):
            continue
        counts = count_labels(label_hw)
        counts[[IGNORE_LABEL if (b := hierarchy.background) is None else b, IGNORE_LABEL]] = 0
        shown[own[place]] = frozenset((counts > _LEAST * label_hw.size).nonzero()[0].tolist())
    chosen: list[int] = []
    seen: collections.Counter[int] = collections.Counter()

    def gain(index: int) -> tuple[float, int]:
        new = sum(0.25 ** seen[c] for c in shown[index])
        return round(new, 6), min((abs(index - other) for other in chosen), default=0)

    while shown and len(chosen) < count:
        best = max(shown, key=gain)
        seen.update(shown.pop(best))
        chosen.append(best)
    return sorted(chosen)

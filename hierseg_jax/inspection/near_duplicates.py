"""For every hash of one set, the nearest of another within a Hamming distance; exact."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from hierseg_jax.inspection.perceptual_hash import BITS

# Pairs compared at a time: bounds the memory to some 60 MB.
_CANDIDATES = 1 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Nearest:
    """By query.

    Attributes:
      reference_n: int64, index of the nearest reference, the first of several; -1 for none.
      distance_n: int64, bits that differ; 65 for none.
      count_n: int64, references within the distance.
    """

    reference_n: np.ndarray
    distance_n: np.ndarray
    count_n: np.ndarray


def nearest_within(queries_n: np.ndarray, references_m: np.ndarray, distance: int) -> Nearest:
    """Finds neighbours by bands of bits.

    Of `distance + 1` bands of the 64 bits two hashes at most `distance` apart share one
    whole, by the pigeonhole principle; so only hashes that agree in a band are compared.
    With b bands and hashes spread evenly that takes O(b (N + M) log M) for sorting and
    looking up and N M b / 2^(64 / b) comparisons; where all hashes are alike, N M.

    Args:
      queries_n: uint64 [N].
      references_m: uint64 [M].
      distance: 0 to 63.
    """
    count, total = len(queries_n), len(references_m)
    found = np.zeros(count, np.int64)
    # Distance and index in one number, so that the smaller is the nearer, then the first.
    none = (BITS + 1) * max(total, 1)
    best = np.full(count, none, np.int64)
    masks = _band_masks(distance)
    for number, mask in enumerate(masks):
        order = np.argsort(references_m & mask, kind="stable")
        keys = (references_m & mask)[order]
        first = np.searchsorted(keys, queries_n & mask, "left")
        lengths = np.searchsorted(keys, queries_n & mask, "right") - first
        for start, stop in _chunks(lengths):
            query = np.repeat(np.arange(start, stop), lengths[start:stop])
            begins = np.cumsum(lengths[start:stop]) - lengths[start:stop]
            within = np.arange(len(query)) - np.repeat(begins, lengths[start:stop])
            reference = order[first[query] + within]
            difference = queries_n[query] ^ references_m[reference]
            apart = np.bitwise_count(difference)
            new = apart <= distance
            for earlier in masks[:number]:  # pairs that an earlier band has found
                new &= (difference & earlier) != 0
            np.add.at(found, query[new], 1)
            np.minimum.at(best, query[new], apart[new].astype(np.int64) * total + reference[new])
    nothing = best == none
    return Nearest(
        reference_n=np.where(nothing, -1, best % max(total, 1)),
        distance_n=best // max(total, 1),
        count_n=found,
    )


def _band_masks(distance: int) -> list[np.uint64]:
    """`distance + 1` disjoint masks that together cover all bits, of almost equal widths."""
    edges = [round(BITS * i / (distance + 1)) for i in range(distance + 2)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _chunks(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of queries with `_CANDIDATES` candidates together, or one query with more."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + _CANDIDATES, "right"))
        stop = max(stop, start + 1)
        yield start, stop
        start = stop

"""For every hash of one set, the nearest of another within a Hamming distance; exact.

Every pair is compared, 64 bits at a time. An index of bands of bits (two hashes at most k
apart agree in one of k + 1 bands, by the pigeonhole principle) was tried beside it with
20,000 and 80,000 hashes: 0.6 s instead of 2.2 s at 6 bits, 8.3 s at 10 bits, where bands
are short and agree often, and 193 s for images that are all alike.
"""

import dataclasses

import numpy as np


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
    """Finds neighbours in O(N M) operations and O(N + M) memory, whatever the hashes.

    Args:
      queries_n: uint64 [N].
      references_m: uint64 [M].
      distance: 0 to 64.
    """
    count = len(queries_n)
    found = Nearest(np.full(count, -1), np.full(count, 65), np.zeros(count, np.int64))
    if not len(references_m):
        return found
    # One row at a time stays in the cache, and takes no new memory.
    difference_m = np.empty_like(references_m)
    apart_m = np.empty(len(references_m), np.uint8)
    for i, query in enumerate(queries_n):
        np.bitwise_xor(references_m, query, out=difference_m)
        np.bitwise_count(difference_m, out=apart_m)
        nearest = int(apart_m.argmin())
        if apart_m[nearest] <= distance:
            found.reference_n[i], found.distance_n[i] = nearest, apart_m[nearest]
            found.count_n[i] = np.count_nonzero(apart_m <= distance)
    return found

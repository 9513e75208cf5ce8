"""A few examples that stand for a whole split."""

import numpy as np


def spread_indices(length: int, most: int) -> list[int]:
    """Up to `most` of the indices below `length`, evenly spread, the first and last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()

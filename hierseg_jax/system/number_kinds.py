"""Which values are numbers: those of Python and of NumPy alike; truth values are none."""

import numbers
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether it is an integer, such as 2 or `np.int64(2)`."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether it is an integer or a floating-point number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)

"""Label maps at another size: the same whatever the version of OpenCV."""

from fractions import Fraction

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.sampling import nearest

SIDES = st.integers(1, 40)


@settings(max_examples=100, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_a_pixel_has_the_label_in_which_its_centre_lies(old, new):
    labels_hw = np.random.default_rng(0).integers(0, 256, old, np.uint8)
    found_hw = nearest(labels_hw, new[::-1])
    centres = [
        [Fraction(2 * i + 1, 2) * a / b for i in range(b)] for a, b in zip(old, new, strict=True)
    ]
    rows, columns = ([int(centre) for centre in side] for side in centres)
    np.testing.assert_array_equal(found_hw, labels_hw[np.ix_(rows, columns)])

    # So has OpenCV, but for centres on an edge.
    other_hw = cv2.resize(labels_hw, new[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    clear = [[centre.denominator > 1 for centre in side] for side in centres]
    inside = np.ix_(*(np.flatnonzero(side) for side in clear))
    np.testing.assert_array_equal(found_hw[inside], other_hw[inside])

"""A mask of one bit holds 0 and 1, in whatever format."""

import numpy as np
import pytest

from hierseg_jax.data.read.image_files import read_mask
from tests.test_folder import png
from tests.test_formats import palette_bmp, tiff

BITS = np.random.default_rng(0).integers(0, 2, (6, 16), np.uint8)
PACKED = np.packbits(BITS, axis=1)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".tif", tiff(PACKED, {256: 16, 258: 1})),
        (".tif", tiff(PACKED, {256: 16, 258: 1, 262: 3, 320: [0] * 6})),
        (".png", png(BITS, 1, 0)),
        (".bmp", palette_bmp(BITS, 1)),
    ],
)
def test_a_mask_of_one_bit_holds_0_and_1(tmp_path, suffix, content):
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    np.testing.assert_array_equal(read_mask(file), BITS)

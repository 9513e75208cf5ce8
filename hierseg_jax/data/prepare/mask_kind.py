"""Whether a mask holds numbers or colours."""

import pathlib

from hierseg_jax.data.read import png
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.system.errors import HiersegError


def is_coloured(file: pathlib.Path) -> bool:
    """Of a mask whose values nobody has named.

    Raises:
      HiersegError: a file that can't be read as either.
    """
    kind = png.colour_type(file)
    if kind is None and file.suffix.lower() != ".npy":
        try:
            read_mask(file)
        except HiersegError:  # a TIFF or BMP of colours
            read_mask(file, colours=True)
            return True
    return kind in (png.RGB, png.RGB_ALPHA)

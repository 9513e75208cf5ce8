"""Folders of pictures without masks, every pixel of which has one label."""

import operator
import pathlib
from collections.abc import Iterator

import numpy as np

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.data.read.pattern import parse_pattern
from hierseg_jax.data.read.source import Example
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import as_path, sizes_below


class PictureFolder:
    """All pictures in a folder and those below it.

    Attributes:
      names: paths of the files, relative to the folder, in the order of the examples.
    """

    def __init__(self, folder: str | pathlib.Path, label: int, key: str) -> None:
        """Lists the files.

        Args:
          folder: its path.
          label: of all pixels: that of the background, or `IGNORE_LABEL`, where nothing is known.
          key: of the section `data` that names the folder, for messages and the inventory.

        Raises:
          FileNotFoundError, ValueError: a sentence, where there is no such folder, or no picture.
        """
        self._root, self._label, self._key = as_path(folder), label, key
        if not self._root.is_dir():
            raise HiersegFileNotFoundError(
                f"data.{key}: there is no folder {self._root}; give one of pictures."
            )
        found = parse_pattern("**").files(self._root, IMAGE_SUFFIXES)
        self.names = tuple(sorted(f"{name}{ending}" for name, ending in found))
        if not self.names:
            raise HiersegError(
                f"data.{key}: {self._root} and the folders below it hold no images "
                f"({', '.join(IMAGE_SUFFIXES)})."
            )

    def __len__(self) -> int:
        return len(self.names)

    def image_file(self, index: int) -> pathlib.Path:
        """Of an example."""
        return self._root / self.names[index]

    def label(self, index: int) -> np.ndarray:
        """The one label, for as many pixels as the picture has: uint8 [H, W]."""
        return self[index]["label"]

    def __getitem__(self, index: int) -> Example:
        """{"image": uint8 RGB [H, W, 3], "label": uint8 [H, W], the same everywhere}.

        Raises:
          ValueError, FileNotFoundError: a file that can't be read; one sentence.
        """
        image_hwc = read_image(self.image_file(operator.index(index)))
        return {"image": image_hwc, "label": np.full(image_hwc.shape[:2], self._label, np.uint8)}

    def inventory(self) -> Iterator[Entry]:
        """The files with their sizes in bytes."""
        size_of = sizes_below(self._root, {""})
        return ((f"{self._key}/{name}", size_of(name)) for name in self.names)

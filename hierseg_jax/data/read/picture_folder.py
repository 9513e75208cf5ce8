"""Folders of pictures without masks, every pixel of which has one label."""

import functools
import operator
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, UNREAD_SUFFIXES, about_unread
from hierseg_jax.data.read.pattern import parse_pattern
from hierseg_jax.data.read.source import Example, Source
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import as_path, sizes_below


class PictureFolder:
    """All pictures in a folder and those below it.

    Attributes:
      names: paths of the files, relative to the folder, in the order of the examples.
      unread: a sentence about pictures of kinds that are not read, or "".
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
            what = "is a file" if self._root.exists() else "does not exist"
            raise HiersegFileNotFoundError(
                f"data.{key}: {self._root} {what}; give a folder of pictures."
            )
        found = parse_pattern("**").files(self._root, IMAGE_SUFFIXES + UNREAD_SUFFIXES)
        files = sorted(f"{name}{ending}" for name, ending in found)
        self.names = tuple(name for name in files if name.lower().endswith(IMAGE_SUFFIXES))
        self.unread = about_unread(str(self._root / name) for name in files)
        if not self.names:
            raise HiersegError(
                f"data.{key}: {self._root} and the folders below it hold no images "
                f"({', '.join(IMAGE_SUFFIXES)}). {self.unread}".rstrip()
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


def check_apart(folders: Mapping[str, PictureFolder], splits: Iterable[Source]) -> None:
    """Refuses folders with masks in them, and pictures of which two things would be learned.

    Args:
      folders: `negatives` and `unlabelled`, as far as they are given. Unlabelled ones may be
        pictures of a split, too: a teacher is then asked about them twice.
      splits: of the data.

    Raises:
      ValueError: naming the first such file.
    """
    real = functools.cache(os.path.realpath)  # of folders, which are few

    def place_of(file: pathlib.Path) -> tuple[str, str]:
        return real(str(file.parent)), file.name

    def places(sources: Iterable[Source], name: str) -> set[tuple[str, str]]:
        return {place_of(file) for source in sources for file in _files(source, name)}

    each = [of for split in splits for of in getattr(split, "sources", (split,))]
    masks = places(each, "mask_file")
    negatives = [of for key, of in folders.items() if key == "negatives"]
    taken = {
        "negatives": (places(each, "image_file"), "one of the data, with a mask"),
        "unlabelled": (places(negatives, "image_file"), "one of data.negatives, too"),
    }
    for key, pictures in folders.items():
        known, what = taken[key]
        for file in _files(pictures, "image_file"):
            place = place_of(file)
            if place in masks or place in known:
                is_what = "a mask of the data" if place in masks else what
                raise HiersegError(
                    f"data.{key}: {file} is {is_what}; leave it out of the folder, or give another."
                )


def _files(source: Source, name: str) -> Iterator[pathlib.Path]:
    """Those that `image_file` or `mask_file` of a source gives, where it has files."""
    file_of: Callable[[int], pathlib.Path] | None = getattr(source, name, None)
    return map(file_of, range(len(source))) if file_of is not None else iter(())

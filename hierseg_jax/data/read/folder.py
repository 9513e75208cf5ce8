"""Random access to a folder of images and the folder of their masks."""

import operator
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from hierseg_jax.data.read.image_files import check_size, read_image, read_mask
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.mask_values import MaskValues, class_indices
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import as_path, scan
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.parsing import MAX_CLASSES

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MASK_SUFFIXES = (".npy", ".png")


class FolderSource:
    """Examples of `<split>/images`, paired by stem with those of `<split>/masks`.

    Files are ordered by stem; hidden ones and those of other types are passed over.
    Nothing is kept but names, so that it is cheap to send to worker processes.

    Attributes:
      names: stems, in the order of the examples.
    """

    def __init__(
        self,
        image_dir: str | pathlib.Path,
        num_classes: int,
        values: MaskValues | None = None,
    ) -> None:
        """Lists and pairs the files.

        Args:
          image_dir: folder of .jpg, .jpeg or .png images; their masks, .npy or .png,
            lie in the folder `masks` next to it.
          num_classes: background included.
          values: what the masks' values stand for; by default they are class indices or 255.

        Raises:
          FileNotFoundError: one of the two folders is missing.
          ValueError: no images, an image without mask, a mask without image, or two
            files of one stem.
        """
        whole = isinstance(num_classes, int) and not isinstance(num_classes, bool)
        if not whole or not 1 <= num_classes <= MAX_CLASSES:
            raise HiersegError(
                f"A data set has 1 to {MAX_CLASSES} classes, background included; got "
                f"{num_classes!r}."
            )
        self.image_dir = as_path(image_dir)
        self.mask_dir = self.image_dir.parent / "masks"
        self.num_classes = num_classes
        self.values = values or class_indices(num_classes)
        images = _files_by_stem(self.image_dir, IMAGE_SUFFIXES, "image")
        if not images:
            raise HiersegError(f"{self.image_dir} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
        masks = _files_by_stem(self.mask_dir, MASK_SUFFIXES, "mask")
        _refuse(
            [images[stem] for stem in images if stem not in masks],
            self.image_dir,
            "image",
            f"without a mask of the same stem in {self.mask_dir}",
        )
        _refuse(
            [masks[stem] for stem in masks if stem not in images],
            self.mask_dir,
            "mask",
            f"without an image of the same stem in {self.image_dir}",
        )
        self.names = tuple(images)
        self._files = tuple((images[stem], masks[stem]) for stem in images)

    def image_file(self, index: int) -> pathlib.Path:
        """Of an example."""
        return self.image_dir / self._files[index][0]

    def mask_file(self, index: int) -> pathlib.Path:
        """Of an example."""
        return self.mask_dir / self._files[index][1]

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone, as `source[index]` has it; its image is not read."""
        file = self.mask_file(index)
        return self.values.labels(read_mask(file), file)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"FolderSource({str(self.image_dir)!r}, num_classes={self.num_classes})"

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """{"image": uint8 RGB [H, W, 3], "label": uint8 [H, W]} at full resolution.

        Raises:
          ValueError: a file that cannot be used; one sentence that starts with it.
          FileNotFoundError: a file that has gone since the folder was listed.
        """
        index = operator.index(index)
        image_file, mask_file = self.image_file(index), self.mask_file(index)
        image_hwc, mask_hw = read_image(image_file), read_mask(mask_file)
        check_size(mask_hw, mask_file, image_hwc, image_file)
        return {"image": image_hwc, "label": self.values.labels(mask_hw, mask_file)}

    def inventory(self) -> Iterator[Entry]:
        """`images/NAME` and `masks/NAME` of every example, with their sizes in bytes.

        Where values of masks have names, these come first, for other names are other data.
        """
        yield from self.values.entries()
        images, masks = zip(*self._files, strict=True)
        sizes = zip(_sizes(self.image_dir, images), _sizes(self.mask_dir, masks), strict=True)
        for (image, mask), (image_size, mask_size) in zip(self._files, sizes, strict=True):
            yield f"images/{image}", image_size
            yield f"masks/{mask}", mask_size


def _sizes(folder: pathlib.Path, names: Iterable[str]) -> Iterator[int]:
    """Of some files of a folder, in bytes, all looked up at once."""
    with scan(folder) as entries:
        found = {entry.name: entry for entry in entries}
    for name in names:
        # What has just gone is missed by name.
        yield (found[name] if name in found else folder / name).stat().st_size


def list_by_stem(folder: pathlib.Path, suffixes: tuple[str, ...]) -> dict[str, list[str]]:
    """Stem -> names of the files with one of the suffixes, sorted; hidden files left out."""
    by_stem: dict[str, list[str]] = {}
    with scan(folder) as entries:
        for entry in entries:
            name = pathlib.PurePath(entry.name)
            wanted = name.suffix.lower() in suffixes and not entry.name.startswith(".")
            if wanted and entry.is_file():
                by_stem.setdefault(name.stem, []).append(entry.name)
    return {stem: sorted(by_stem[stem]) for stem in sorted(by_stem)}


def _files_by_stem(folder: pathlib.Path, suffixes: tuple[str, ...], kind: str) -> dict[str, str]:
    """Stem -> file name, sorted by stem."""
    if not folder.is_dir():
        raise HiersegFileNotFoundError(
            f"There is no folder {folder}, where the {kind}s should lie."
        )
    by_stem = list_by_stem(folder, suffixes)
    _refuse(
        [" and ".join(names) for names in by_stem.values() if len(names) > 1],
        folder,
        "stem",
        "shared by several files, of which one must stay",
    )
    return {stem: names[0] for stem, names in by_stem.items()}


def _refuse(names: list[str], folder: pathlib.Path, kind: str, fault: str) -> None:
    if names:
        raise HiersegError(f"{folder}: {counted(len(names), kind)} {fault}: {listed(names, 5)}.")

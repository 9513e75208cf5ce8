"""Random access to the images and masks of a split."""

import operator
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from hierseg_jax.data.read.hints import hint_of, without_unmasked
from hierseg_jax.data.read.image_files import check_size, read_image
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, Layout, beside_folder
from hierseg_jax.data.read.listing import Listing, list_pairs
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.mask_values import class_indices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.number_kinds import is_whole
from hierseg_jax.system.paths import sizes_below
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.parsing import MAX_CLASSES


class FolderSource:
    """Examples of a split, paired by what varies in the names of their files.

    They are ordered by that; hidden files and those of other types are passed over.
    Nothing is kept but names, so that it is cheap to send to worker processes.

    Attributes:
      names: what varies in the names of the files, of two folders their stems; in the order of
        the examples.
    """

    def __init__(
        self,
        images: str | pathlib.Path | Layout,
        num_classes: int,
        values: MaskMeaning | None = None,
    ) -> None:
        """Lists and pairs the files.

        Args:
          images: a folder of images, whose masks lie in the folder `masks` next to it; or where
            both are.
          num_classes: background included.
          values: what the masks' values stand for; by default they are class indices or 255.

        Raises:
          FileNotFoundError: one of the two folders is missing.
          ValueError: no images, an image without mask, a mask without image, or two
            files of one stem.
        """
        if not is_whole(num_classes) or not 1 <= num_classes <= MAX_CLASSES:
            raise HiersegError(
                f"A data set has 1 to {MAX_CLASSES} classes, background included; got "
                f"{num_classes!r}."
            )
        layout = images if isinstance(images, Layout) else beside_folder(images)
        self.num_classes = num_classes
        self.values = values or class_indices(num_classes)
        self._root = layout.root
        self._listing = list_pairs(layout)
        _check(layout, self._listing)
        self.names = self._listing.names

    def image_file(self, index: int) -> pathlib.Path:
        """Of an example."""
        return self._root / self._listing.image(index)

    def mask_file(self, index: int) -> pathlib.Path:
        """Of an example."""
        return self._root / self._listing.mask(index)

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone, as `source[index]` has it; its image is not read."""
        file = self.mask_file(index)
        return self.values.labels(self.values.read(file), file)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        folder = self._root / self._listing.images.text
        return f"FolderSource({str(folder)!r}, num_classes={self.num_classes})"

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """{"image": uint8 RGB [H, W, 3], "label": uint8 [H, W]} at full resolution.

        Raises:
          ValueError: a file that cannot be used; one sentence that starts with it.
          FileNotFoundError: a file that has gone since the folder was listed.
        """
        index = operator.index(index)
        image_file, mask_file = self.image_file(index), self.mask_file(index)
        image_hwc, mask_hw = read_image(image_file), self.values.read(mask_file)
        check_size(mask_hw, mask_file, image_hwc, image_file)
        return {"image": image_hwc, "label": self.values.labels(mask_hw, mask_file)}

    def inventory(self) -> Iterator[Entry]:
        """`images/NAME` and `masks/NAME` of every example, with their sizes in bytes.

        Names are those below the two folders. What values of masks mean comes first, where the
        data.yaml says it, for other names are other data.
        """
        yield from self.values.entries()
        listing = self._listing
        image_folder, mask_folder = (
            "" if pattern is None else pattern.folder and f"{pattern.folder}/"
            for pattern in (listing.images, listing.masks)
        )
        size_of = sizes_below(self._root, {image_folder, mask_folder})
        for index in range(len(self)):
            image, mask = listing.image(index), listing.mask(index)
            yield f"images/{image.removeprefix(image_folder)}", size_of(image)
            yield f"masks/{mask.removeprefix(mask_folder)}", size_of(mask)


def _check(layout: Layout, listing: Listing) -> None:
    """Refuses a split with faults, with a hint where the likely cause is known."""
    image_dir = layout.root / listing.images.folder
    mask_dir = layout.root / (listing.masks or listing.images).folder
    if not (listing.names or listing.unmasked):
        images = listing.images
        like = "" if images.text == images.folder else f" like {images.text}"
        raise HiersegError(
            f"{image_dir} holds no images ({', '.join(IMAGE_SUFFIXES)}){like}."
            f"{hint_of(layout, listing)}"
        )
    doubled = [" and ".join(map(os.path.basename, paths)) for paths in listing.doubled]
    folder = layout.root / os.path.dirname(listing.doubled[0][0]) if doubled else layout.root
    hint = hint_of(layout, listing)
    _refuse(doubled, folder, "stem", "shared by several files, of which one must stay", hint)
    same = f"of the same stem in {mask_dir}"
    if listing.masks is None:
        same = "where the list names it"
    elif not layout.beside:
        same = f"at {listing.masks.text}"
    for paths, where, kind, fault in (
        (listing.unmasked, image_dir, "image", f"without a mask {same}"),
        (listing.unpictured, mask_dir, "mask", f"without an image of the same stem in {image_dir}"),
    ):
        prefix = f"{where.relative_to(layout.root).as_posix()}/"
        way = hint or (without_unmasked(layout, listing) if kind == "image" else "")
        _refuse([path.removeprefix(prefix) for path in paths], where, kind, fault, way)


def _refuse(
    names: Sequence[str], folder: pathlib.Path, kind: str, fault: str, hint: str = ""
) -> None:
    if names:
        raise HiersegError(
            f"{folder}: {counted(len(names), kind)} {fault}: {listed(names, 5)}.{hint}"
        )

"""Data sets that TFDS has prepared as `array_record` files, by position."""

import dataclasses
import operator
import os
import pathlib
from collections.abc import Iterator
from typing import Any, SupportsIndex

import numpy as np

from hierseg_jax.data.read.image_files import check_size, decode_image
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.mask_values import class_indices
from hierseg_jax.data.read.tfds_name import TfdsName, parse_tfds_name
from hierseg_jax.data.read.tfds_prepared import HIERARCHIES, open_prepared
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.parsing import MAX_CLASSES


class TfdsSource:
    """One split of a prepared data set: `len(source)` and `source[i]`.

    Picklable: a copy opens the files again, so that worker processes can have one.

    Attributes:
      name: of the data set, as `parse_tfds_name` takes it.
      split: as TFDS writes it, `train` or `train[:80%]+validation`.
      data_dir: folder of all data sets, where the name has none; None is TFDS's default.
      hierarchy: the class tree of its labels, of data sets that this project builds; else None.
      values: what the masks' values stand for; by default class indices.

    Raises:
      ValueError: one sentence, for an unknown name, a split that is not there, features that
        leave a choice, or files of another format than array_record.
      FileNotFoundError: one sentence saying how to build it, where it is not built.
    """

    def __init__(
        self,
        name: str,
        split: str,
        data_dir: str | os.PathLike[str] | None = None,
        values: MaskMeaning | None = None,
    ) -> None:
        if not isinstance(split, str):
            raise HiersegError(f"A split is a text such as 'train'; got {split!r}.")
        self.name, self.split, self.data_dir, self.values = name, split, data_dir, values
        parsed = parse_tfds_name(name)
        self.hierarchy = HIERARCHIES.get(parsed.name)
        if data_dir is not None and not parsed.data_dir:
            parsed = dataclasses.replace(parsed, data_dir=os.fspath(data_dir))
        self._where = f"{parsed.name} {split}"
        count = self.hierarchy.num_classes if self.hierarchy else MAX_CLASSES
        self._values = values or class_indices(count)
        self._open(parsed)

    def _open(self, parsed: TfdsName) -> None:
        # Importing TFDS takes up to a second: only those who use it should wait.
        import tensorflow_datasets as tfds

        self._prepared = prepared = open_prepared(parsed)
        # Other features, such as boxes and videos, are never decoded.
        features = {key: prepared.features[key] for key in (prepared.image, prepared.mask)}
        self._features = tfds.features.FeaturesDict(features)
        # TFDS decodes with OpenCV too, but leaves out what imread does: EXIF orientation,
        # and three channels from a grey JPEG.
        self._undecoded = {
            key: tfds.decode.SkipDecoding()
            for key, feature in features.items()
            if isinstance(feature, tfds.features.Image)
        }
        try:
            self._records = prepared.builder.as_data_source(
                split=self.split,
                deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
                file_format=tfds.core.FileFormat.ARRAY_RECORD,
            )
        except ValueError as error:
            splits = " and ".join(prepared.splits)
            raise HiersegError(
                f"{parsed.name} has no split {self.split!r}; there are {splits}, and parts such as "
                "train[:80%]."
            ) from error

    def __reduce__(self) -> tuple[type["TfdsSource"], tuple[Any, ...]]:
        return TfdsSource, (self.name, self.split, self.data_dir, self.values)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, np.ndarray]:
        """The example at `index`, 0 to len - 1.

        Returns:
          `image`: uint8 [H, W, 3], RGB, as OpenCV reads the original file.
          `label`: uint8 [H, W], labels or 255.

        Raises:
          IndexError: for an index outside, negative ones too.
          ValueError: one sentence, where the files are damaged, or an image or mask is none.
        """
        i = operator.index(index)
        if not 0 <= i < len(self):
            raise IndexError(f"{self._where} has {len(self)} examples; got index {i}.")
        record = self._read(i)
        files = [
            pathlib.Path(f"Example {i} of {self._where} ({key})")
            for key in (self._prepared.image, self._prepared.mask)
        ]
        image_hwc = _image(record[self._prepared.image], files[0])
        mask_hw = _mask(record[self._prepared.mask], files[1], self._values)
        check_size(mask_hw, files[1], image_hwc, files[0])
        return {"image": image_hwc, "label": self._values.labels(mask_hw, files[1])}

    def _read(self, index: int) -> dict[str, Any]:
        """Image and mask: bytes of their files, or arrays."""
        try:
            return self._features.deserialize_example_np(
                self._records[index], decoders=self._undecoded
            )
        # array_record and protobuf each have exceptions of their own for this.
        except Exception as error:
            raise HiersegError(
                f"Example {index} of {self._where} cannot be read: a file is missing or "
                "damaged; delete the data set's folder and build it anew."
            ) from error

    def inventory(self) -> Iterator[Entry]:
        """The split as its builder describes it: name, version, and bytes of all examples.

        Of a part, whose bytes TFDS does not know, the files and what is read of them. Then what
        makes labels of masks, except of the data sets that were read before there was a choice.
        """
        info = self._prepared.builder.info
        split = info.splits[self.split]
        yield f"{info.full_name} {self.split}", split.num_bytes
        if self.split not in info.splits:
            for part in split.file_instructions:
                file = pathlib.Path(part.filename)
                yield f"{file.name} {part.skip}+{part.take}", file.stat().st_size
        if self.hierarchy is None:
            yield f"image={self._prepared.image} mask={self._prepared.mask}", 0
            yield from self._values.entries()


def _image(stored: bytes | np.ndarray, file: pathlib.Path) -> np.ndarray:
    """uint8 RGB [H, W, 3]."""
    if isinstance(stored, bytes):
        return decode_image(stored, file)
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[2] != 3:
        raise HiersegError(
            f"{file} is {stored.dtype} {list(stored.shape)}; an image is uint8 [height, width, 3]."
        )
    return np.array(stored)  # which may be written into, unlike TFDS's


def _mask(stored: bytes | np.ndarray, file: pathlib.Path, values: MaskMeaning) -> np.ndarray:
    """Integers [H, W]."""
    if isinstance(stored, bytes):
        return values.decode(stored, file)
    mask = stored[..., 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored
    if mask.ndim != 2 or mask.dtype.kind not in "iub":
        raise HiersegError(
            f"{file} is {stored.dtype} {list(stored.shape)}; a mask has a whole number for every "
            "pixel, [height, width] or [height, width, 1]."
        )
    return mask.astype(np.uint8) if mask.dtype == bool else mask

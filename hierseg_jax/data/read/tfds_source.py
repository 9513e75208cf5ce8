"""Data sets that TFDS has built as `array_record` files, by position."""

import importlib
import operator
import os
import pathlib
from typing import Any, SupportsIndex

import numpy as np

from hierseg_jax.data.read.image_files import decode_image, decode_mask
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

HIERARCHIES: dict[str, Hierarchy] = {"pascal_person_part": PASCAL_PERSON_PART}
"""By name, the data sets there are."""


class TfdsSource:
    """One split of a built data set: `len(source)` and `source[i]`.

    Picklable: a copy opens the files again, so that worker processes can have one.

    Attributes:
      name: of the data set.
      split: `train`, `val`, or a part as TFDS writes it, `train[:80%]`.
      data_dir: where it was built; None is TFDS's default.
      hierarchy: the class tree of its labels.

    Raises:
      ValueError: one sentence, for an unknown name, a split that is not there, or
        files of another format than array_record.
      FileNotFoundError: one sentence saying how to build it, where it is not built.
    """

    def __init__(
        self, name: str, split: str, data_dir: str | os.PathLike[str] | None = None
    ) -> None:
        if name not in HIERARCHIES:
            raise HiersegError(
                f"There is no data set {name!r}; choose one of {', '.join(HIERARCHIES)}."
            )
        if not isinstance(split, str):
            raise HiersegError(f"A split is a text such as 'train'; got {split!r}.")
        self.name, self.split, self.data_dir = name, split, data_dir
        self.hierarchy = HIERARCHIES[name]
        self._records = _open_records(name, split, data_dir)

    def __reduce__(self) -> tuple[type["TfdsSource"], tuple[Any, ...]]:
        return TfdsSource, (self.name, self.split, self.data_dir)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, np.ndarray]:
        """The example at `index`, 0 to len - 1.

        Returns:
          `image`: uint8 [H, W, 3], RGB, as OpenCV reads the original file.
          `label`: uint8 [H, W], classes or 255.

        Raises:
          IndexError: for an index outside, negative ones too.
          ValueError: one sentence, where the files are damaged.
        """
        i = operator.index(index)
        if not 0 <= i < len(self):
            raise IndexError(f"{self.name} {self.split} has {len(self)} examples; got index {i}.")
        try:
            record = self._records[i]
        # array_record and protobuf each have exceptions of their own for this.
        except Exception as error:
            raise self._unreadable(i) from error
        try:
            image_hwc = decode_image(record["image"], pathlib.Path(f"{i}.jpg"))
            label_hw = decode_mask(record["label"], pathlib.Path(f"{i}.png"))
        except HiersegError as error:
            raise self._unreadable(i) from error
        return {"image": image_hwc, "label": label_hw}

    def _unreadable(self, index: int) -> HiersegError:
        return HiersegError(
            f"Example {index} of {self.name} {self.split} cannot be read: a file is missing or "
            "damaged; delete the data set's folder and build it anew."
        )

    def inventory(self) -> list[Entry]:
        """The split as its builder describes it: name, version, and bytes of all examples."""
        info = self._records.dataset_info
        split = info.splits[self.split]
        return [(f"{info.full_name} {self.split}", split.num_bytes)]


def _open_records(name: str, split: str, data_dir: str | os.PathLike[str] | None) -> Any:
    """TFDS's random access to the undecoded examples."""
    # Importing the builder imports TFDS, which takes up to a second: only those who
    # use it should wait.
    module = importlib.import_module(f"hierseg_jax.data.{name}.{name}_dataset_builder")
    import tensorflow_datasets as tfds

    try:
        builder = module.Builder(data_dir=data_dir)
    except Exception as error:  # Of TFDS for another format, of protobuf for damaged JSON.
        raise HiersegError(
            f"{name} in {data_dir or 'the default folder of TFDS'} cannot be opened as "
            f"array_record files ({error}); delete its folder and build it anew."
        ) from error
    if not builder.is_prepared():
        raise HiersegFileNotFoundError(
            f"{name} is not built in {builder.data_path}; build it with `python -m "
            f"hierseg_jax.data.{name} --manual_dir=DIR"
            + (f" --data_dir={data_dir}" if data_dir else "")
            + "`, where DIR holds JPEGImages/, gt_masks/, train_id.txt and val_id.txt."
        )
    # TFDS decodes with OpenCV too, but leaves out what imread does: EXIF orientation,
    # and three channels from a grey JPEG.
    undecoded = {feature: tfds.decode.SkipDecoding() for feature in ("image", "label")}
    try:
        return builder.as_data_source(split=split, decoders=undecoded)
    except ValueError as error:
        splits = " and ".join(builder.info.splits)
        raise HiersegError(
            f"{name} has no split {split!r}; there are {splits}, and parts such as train[:80%]."
        ) from error

"""The TFDS builder: from the raw download to record files.

It reads and writes `array_record` files without TensorFlow, because images go in
as encoded bytes: TFDS would encode an array with TensorFlow.
"""

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import cv2
import tensorflow_datasets as tfds
from etils import epath

from hierseg_jax.data.prepare.id_lists import is_plain_id
from hierseg_jax.data.read.image_files import check_size, decode_image, decode_mask
from hierseg_jax.data.read.mask_values import class_indices
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import one_line
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

_ID_FILES = {"train": "train_id.txt", "val": "val_id.txt"}
_LAYOUT = (
    "JPEGImages/<id>.jpg, gt_masks/<id>.npy (height x width, integer classes), train_id.txt "
    "and val_id.txt (one id a line)"
)


class Builder(tfds.core.GeneratorBasedBuilder):
    """PASCAL-Person-Part from its raw download.

    Examples are `image` (the JPEG file's bytes), `label` (uint8 classes as PNG) and
    `id` (text), in the order of the id files.

    Building raises:
      FileNotFoundError: one sentence naming the file that is missing.
      ValueError: one sentence naming the file that is not what it should be.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012 - as TFDS declares it
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put there, or into its subfolder pascal_person_part: {_LAYOUT}"

    def __init__(self, *, file_format: str | None = None, **kwargs: Any) -> None:
        # TFDS would write TFRecord files, which need TensorFlow and have no random access.
        super().__init__(file_format=file_format or "array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.Image(
                        shape=(None, None, 1), encoding_format="png", use_colormap=True
                    ),
                    "id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://arxiv.org/abs/1406.2031",
            # Examples stay in the order of the id files: a shuffle is the pipeline's.
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        try:
            root = dl_manager.manual_dir
        except AssertionError as error:  # TFDS's way to say that it is missing or empty.
            raise HiersegFileNotFoundError(one_line(error) + ".") from error
        if (root / self.name).is_dir():
            root = root / self.name
        # Both lists are read before the first split is written, which takes a while.
        ids = {split: _read_ids(root / file) for split, file in _ID_FILES.items()}
        return {split: self._generate_examples(root, names) for split, names in ids.items()}

    def _generate_examples(
        self, root: epath.Path, names: list[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields (position in the id file, example)."""
        for i, name in enumerate(names):
            image_file = root / "JPEGImages" / f"{name}.jpg"
            label_file = root / "gt_masks" / f"{name}.npy"
            for file in (image_file, label_file):
                if not file.is_file():
                    raise HiersegFileNotFoundError(
                        f"An id file names {name}, but there is no {file}."
                    )
            image_path, label_path = pathlib.Path(image_file), pathlib.Path(label_file)
            jpeg = image_file.read_bytes()
            mask_hw = decode_mask(label_file.read_bytes(), label_path)
            check_size(mask_hw, label_path, decode_image(jpeg, image_path), image_path)
            label_hw = class_indices(PASCAL_PERSON_PART.num_classes).labels(mask_hw, label_path)
            png = cv2.imencode(".png", label_hw)[1].tobytes()
            yield i, {"image": io.BytesIO(jpeg), "label": io.BytesIO(png), "id": name}


def _read_ids(file: epath.Path) -> list[str]:
    """The ids, in the file's order."""
    if not file.is_file():
        raise HiersegFileNotFoundError(f"There is no {file}; {file.parent} must hold {_LAYOUT}.")
    # An id that is not UTF-8 gets a replacement character, and then its file is missed.
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise HiersegError(f"{file} names no image; it must hold one id a line.")
    strange = next((name for name in names if not is_plain_id(name)), None)
    if strange is not None:
        raise HiersegError(
            f"{file} names {strange[:100]!r}, which is no plain id; expected stems of files in "
            "JPEGImages."
        )
    if len(set(names)) < len(names):
        repeated = next(name for i, name in enumerate(names) if name in names[:i])
        raise HiersegError(f"{file} names {repeated} more than once.")
    return names

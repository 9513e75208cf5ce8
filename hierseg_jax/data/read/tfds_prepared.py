"""A data set as TFDS has prepared it: its folder, and which of its features are read."""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from hierseg_jax.data.read.tfds_name import TfdsName
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import listed, one_line
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

HIERARCHIES: dict[str, Hierarchy] = {"pascal_person_part": PASCAL_PERSON_PART}
"""By name, the trees of data sets that this project builds itself."""
# What reads features lies there. Other modules that a file names are not imported.
_FEATURES = "tensorflow_datasets.core.features."
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A data set on disk.

    Attributes:
      builder: TFDS's, read from the folder alone.
      image, mask: keys of the features that are read.
    """

    builder: Any
    image: str
    mask: str

    @property
    def features(self) -> Mapping[str, Any]:
        """TFDS's, by key."""
        return self.builder.info.features

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of those that are prepared."""
        return tuple(self.builder.info.splits)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the mask's values, in order; empty where TFDS knows none."""
        feature = self.features[self.mask]
        if not getattr(feature, "num_classes", None):
            return ()
        numbers = [str(index) for index in range(feature.num_classes)]
        return () if feature.names == numbers else tuple(feature.names)


def open_prepared(name: TfdsName) -> Prepared:
    """Finds a data set and looks at its features; no record is read.

    Raises:
      FileNotFoundError: one sentence, where it is not there.
      ValueError: one sentence, where it can't be read, or its features leave a choice.
    """
    builder = _open_builder(name, _find_folder(name))
    features = builder.info.features
    image = _choose(name, features, "image", _is_image)
    mask = _choose(name, features, "mask", _is_mask)
    if image == mask:
        raise HiersegError(f"{name.name}: {image!r} is both image and mask; give two features.")
    return Prepared(builder, image, mask)


def _find_folder(name: TfdsName) -> pathlib.Path:
    """Of the version that is asked for, or the last."""
    default = os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    data_dir = pathlib.Path(name.data_dir or default).expanduser()
    folder = data_dir / name.name
    if not any(_prepared_in(folder)) and not any(_configs(folder)):
        raise _not_there(name, data_dir)
    configs = sorted(_configs(folder))
    if name.config or not any(_prepared_in(folder)):
        config = name.config or configs[0]
        if config not in configs or (len(configs) > 1 and not name.config):
            raise HiersegFileNotFoundError(
                f"{folder} holds the configs {listed(configs, 20) or 'none'}; choose one, as in "
                f"tfds:{name.name}/CONFIG."
            )
        folder /= config
    versions = sorted(
        _prepared_in(folder), key=lambda version: [int(part) for part in version.split(".")]
    )
    if name.version and name.version not in versions:
        raise HiersegFileNotFoundError(
            f"{folder} has no version {name.version}; there are {', '.join(versions)}."
        )
    return folder / (name.version or versions[-1])


def _prepared_in(folder: pathlib.Path) -> Iterator[str]:
    """Versions; those that are being prepared have other names."""
    files = folder.glob("*/dataset_info.json")
    return (file.parent.name for file in files if _VERSION.fullmatch(file.parent.name))


def _configs(folder: pathlib.Path) -> Iterator[str]:
    children = folder.iterdir() if folder.is_dir() else ()
    return (child.name for child in children if any(_prepared_in(child)))


def _not_there(name: TfdsName, data_dir: pathlib.Path) -> HiersegError:
    if name.name in HIERARCHIES:
        return HiersegFileNotFoundError(
            f"{name.name} is not built in {data_dir / name.name}; build it with `python -m "
            f"hierseg_jax.data.{name.name} --manual_dir=DIR"
            + (f" --data_dir={name.data_dir}" if name.data_dir else "")
            + "`, where DIR holds JPEGImages/, gt_masks/, train_id.txt and val_id.txt."
        )
    children = sorted(data_dir.iterdir()) if data_dir.is_dir() else ()
    found = [child.name for child in children if any(_prepared_in(child)) or any(_configs(child))]
    there = f"choose one of {listed(found, 20)}, or prepare" if found else "prepare"
    return HiersegFileNotFoundError(
        f"In {data_dir} there is no data set {name.name!r}; {there} it with TFDS, as array_record "
        "files. TFDS_DATA_DIR names another folder."
    )


def _open_builder(name: TfdsName, folder: pathlib.Path) -> Any:
    # Importing TFDS takes up to a second: only those who use it should wait.
    import tensorflow_datasets as tfds

    try:
        for module in set(_class_names(json.loads((folder / "features.json").read_bytes()))):
            if not module.startswith(_FEATURES):
                raise HiersegError(f"features.json names {module}, which TFDS does not have")
        builder = tfds.builder_from_directory(str(folder))
        formats = builder.info.available_file_formats()
        if tfds.core.FileFormat.ARRAY_RECORD not in formats:
            raise HiersegError(f"it holds {', '.join(each.name for each in formats)}")
    except Exception as error:  # Of TFDS for what it does not know, of protobuf and JSON.
        text = one_line(error, 300)
        raise HiersegError(
            f"{name.name} in {folder} cannot be opened as array_record files ({text}); delete its "
            "folder and build it anew, with file_format=array_record."
        ) from error
    return builder


def _class_names(content: Any) -> Iterator[str]:
    """All that the description of features would import."""
    if isinstance(content, list):
        for child in content:
            yield from _class_names(child)
    for key, value in content.items() if isinstance(content, dict) else ():
        if not isinstance(value, str):
            yield from _class_names(value)
        elif key == "json":  # an older description within the newer one
            yield from _class_names(json.loads(value))
        elif key in ("pythonClassName", "type"):
            yield value


def _choose(
    name: TfdsName, features: Mapping[str, Any], what: str, fits: Callable[[Any], bool]
) -> str:
    """The key of the feature that is asked for, or of the only one that fits."""
    asked = getattr(name, what)
    if asked:
        if asked not in features or not _is_grid(features[asked]):
            raise HiersegError(
                f"{name.name} has no image or array {asked!r}; its features are {_told(features)}."
            )
        return asked
    fitting = sorted(key for key, feature in features.items() if fits(feature))
    if len(fitting) != 1:
        found = f"{len(fitting)} ({listed(fitting, 10)})" if fitting else "none"
        raise HiersegError(
            f"{name.name}: of its features one must be the {what}, and {found} look like it; say "
            f"which it is, as in tfds:{name.name}?{what}=KEY. There are {_told(features)}."
        )
    return fitting[0]


def _is_image(feature: Any) -> bool:
    """Colour pictures of 8 or 16 bits."""
    shape: tuple[int | None, ...] = feature.shape if _is_grid(feature) else ()
    return len(shape) == 3 and shape[-1] == 3 and _kind(feature) in ("uint8", "uint16")


def _is_mask(feature: Any) -> bool:
    """Whole numbers, one a pixel."""
    shape: tuple[int | None, ...] = feature.shape if _is_grid(feature) else ()
    flat = len(shape) == 2 or (len(shape) == 3 and shape[-1] == 1)
    return flat and _kind(feature).startswith(("uint", "int", "bool"))


def _is_grid(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    # Other kinds of tensors, such as boxes, are subclasses.
    return isinstance(feature, tfds.features.Image) or type(feature) is tfds.features.Tensor


def _kind(feature: Any) -> str:
    return np.dtype(feature.np_dtype).name


def _told(features: Mapping[str, Any]) -> str:
    return listed([f"{key} ({type(features[key]).__name__})" for key in sorted(features)], 20)

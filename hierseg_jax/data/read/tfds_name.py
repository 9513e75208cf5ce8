"""`tfds:NAME[/CONFIG][:VERSION][?KEY=VALUE&...]`: a data set that TFDS has prepared."""

import dataclasses
import os
import re
from collections.abc import Collection

from hierseg_jax.system.errors import HiersegError

TFDS_PREFIX = "tfds:"
USUAL_SPLITS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
"""By split, what TFDS calls it where nobody says otherwise."""
_PATHS = ("tree", "data_dir")
_KEYS = ("image", "mask", *USUAL_SPLITS, *_PATHS)
_NAME = re.compile(r"(\w+)(?:/(\w[\w.+-]*))?(?::(\d+\.\d+\.\d+))?")
_SLICE = re.compile(r"\[[^]]*]")


@dataclasses.dataclass(frozen=True)
class TfdsName:
    """What is read; empty is what there is or, of several versions, the last.

    Attributes:
      name, config, version: as TFDS has them.
      image, mask: keys of features.
      splits: (split, what TFDS calls it), of the splits that are given.
      tree: path of a YAML file with the classes, as a data.yaml has them.
      data_dir: folder of all data sets; TFDS's default where empty.
    """

    name: str
    config: str = ""
    version: str = ""
    image: str = ""
    mask: str = ""
    splits: tuple[tuple[str, str], ...] = ()
    tree: str = ""
    data_dir: str = ""

    def split_of(self, split: str, available: Collection[str]) -> str | None:
        """What TFDS calls a split, such as `train[:90%]`; None where there is none.

        Args:
          split: `train`, `val` or `test`.
          available: names of the splits that are prepared.
        """
        given = dict(self.splits).get(split)
        usual = (name for name in USUAL_SPLITS.get(split, ()) if name in available)
        return given or next(usual, None)


def parse_tfds_name(text: str) -> TfdsName:
    """What stands behind `tfds:`; with it, too.

    Raises:
      ValueError: one sentence, for what is no such name; an unknown or repeated key, or one
        without a value; a validation or test split out of a training split that is read whole.
    """
    text = text.removeprefix(TFDS_PREFIX)
    path, _, query = text.partition("?")
    parts = _NAME.fullmatch(path)
    if parts is None:
        raise HiersegError(
            f"{TFDS_PREFIX}{text} names no data set of TFDS; expected {TFDS_PREFIX}NAME, "
            "NAME/CONFIG or NAME/CONFIG:1.0.0, then perhaps ?image=KEY&mask=KEY."
        )
    given: dict[str, str] = {}
    for option in query.split("&") if query else ():
        key, _, value = option.partition("=")
        if key not in _KEYS or not value or key in given:
            wrong = "is given twice" if key in given else "is no KEY=VALUE of those that there are"
            raise HiersegError(
                f"{TFDS_PREFIX}{text}: {option!r} {wrong}; the keys are {', '.join(_KEYS)}, joined "
                "by &, such as ?train=train[:90%]&val=train[90%:]."
            )
        given[key] = value
    splits = tuple((split, given.pop(split)) for split in USUAL_SPLITS if split in given)
    _check_splits(text, dict(splits))
    return TfdsName(parts[1], parts[2] or "", parts[3] or "", splits=splits, **given)


def tfds_location(text: str) -> str:
    """The same text with absolute paths."""
    path, mark, query = text.partition("?")
    options = (option.partition("=") for option in query.split("&"))
    absolute = (
        f"{key}={os.path.abspath(value)}" if key in _PATHS and value else f"{key}{equals}{value}"
        for key, equals, value in options
    )
    return f"{path}{mark}{'&'.join(absolute)}"


def _check_splits(text: str, given: dict[str, str]) -> None:
    """Refuses to train on what is validated on, where only the latter was thought of."""
    for split, value in given.items():
        parts = _SLICE.sub("", value).split("+")
        if split != "train" and "train" not in given and "train" in parts:
            raise HiersegError(
                f"{TFDS_PREFIX}{text}: {split} is taken out of train, of which the training would "
                "read all; say what is left to it, such as ?train=train[:90%]&val=train[90%:]."
            )

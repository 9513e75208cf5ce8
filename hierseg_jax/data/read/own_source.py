"""A data set of your own: `module:function` names a function that returns its splits.

The function takes `train`, `val` or `test` and returns `Examples`, or None where there is no such
split. It is called several times in a run, and once more in every process that reads
(`data.worker_count`): it should list what there is, and leave reading to `__getitem__`.
"""

import importlib
import operator
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, SupportsIndex

import numpy as np

from hierseg_jax.data.read.image_files import check_size
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.source import Example
from hierseg_jax.system.errors import HiersegError


class Examples(Protocol):
    """What the function returns for a split.

    Always the same examples in the same order: a run is a function of its seed, and goes on where
    it was ended. Several threads read at the same time.

    It may have three attributes more:
      tree: a mapping with the classes as in a data.yaml: `names`, `hierarchy`, `level_names`,
        `background`, `pairs`, `labels`, `ignore`, `unknown`. Without it, `data.hierarchy` names
        a YAML file with them.
      names: a text for every example, by which reports call it.
      inventory: a method without arguments that gives (name, size in bytes) of what is read, by
        which a run that goes on learns that its data have changed. Without it, it learns of
        another function and another number of examples alone.
    """

    def __len__(self) -> int:
        """Number of examples, at least 1."""
        ...

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray]:
        """`image`: uint8 RGB [H, W, 3]; `label`: integers [H, W]: classes, or 255 for ignored.

        Raises:
          OSError: what can't be read; with `data.on_error=skip` a run goes on without it.
        """
        ...


def open_own(name: str, split: str) -> Any:
    """What the function returns: `Examples`, or None.

    Args:
      name: `module:function`. The module is imported, from Python's path alone.
      split: `train`, `val` or `test`.

    Raises:
      ValueError: one sentence, where there is no such function, or it returns something else.
    """
    examples = _find(name)(split)
    if examples is not None and not all(
        hasattr(type(examples), method) for method in ("__len__", "__getitem__")
    ):
        raise HiersegError(
            f"{name}({split!r}) returned {type(examples).__name__}; expected None, or an object "
            "with __len__ and __getitem__, such as a list of examples."
        )
    return examples


def own_tree(name: str) -> Mapping[str, Any] | None:
    """The attribute `tree` of the first split that there is.

    Raises:
      ValueError: one sentence, where there is no split, or the tree is no mapping.
    """
    splits = (open_own(name, split) for split in ("train", "val", "test"))
    examples = next((each for each in splits if each is not None), None)
    if examples is None:
        raise HiersegError(f"{name} returned None for train, val and test; it has no split.")
    tree = getattr(examples, "tree", None)
    if tree is not None and not isinstance(tree, Mapping):
        raise HiersegError(
            f"{name}: its tree is {type(tree).__name__}; expected a mapping with the keys of a "
            "data.yaml, such as {'names': ['background', 'cat', 'dog']}."
        )
    return tree


class OwnSource:
    """A split of a user's own, checked as it is read.

    Picklable whatever the examples are: a copy calls the function again.
    """

    def __init__(self, name: str, split: str, values: MaskMeaning, length: int = -1) -> None:
        """Calls the function.

        Args:
          name: `module:function`.
          split: `train`, `val` or `test`.
          values: what the values of its labels stand for.
          length: that it must have, of a copy.

        Raises:
          ValueError: one sentence.
        """
        examples = open_own(name, split)
        if examples is None:
            raise HiersegError(f"{name} has no split {split!r}: the function returned None.")
        self._where, self._name, self._split = f"{name}({split!r})", name, split
        self._examples, self._values, self._length = examples, values, len(examples)
        if not self._length:
            raise HiersegError(f"{self._where} has no examples.")
        if length not in (-1, self._length):
            raise HiersegError(
                f"{self._where} had {length} examples, and {self._length} in another process; it "
                "must return the same ones always."
            )

    def __reduce__(self) -> tuple[type["OwnSource"], tuple[Any, ...]]:
        return OwnSource, (self._name, self._split, self._values, self._length)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the examples, where they have some."""
        names = tuple(map(str, getattr(self._examples, "names", ())))
        if len(names) not in (0, self._length):
            raise HiersegError(f"{self._where}: {len(names)} names for {self._length} examples.")
        return names

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: SupportsIndex) -> Example:
        """`image`: uint8 RGB [H, W, 3], `label`: uint8 [H, W], labels or 255.

        Raises:
          IndexError: for an index outside.
          ValueError: one sentence, for what is no example.
        """
        i = operator.index(index)
        if not 0 <= i < self._length:
            raise IndexError(f"{self._where} has {self._length} examples; got index {i}.")
        where = f"{self._where}[{i}]"
        image_hwc, label_hw = _arrays(self._examples[i], where)
        image_place, label_place = (pathlib.Path(f"{where}: its {key}") for key in _EXPECTED)
        check_size(label_hw, label_place, image_hwc, image_place)
        # Copies: what augmentation writes into must not be the user's.
        label = self._values.labels(label_hw, label_place)
        return {"image": np.array(image_hwc), "label": np.array(label)}

    def inventory(self) -> Iterable[Entry]:
        """The user's, checked; where there is none, the name of the function."""
        yield from self._values.entries()
        inventory = getattr(self._examples, "inventory", lambda: [(self._where, 0)])
        for entry in inventory():
            try:
                name, size = entry
                yield str(name), operator.index(size)
            except (TypeError, ValueError) as error:
                raise HiersegError(
                    f"{self._where}.inventory() gives {entry!r}; expected (name, size in bytes)."
                ) from error


_EXPECTED = {"image": "uint8 [height, width, 3], RGB", "label": "integers [height, width]"}


def _arrays(example: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of an example."""
    if not isinstance(example, Mapping) or not example.keys() >= _EXPECTED.keys():
        found = f"the keys {list(example)}" if isinstance(example, Mapping) else repr(type(example))
        raise HiersegError(
            f"{where} has {found[:200]}; an example is a dict of arrays, `image` and `label`."
        )
    image, label = example["image"], example["label"]
    right = {
        "image": isinstance(image, np.ndarray)
        and (image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3),
        "label": isinstance(label, np.ndarray) and (label.dtype.kind in "iu" and label.ndim == 2),
    }
    for key, expected in _EXPECTED.items():
        array = example[key]
        if not right[key] or not array.size:
            found = (
                f"{array.dtype} {list(array.shape)}"
                if isinstance(array, np.ndarray)
                else type(array).__name__
            )
            raise HiersegError(f"{where}: its {key} is {found}; expected {expected}.")
    return image, label


def _find(name: str) -> Callable[[str], Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # What the module itself fails to import is not for us to explain.
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise HiersegError(
            f"{name} names the module {module_name}, which is not on Python's path; put "
            "PYTHONPATH=FOLDER in front of the command, with the folder where it lies."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise HiersegError(f"{name}: {module.__file__} has no function {function_name!r}.")
    return function

"""data.yaml: where a data set's images lie and which class tree its masks follow.

```yaml
path: .                  # root of the data; relative to this file's folder (the default)
train: train/images      # image folders below the root; masks lie next to them in `masks`
val: val/images
test:                    # unused ones may be empty or missing
names: [background, torso, head, legs]      # optional; the background first
level_names: [body, half, part]             # optional; coarse to fine
hierarchy:
  body: {upper: [head, torso], lower: [legs]}   # class names or indices
pairs: []                # leaf classes that a mirror exchanges, as [[left_arm, right_arm]]
labels: {0: background, 1: upper, 2: legs, 7: ignore}   # optional; what the masks' values mean
```
"""

import dataclasses
import difflib
import functools
import os
import pathlib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from hierseg_jax.data.read.mask_values import (
    IGNORE,
    MaskValues,
    Named,
    check_ignore,
    class_indices,
    named_values,
    parse_labels,
)
from hierseg_jax.data.read.safe_yaml import read_yaml
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import absolute, as_path, place_of
from hierseg_jax.tree.hierarchy import Group, Hierarchy
from hierseg_jax.tree.meeting import has_inner

SPLITS = ("train", "val", "test")
KEYS = ("path", *SPLITS, "hierarchy", "names", "level_names", "pairs", "labels")


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """What a data.yaml says.

    Attributes:
      file: the data.yaml, absolute.
      root: folder of the data, absolute.
      image_dirs: (split, absolute folder of its images), of the splits that are given
        among train, val and test, in that order.
      hierarchy: the class tree of the masks; with `inner_labels` where some are of groups.
      labels: names of the values of the masks; empty where these are class indices.
      own_classes: of the file, where `in_tree` has made names of class indices; else 0.
    """

    file: pathlib.Path
    root: pathlib.Path
    image_dirs: tuple[tuple[str, pathlib.Path], ...]
    hierarchy: Hierarchy
    labels: Named = ()
    own_classes: int = 0

    @functools.cached_property
    def values(self) -> MaskValues:
        """What the values of the masks stand for."""
        if self.labels:
            return named_values(self.labels, self.hierarchy, self.own_classes)
        return class_indices(self.hierarchy.num_classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes and groups that pixels may be labelled with."""
        named = [name for _, name in self.labels if name != IGNORE]
        return tuple(dict.fromkeys(named)) if self.labels else self.hierarchy.class_names

    def in_tree(self, common: Hierarchy) -> "DatasetSpec":
        """The same masks as labels of another tree, of which `check_meeting` has nothing to say."""
        own = self.hierarchy.class_names
        if not self.labels and own == common.class_names:
            return dataclasses.replace(self, hierarchy=common)
        check_ignore(self.hierarchy)
        labels = self.labels or tuple(enumerate(own))
        background = common.class_names[0]
        return dataclasses.replace(
            self,
            hierarchy=common,
            own_classes=0 if self.labels else len(own),
            labels=tuple((v, background if name == own[0] else name) for v, name in labels),
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are given."""
        return tuple(split for split, _ in self.image_dirs)

    def image_dir(self, split: str) -> pathlib.Path:
        """Folder of a split's images.

        Raises:
          ValueError: naming the splits there are.
        """
        folders = dict(self.image_dirs)
        if split not in folders:
            given = ", ".join(folders) if folders else "none at all"
            raise HiersegError(
                f"{self.file} gives no image folder for {split!r} (it gives {given}); "
                f"{f'add `{split}: FOLDER`' if split in SPLITS else 'splits are train, val, test'}."
            )
        return folders[split]


def load_spec(file: str | pathlib.Path) -> DatasetSpec:
    """Reads a data.yaml. The image folders themselves are not looked at.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one sentence that starts with the file's path.
    """
    file = absolute(file)
    content = _read_keys(file)
    hierarchy, labels = _labelled_tree(file, content)
    path = _text(file, content, "path") or "."
    root = place_of(path, file.parent)
    image_dirs = []
    for split in SPLITS:
        folder = _text(file, content, split)
        if folder:
            image_dirs.append((split, root / _below_root(file, split, folder)))
    return DatasetSpec(file, root, tuple(image_dirs), hierarchy, labels)


def spec_without_folders(name: str, content: Mapping[str, Any]) -> DatasetSpec:
    """The classes of a data set that has no data.yaml.

    Args:
      name: of the data set, for messages.
      content: the keys of a data.yaml, without `path` and splits; where there are names alone,
        the tree has one level.

    Raises:
      ValueError: one sentence that starts with the name.
    """
    file = pathlib.Path(name)
    content = dict(content)
    _check_keys(file, content, tuple(key for key in KEYS if key not in ("path", *SPLITS)))
    if content.get("hierarchy") is None and (names := _names(file, content.get("names"))):
        content["hierarchy"] = list(range(1, len(names)))
        content["level_names"] = content.get("level_names") or ["class"]
    hierarchy, labels = _labelled_tree(file, content)
    return DatasetSpec(file, pathlib.Path(), (), hierarchy, labels)


def read_tree_file(
    file: str | pathlib.Path, class_names: tuple[str, ...] | None = None
) -> Hierarchy:
    """The class tree alone, of a data.yaml that need not name any folders.

    Args:
      file: the data.yaml.
      class_names: that the tree is over, where the file names none.

    Raises:
      FileNotFoundError, ValueError: as `load_spec` does.
    """
    file = as_path(file)
    content = _read_keys(file)
    if class_names is not None and content.get("names") is None:
        content["names"] = list(class_names)
    return _hierarchy(file, content)


def read_labelled_tree(file: str | pathlib.Path) -> tuple[Hierarchy, Named]:
    """The class tree and the names of the masks' values, of a data.yaml without folders, too.

    Raises:
      FileNotFoundError, ValueError: as `load_spec` does.
    """
    file = as_path(file)
    return _labelled_tree(file, _read_keys(file))


def write_spec(spec: DatasetSpec) -> None:
    """Writes `spec.file`, from which `load_spec` reads an equal spec.

    The root is written relative to the file where it lies below it, so that the
    whole folder can be moved. The file appears complete or not at all.
    """
    root = spec.root
    if root.is_relative_to(spec.file.parent):
        root = root.relative_to(spec.file.parent)
    content: dict[str, Any] = {
        "path": str(root),
        **{split: str(folder.relative_to(spec.root)) for split, folder in spec.image_dirs},
        "names": list(spec.hierarchy.class_names),
        "level_names": list(spec.hierarchy.level_names),
        "hierarchy": _written(spec.hierarchy.children),
    }
    if spec.hierarchy.pairs:
        names = spec.hierarchy.class_names
        content["pairs"] = [[names[member] for member in pair] for pair in spec.hierarchy.pairs]
    if spec.labels:
        content["labels"] = dict(spec.labels)
    text = yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
    write_atomically(spec.file, text.encode())


def _written(children: tuple[Group | int, ...]) -> dict[str, Any] | list[Any]:
    groups = [child for child in children if isinstance(child, Group)]
    if len(groups) == len(children):
        return {group.name: _written(group.children) for group in groups}
    return [
        {child.name: _written(child.children)} if isinstance(child, Group) else child
        for child in children
    ]


def _read_keys(file: pathlib.Path) -> dict[str, Any]:
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise HiersegError(
            f"{file}: expected `key: value` lines with the keys {', '.join(KEYS)}; found "
            f"{_kind(content)}."
        )
    _check_keys(file, content, KEYS)
    return content


def _check_keys(file: pathlib.Path, content: Mapping[Any, Any], keys: Sequence[str]) -> None:
    for key in content:
        if key not in keys:
            near = difflib.get_close_matches(str(key)[:50].lower(), keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(keys)}."
            raise HiersegError(f"{file}: the key {reprlib.repr(key)} is unknown; {hint}")


def _hierarchy(file: pathlib.Path, content: Mapping[str, Any]) -> Hierarchy:
    if content.get("hierarchy") is None:
        raise HiersegError(
            f"{file}: the key hierarchy is missing; give the class tree, for example "
            "`hierarchy: {body: {upper: [1, 2], lower: [3]}}`."
        )
    names = _names(file, content.get("names"))
    level_names = content.get("level_names")
    if level_names is not None:
        _check_texts(file, "level_names", level_names, "a list of names, coarse to fine")
    try:
        return Hierarchy.from_mapping(
            content["hierarchy"], names, level_names, content.get("pairs")
        )
    except HiersegError as error:
        raise _in_file(file, error) from error


def _labelled_tree(file: pathlib.Path, content: Mapping[str, Any]) -> tuple[Hierarchy, Named]:
    hierarchy = _hierarchy(file, content)
    if content.get("labels") is None:
        return hierarchy, ()
    try:
        labels = parse_labels(content["labels"], hierarchy)
    except HiersegError as error:
        raise _in_file(file, error) from error
    inner = has_inner((name for _, name in labels), hierarchy)
    return dataclasses.replace(hierarchy, inner_labels=inner), labels


def _in_file(file: pathlib.Path, error: HiersegError) -> HiersegError:
    """The sentence, which begins with the file, and is not too long."""
    text = str(error)
    return HiersegError(
        f"{file}: {text if len(text) < 600 else text[:400] + ' ... ' + text[-100:]}"
    )


def _names(file: pathlib.Path, names: Any) -> list[str] | dict[int, str] | None:
    expected = "a list of class names, background first, or a mapping from index to name"
    if names is None:
        return None
    if isinstance(names, dict):
        for index in names:
            if isinstance(index, bool) or not isinstance(index, int):
                raise HiersegError(
                    f"{file}: names: expected {expected}; found {reprlib.repr(index)} as an index."
                )
        _check_texts(file, "names", list(names.values()), expected)
    else:
        _check_texts(file, "names", names, expected)
    return names


def _check_texts(file: pathlib.Path, key: str, values: Any, expected: str) -> None:
    if not isinstance(values, list | tuple):
        raise HiersegError(f"{file}: {key}: expected {expected}; found {_kind(values)}.")
    for value in values:
        if not isinstance(value, str):
            raise HiersegError(
                f"{file}: {key}: expected {expected}; found {_kind(value)} in it (put quotes "
                "around numbers, yes and no)."
            )


def _text(file: pathlib.Path, content: Mapping[str, Any], key: str) -> str:
    """A path as it stands in the file; empty where none is given."""
    value = content.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise HiersegError(f"{file}: {key}: expected the path of a folder; found {_kind(value)}.")
    if len(value) > 4096 or any(character < " " for character in value):
        raise HiersegError(f"{file}: {key}: {reprlib.repr(value)} is no path of a folder.")
    return value


def _below_root(file: pathlib.Path, split: str, folder: str) -> str:
    if os.path.isabs(folder):
        raise HiersegError(
            f"{file}: {split}: {folder!r} is absolute; image folders are relative to `path`, so "
            "leave out what stands before it, the first slash too."
        )
    normal = os.path.normpath(folder)
    if normal in (".", "..") or normal.startswith("../"):
        raise HiersegError(
            f"{file}: {split}: {folder!r} is not below `path`; images and the folder `masks` next "
            "to them must lie within it."
        )
    return normal


def _kind(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    return "nothing" if value is None else reprlib.repr(value)

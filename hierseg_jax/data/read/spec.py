"""data.yaml: where a data set's images lie and which class tree its masks follow.

```yaml
path: .                  # root of the data; relative to this file's folder (the default)
train: train/images      # image folders below the root; masks lie next to them in `masks`
val: {images: photos/**/*_rgb.jpg, masks: labels/**/*_id.png}    # or anywhere, see `layout`
test:                    # unused ones may be empty or missing
names: [background, torso, head, legs]      # optional beside a hierarchy of indices, or `labels`
level_names: [body, half, part]             # optional; coarse to fine
background: background   # optional; the name of class 0, or null where no class is that
hierarchy:               # optional beside names
  body: {upper: [head, torso], lower: [legs]}   # class names or indices
pairs: []                # leaf classes that a mirror exchanges, as [[left_arm, right_arm]]
labels: {0: background, 1: upper, 2: legs, 7: ignore}   # optional; what the masks' values mean,
                         # or their colours: {"#000000": background, "#80FF00": upper}
ignore: [65535]          # optional; values or colours that are not counted, beside 255 and -1
unknown: ignore          # optional; nor are those without a name
colors: {torso: "#ff8000", head: [0, 90, 255]}   # optional; of classes and groups in pictures
```
"""

import contextlib
import dataclasses
import pathlib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hierseg_jax.data.read.dataset_spec import SPLITS, DatasetSpec
from hierseg_jax.data.read.layout import read_layout, read_path
from hierseg_jax.data.read.safe_yaml import found_kind, read_yaml
from hierseg_jax.data.read.value_names import (
    IGNORE,
    Named,
    parse_ignored,
    parse_labels,
    parse_unknown,
)
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import absolute, as_path, place_of
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.tree.background import (
    DEFAULT_NAME,
    check_background,
    flat_tree,
    looks_like_background,
    read_background,
)
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import has_inner
from hierseg_jax.tree.parsing import name_tuple

KEYS = (
    *("path", *SPLITS, "hierarchy", "names", "level_names", "background", "pairs"),
    *("labels", "ignore", "unknown", "colors"),
)
FLAT = ("class",)
"""The level's name where no hierarchy is given."""
FOREIGN = (
    ("coco", {"images", "annotations"}),
    ("labelme", {"shapes", "imagePath"}),
    *(("yolo", {"names", key}) for key in ("nc", "download", "roboflow")),
)
"""Keys by which a file of another format is known, which `hierseg prepare` reads."""


def load_spec(file: str | pathlib.Path) -> DatasetSpec:
    """Reads a data.yaml. The image folders themselves are not looked at.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one sentence that starts with the file's path.
    """
    file = absolute(file)
    content = _read_keys(file)
    hierarchy, labels = _labelled_tree(file, content)
    path = read_path(file, "path", content.get("path")) or "."
    root = place_of(path, file.parent)
    image_dirs = []
    for split in SPLITS:
        layout = read_layout(file, root, split, content.get(split))
        if layout is not None:
            image_dirs.append((split, root / layout.images if layout.beside else layout))
    uncounted = _uncounted(file, content, labels)
    return DatasetSpec(
        file,
        root,
        tuple(image_dirs),
        hierarchy,
        labels,
        says_background="background" in content,
        **uncounted,
    )


def spec_without_folders(name: str, content: Mapping[str, Any]) -> DatasetSpec:
    """The classes of a data set that has no data.yaml.

    Args:
      name: of the data set, for messages.
      content: the keys of a data.yaml, without `path` and splits.

    Raises:
      ValueError: one sentence that starts with the name.
    """
    file = pathlib.Path(name)
    _check_keys(file, content, tuple(key for key in KEYS if key not in ("path", *SPLITS)))
    hierarchy, labels = _labelled_tree(file, content)
    uncounted = _uncounted(file, content, labels)
    return DatasetSpec(file, pathlib.Path(), (), hierarchy, labels, **uncounted)


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
    given = content.get("names") is not None or content.get("hierarchy") is not None
    if class_names is not None and given and content.get("names") is None:
        content["names"] = list(class_names)
    return _hierarchy(file, content)


def read_classes(file: str | pathlib.Path) -> DatasetSpec:
    """As `load_spec`, of the classes and values alone: a data.yaml need not name any folders.

    Raises:
      FileNotFoundError, ValueError: as `load_spec` does.
    """
    content = _read_keys(as_path(file))
    classes = {key: value for key, value in content.items() if key not in ("path", *SPLITS)}
    return spec_without_folders(str(file), classes)


def _read_keys(file: pathlib.Path) -> dict[str, Any]:
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise HiersegError(
            f"{file}: expected `key: value` lines with the keys {', '.join(KEYS)}; found "
            f"{found_kind(content)}."
        )
    _check_keys(file, content, KEYS)
    return content


def _check_keys(file: pathlib.Path, content: Mapping[Any, Any], keys: Sequence[str]) -> None:
    for key in content:
        if key not in keys:
            hint = did_you_mean(key, keys, f"the keys are {', '.join(keys)}.")
            if key in ("images", "masks"):
                hint = "say it of each split: `train: {images: FOLDER, masks: FOLDER}`."
            told = _foreign(content)
            raise HiersegError(f"{file}: the key {reprlib.repr(key)} is unknown; {hint}{told}")


def _foreign(content: Mapping[Any, Any]) -> str:
    """How to read an annotation file of another format, as a sentence behind a space."""
    form = next((name for name, keys in FOREIGN if keys <= content.keys()), "")
    if not form:
        return ""
    return (
        f" It looks like {form}: `hierseg prepare --from={form} --raw_dir=FOLDER "
        "--out_dir=FOLDER` writes a data.yaml for such data."
    )


def _hierarchy(file: pathlib.Path, content: Mapping[str, Any]) -> Hierarchy:
    tree, names = content.get("hierarchy"), _names(file, content.get("names"))
    if tree is None and names is None:
        names = _names_of_labels(content.get("labels"))
    level_names = content.get("level_names")
    if level_names is not None:
        _check_texts(file, "level_names", level_names, "a list of names, coarse to fine")
    with _in_file(file):
        if tree is None:
            return _flat(names, level_names, content)
        hierarchy = Hierarchy.from_mapping(tree, names, level_names, *_beside_the_tree(content))
        if "background" in content:
            said = read_background(content["background"], hierarchy.class_names)
            check_background(said, hierarchy.background, hierarchy.class_names)
        return hierarchy


def _names_of_labels(labels: Any) -> list[str] | None:
    """Of the classes, where only `labels` names them: in the order in which it does."""
    values = labels.values() if isinstance(labels, dict) else ()
    names = [name for name in values if isinstance(name, str) and name != IGNORE]
    return list(dict.fromkeys(names)) or None


def _flat(
    names: list[str] | dict[int, str] | None, level_names: Any, content: Mapping[str, Any]
) -> Hierarchy:
    """The tree of a file that gives names and no hierarchy."""
    if not names:
        raise HiersegError(
            "the key hierarchy is missing; give the class tree, for example `hierarchy: {body: "
            "{upper: [1, 2], lower: [3]}}`, or `names` alone for classes without a tree, for "
            "example `names: [road, sidewalk, car]`."
        )
    ordered = name_tuple(names)
    background = 0 if looks_like_background(ordered[0]) else None
    if "background" in content:
        background = read_background(content["background"], ordered)
    tree = flat_tree(ordered, background)
    return Hierarchy.from_mapping(tree, ordered, level_names or FLAT, *_beside_the_tree(content))


def _beside_the_tree(content: Mapping[str, Any]) -> tuple[Any, Any]:
    return content.get("pairs"), content.get("colors")


def _labelled_tree(file: pathlib.Path, content: Mapping[str, Any]) -> tuple[Hierarchy, Named]:
    hierarchy = _hierarchy(file, content)
    if content.get("labels") is None:
        return hierarchy, ()
    with _in_file(file):
        labels = parse_labels(content["labels"], hierarchy)
    inner = has_inner((name for _, name in labels), hierarchy)
    return dataclasses.replace(hierarchy, inner_labels=inner), labels


def _uncounted(file: pathlib.Path, content: Mapping[str, Any], labels: Named) -> dict[str, Any]:
    """What `ignore` and `unknown` say, as `DatasetSpec` has it."""
    with _in_file(file):
        return {
            "ignored": parse_ignored(content.get("ignore"), labels),
            "skips_unknown": parse_unknown(content.get("unknown")),
        }


@contextlib.contextmanager
def _in_file(file: pathlib.Path) -> Iterator[None]:
    """What is raised within begins with the file, and is not too long."""
    try:
        yield
    except HiersegError as error:
        text = str(error)
        text = text if len(text) < 600 else f"{text[:400]} ... {text[-100:]}"
        raise HiersegError(f"{file}: {text}") from error


def _names(file: pathlib.Path, names: Any) -> list[str] | dict[int, str] | None:
    expected = "a list of class names in order, or a mapping from index to name"
    if names is None:
        return None
    if isinstance(names, dict):
        for index in names:
            if isinstance(index, bool) or not isinstance(index, int):
                raise HiersegError(
                    f"{file}: names: expected {expected}; found {reprlib.repr(index)} as an index."
                )
        _check_texts(file, "names", list(names.values()), expected)
        # A class 0 without a name is what the others leave.
        return names if 0 in names or not names else {0: DEFAULT_NAME, **names}
    _check_texts(file, "names", names, expected)
    return names


def _check_texts(file: pathlib.Path, key: str, values: Any, expected: str) -> None:
    if not isinstance(values, list | tuple):
        raise HiersegError(f"{file}: {key}: expected {expected}; found {found_kind(values)}.")
    for value in values:
        if not isinstance(value, str):
            raise HiersegError(
                f"{file}: {key}: expected {expected}; found {found_kind(value)} in it (put quotes "
                "around numbers, yes and no)."
            )

"""The pairs of images and masks of a split, found by listing folders; what has no partner."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES, Layout
from hierseg_jax.data.read.mask_places import hint_without_masks
from hierseg_jax.data.read.pattern import Pattern
from hierseg_jax.data.read.safe_yaml import flow
from hierseg_jax.data.read.text_lines import numbered_lines
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import scan, slashed
from hierseg_jax.system.wording import counted, listed

Ends = tuple[str, str]
"""What the names of an image and its mask end in behind the key."""


@dataclasses.dataclass(frozen=True, eq=False)
class Listing:
    """Pairs by their keys, in order; nothing is kept of a pair but its key and a number.

    Attributes:
      images, masks: what the files match; None for masks that a list names.
      names: keys of the pairs, sorted.
      kinds: uint32 [N]; which of `ends` a pair has.
      ends: suffixes of image and mask, where these may be any, or the whole path of the mask.
      unmasked: paths of images without a mask.
      unpictured: paths of masks without an image, where there should be none.
      doubled: paths of several images, or several masks, of one key.
    """

    images: Pattern
    masks: Pattern | None
    names: tuple[str, ...]
    kinds: np.ndarray
    ends: tuple[Ends, ...]
    unmasked: tuple[str, ...] = ()
    unpictured: tuple[str, ...] = ()
    doubled: tuple[tuple[str, ...], ...] = ()

    def image(self, index: int) -> str:
        """Path of an image, relative to the root."""
        return self.images.path(self.names[index], self.ends[self.kinds[index]][0])

    def mask(self, index: int) -> str:
        """Path of a mask, relative to the root."""
        end = self.ends[self.kinds[index]][1]
        return end if self.masks is None else self.masks.path(self.names[index], end)


def list_pairs(layout: Layout) -> Listing:
    """Pairs and faults, without a look at any file by itself.

    Raises:
      FileNotFoundError: a folder or list is missing.
      ValueError: a list that names what is not there, or is no list.
      OSError: a folder that can't be listed.
    """
    paths = _listed_paths(layout) if layout.paths_listed else None
    images = layout.image_pattern if paths is None else _pattern_of(paths)
    by_line = paths is not None and not layout.masks
    masks = None if by_line else layout.mask_pattern(images)
    for pattern, what in ((images, "images"), (masks, "masks")):
        if pattern is not None:
            _require(layout, pattern, what)
    wanted = paths if paths is not None else _wanted_names(layout)
    found, doubled = _find_images(layout, images, wanted)
    unmasked, unpictured, more = (
        _take_listed_masks(layout.root, images, found, paths or {})
        if masks is None
        else _find_masks(layout, images, masks, found)
    )
    names = tuple(sorted(key for key, ends in found.items() if isinstance(ends, tuple)))
    ends: dict[Ends, int] = {}
    kinds = np.fromiter(
        (ends.setdefault(found[name], len(ends)) for name in names), np.uint32, len(names)
    )
    return Listing(
        images,
        masks,
        names,
        kinds,
        tuple(ends),
        tuple(sorted(unmasked)),
        tuple(sorted(unpictured)),
        tuple(sorted((*doubled, *more))),
    )


Found = dict[str, Any]
"""Key -> the end of the image's name, and then, once there is one, with that of its mask's."""


def _find_images(
    layout: Layout, images: Pattern, wanted: dict[str, str] | None
) -> tuple[Found, list[tuple[str, ...]]]:
    """Images by key, and those of one key. Of `wanted`, if there are some, each is found."""
    found: Found = {}
    several: dict[str, list[str]] = {}
    by_line: dict[str, str] = {}
    for key, end in images.files(layout.root, IMAGE_SUFFIXES):
        if wanted is not None:
            path = images.path(key, end)
            line = next((name for name in _ways_to_name(key, path) if name in wanted), None)
            if line is None:
                continue
            before = by_line.setdefault(line, path)
            if before != path:
                raise HiersegError(
                    f"{_list_file(layout)} names {line!r}, which is both {before} and {path}; "
                    "write which."
                )
        first = found.setdefault(key, end)
        if first is not end:
            several.setdefault(key, [first]).append(end)
    missing = [line for line in wanted or () if line not in by_line]
    if missing:
        where = layout.root / images.folder
        raise HiersegError(
            f"{_list_file(layout)} names {counted(len(missing), 'image')} that {where} does not "
            f"hold: {listed(missing, 5)}."
        )
    for key, ends in several.items():
        found[key] = min(ends)
    return found, [
        tuple(images.path(key, end) for end in sorted(ends)) for key, ends in several.items()
    ]


def _find_masks(
    layout: Layout, images: Pattern, masks: Pattern, found: Found
) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    """Joins masks to the images; images without mask, masks without image, several of a key."""
    joined: dict[Ends, Ends] = {}
    unpictured: list[str] = []
    several: dict[str, list[str]] = {}
    alone = layout.beside and not layout.shared
    for key, end in masks.files(layout.root, MASK_SUFFIXES):
        before = found.get(key)
        if before is None:
            if alone:
                unpictured.append(masks.path(key, end))
        elif isinstance(before, tuple):
            several.setdefault(key, [before[1]]).append(end)
        else:
            # One pair of ends for all that are alike.
            ends = (before, end)
            found[key] = joined.setdefault(ends, ends)
    for key, of_key in several.items():
        found[key] = (found[key][0], min(of_key))
    unmasked = [images.path(key, end) for key, end in found.items() if isinstance(end, str)]
    return (
        unmasked,
        unpictured,
        [tuple(masks.path(key, end) for end in sorted(ends)) for key, ends in several.items()],
    )


def _take_listed_masks(
    root: pathlib.Path, images: Pattern, found: Found, masks: dict[str, str]
) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    """As `_find_masks`, of masks that stand beside their images in a list, by the images' paths."""
    folders = {os.path.dirname(mask) for mask in masks.values()}
    there = {folder: _names_in(root / folder) for folder in folders}
    unmasked = []
    for key, end in found.items():
        path = images.path(key, end)
        folder, name = os.path.split(masks[path])
        if name in there[folder]:
            found[key] = (end, masks[path])
        else:
            unmasked.append(path)
    return unmasked, [], []


def _names_in(folder: pathlib.Path) -> set[str]:
    try:
        with scan(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _ways_to_name(key: str, path: str) -> Iterable[str]:
    """How a line may name an image: by its path, its name or its key, with a suffix or without."""
    name = path.rpartition("/")[2]
    return path, key, name, os.path.splitext(name)[0], os.path.splitext(path)[0]


def _list_file(layout: Layout) -> pathlib.Path:
    return layout.root / (layout.list or layout.images)


def _lines(layout: Layout) -> list[str]:
    """Of the layout's text file, without blank ones and surrounding spaces."""
    file = _list_file(layout)
    try:
        lines = [line for _, line in numbered_lines(file, "expected an image a line")]
    except FileNotFoundError as error:
        raise HiersegFileNotFoundError(
            f"There is no file {file}, which should list the images, one a line."
        ) from error
    if not lines:
        raise HiersegError(f"{file} names no image; a split must not be empty.")
    return lines


def _wanted_names(layout: Layout) -> dict[str, str] | None:
    """The lines of `list`; None without one."""
    return {_plain(line, layout.root): "" for line in _lines(layout)} if layout.list else None


def _listed_paths(layout: Layout) -> dict[str, str]:
    """Image -> mask, both as paths below the root, of a list of paths; masks may be empty."""
    file, paths, lines = _list_file(layout), {}, _lines(layout)
    elsewhere = _elsewhere(_image_and_mask(lines[0])[0], layout.root)
    for line in lines:
        image, mask = _image_and_mask(slashed(line).replace(elsewhere, "") if elsewhere else line)
        image, mask = _plain(image, layout.root), mask and _plain(mask, layout.root)
        outside = next((p for p in (image, mask) if p.startswith("../") or os.path.isabs(p)), None)
        if outside is not None:
            raise HiersegError(
                f"{file} names {outside!r}, which is not below {layout.root}, where the paths of a "
                "data set are; give a `path` in the data.yaml above all of it."
            )
        if _suffix(image) not in IMAGE_SUFFIXES:
            masks = layout.masks or "FOLDER"
            line = flow({"images": "FOLDER", "list": layout.images, "masks": masks})
            raise HiersegError(
                f"{file} names {image!r}, which is no path of an image. If its lines are names "
                f"of images in a folder, write `{line}`."
            )
        if not mask and not layout.masks:
            raise HiersegError(
                f"{file} names the image {image} without a mask; add it to the line, or write "
                f"`{flow({'images': layout.images, 'masks': 'FOLDER'})}`."
            )
        paths[image] = mask
    return paths


def _image_and_mask(line: str) -> tuple[str, str]:
    """Paths in a line, which may have commas and spaces in them; the mask's may be empty."""
    for separator in ("\t", ",", " "):
        pieces = line.split(separator)
        for count in range(len(pieces) - 1, 0, -1):
            image = separator.join(pieces[:count]).strip()
            mask = separator.join(pieces[count:]).strip()
            if mask and _suffix(image) in IMAGE_SUFFIXES:
                return image, mask
    return line.strip(), ""


def _elsewhere(image: str, root: pathlib.Path) -> str:
    """The folder in front, where a path is of another machine and what is behind it is here."""
    image = slashed(image)
    if not os.path.isabs(image) or image.startswith(f"{root.as_posix()}/") or os.path.exists(image):
        return ""
    parts = image.split("/")
    tails = ("/".join(parts[at:]) for at in range(2, len(parts)))
    here = next((tail for tail in tails if (root / tail).is_file()), image)
    return image.removesuffix(here)


def _plain(path: str, root: pathlib.Path) -> str:
    """A path relative to the root, however a list writes it."""
    above = f"{root.as_posix()}/"
    text = slashed(os.path.normpath(slashed(path).removeprefix(above)))
    return text.removeprefix(above) if os.path.isabs(text) else text


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _pattern_of(paths: Iterable[str]) -> Pattern:
    """The narrowest folder in or below which listed images are."""
    folders = {os.path.dirname(path) for path in paths}
    common = slashed(os.path.commonpath(folders))
    return Pattern(common, ("*",) if folders == {common} else ("**", "*"), any_suffix=True)


def _require(layout: Layout, pattern: Pattern, what: str) -> None:
    folder = layout.root / pattern.folder
    if not folder.is_dir():
        hint = hint_without_masks(layout) if what == "masks" else ""
        raise HiersegFileNotFoundError(
            f"There is no folder {folder}, where the {what} should lie.{hint}"
        )

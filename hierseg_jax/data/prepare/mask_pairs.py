"""Pictures and masks in somebody else's folders, found by their names alone.

A picture and its mask have the same words in their names, but for those that say picture or mask:
`a.jpg` and `a_mask.png`, `img_7.png` and `mask_7.png`. They lie in one folder, or in two that
`mask_folders` tells. What may be meant in two ways is refused.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hierseg_jax.data.prepare.file_words import (
    MASK_WORDS,
    OTHER_WORDS,
    PREFERRED_WORDS,
    Words,
    count_shared,
    files_by_folder,
    has,
    is_of_masks,
    is_photo,
    key_of,
    mask_folders,
    split_and_name,
    words_of,
)
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.errors import HiersegError

_Masks = dict[pathlib.Path, list[pathlib.Path]]


class Pair(NamedTuple):
    """A picture and its mask.

    Attributes:
      split: that a folder is called after, or empty.
      name: of both, in a folder without sub-folders.
    """

    split: str
    name: str
    image: pathlib.Path
    mask: pathlib.Path


def find_pairs(root: pathlib.Path) -> tuple[list[Pair], list[pathlib.Path]]:
    """All pairs in a folder and below, and the pictures there that have no mask.

    Raises:
      ValueError: two masks of a picture, or two pictures of a mask.
    """
    folders = files_by_folder(root)
    elsewhere = mask_folders(folders)
    pairs: list[tuple[Words, pathlib.Path, pathlib.Path]] = []
    unmasked: list[pathlib.Path] = []
    claimed: dict[pathlib.Path, pathlib.Path] = {}
    for folder, files in folders.items():
        if is_of_masks(folder) or any(has(part, OTHER_WORDS) for part in folder):
            continue
        pictures, beside = _apart(files)
        masks = [*beside, *(f for other in elsewhere.get(folder, ()) for f in folders[other])]
        found = _with_masks(pictures, masks) or _of_same_name(files)
        are_masks = {mask for several in found.values() for mask in several}
        for image in pictures:
            if image in found:
                mask = _chosen(image, found[image])
                first = claimed.setdefault(mask, image)
                if first != image:
                    raise HiersegError(
                        f"{mask} may be the mask of {first} and of {image}; take the one that is "
                        "not meant out of --raw_dir."
                    )
                pairs.append((folder, image, mask))
            elif image not in are_masks:
                unmasked.append(image)
    paired = {key_of(image.stem) for _, image, _ in pairs}
    shared = count_shared([folder for folder, _, _ in pairs])
    return [
        Pair(*split_and_name(folder, image.stem, shared), image, mask)
        for folder, image, mask in pairs
    ], [image for image in unmasked if not _shows_another(image, paired)]


def _apart(files: Sequence[pathlib.Path]) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """The pictures of a folder, and its masks: of one key the files with more words that say so."""

    def says(file: pathlib.Path) -> int:
        return sum(word.casefold() in MASK_WORDS for word in words_of(file.stem))

    least: dict[Words, int] = {}
    for file in files:
        key = key_of(file.stem)
        least[key] = min(least.get(key, 99), -1 if is_photo(file) else says(file))
    masks = [
        file
        for file in files
        if not is_photo(file) and says(file) > max(least[key_of(file.stem)], 0)
    ]
    pictures = [
        file for file in files if file not in masks and file.suffix.lower() in IMAGE_SUFFIXES
    ]
    return pictures, masks


def _with_masks(pictures: Iterable[pathlib.Path], masks: Iterable[pathlib.Path]) -> _Masks:
    by_key: dict[Words, list[pathlib.Path]] = {}
    for mask in masks:
        if mask.suffix.lower() in MASK_SUFFIXES:
            by_key.setdefault(key_of(mask.stem), []).append(mask)
    return {image: by_key[key] for image in pictures if (key := key_of(image.stem)) in by_key}


def _of_same_name(files: Sequence[pathlib.Path]) -> _Masks:
    """`a.jpg` and `a.png`; where most photographs have none, there are pictures of both kinds."""
    photos = [file for file in files if is_photo(file)]
    by_stem = {file.stem: [file] for file in files if file.suffix.lower() in MASK_SUFFIXES}
    found = {photo: by_stem[photo.stem] for photo in photos if photo.stem in by_stem}
    return found if 2 * len(found) > len(photos) else {}


def _chosen(image: pathlib.Path, masks: Sequence[pathlib.Path]) -> pathlib.Path:
    names = {mask: f"{mask.parent.name} {mask.stem}" for mask in masks}
    preferred = [mask for mask in masks if has(names[mask], PREFERRED_WORDS)] or masks
    # `semantic_rgb` shows in colours what is in `semantic`.
    first, *others = [mask for mask in preferred if not has(names[mask], {"rgb"})] or preferred
    if others:
        raise HiersegError(
            f"{first} and {others[0]} may both be the mask of {image}; take the one that is not "
            "meant out of --raw_dir."
        )
    return first


def _shows_another(image: pathlib.Path, paired: Iterable[Words]) -> bool:
    """Whether a file is `a_overlay.jpg` beside `a.jpg`."""
    key = key_of(image.stem)
    return has(image.stem, OTHER_WORDS) and tuple(w for w in key if w not in OTHER_WORDS) in paired

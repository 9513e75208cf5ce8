"""Pictures and masks in somebody else's folders, found by their names alone.

A picture and its mask have the same words in their names, but for those that say picture or mask:
`a.jpg` and `a_mask.png`, `img_7.png` and `mask_7.png`. They lie in one folder, or in two that
`Folders` tells. What may be meant in two ways is refused.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hierseg_jax.data.prepare.file_words import (
    MASK_WORDS,
    OTHER_WORDS,
    PREFERRED_WORDS,
    Words,
    has,
    key_of,
    words_of,
)
from hierseg_jax.data.prepare.folders import split_of, walk_files
from hierseg_jax.data.prepare.mask_folders import Folders, is_photo, left_out, splits_and_names
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES, UNREAD_SUFFIXES
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted

_Masks = dict[pathlib.Path, list[pathlib.Path]]


class Masked(NamedTuple):
    """A picture and its mask.

    Attributes:
      split: that a folder is called after, or empty.
      name: of both, in a folder without sub-folders.
      more: masks of other things in the picture, numbered on from the first: `a_mask_1.png`.
    """

    split: str
    name: str
    image: pathlib.Path
    mask: pathlib.Path
    more: tuple[pathlib.Path, ...] = ()


def find_pairs(
    root: pathlib.Path, suffixes: Sequence[str] = MASK_SUFFIXES, others: Sequence[str] = ()
) -> tuple[list[Masked], tuple[str, ...]]:
    """All pairs in a folder and below, and sentences about what is left out.

    Args:
      root: the folder.
      suffixes: of masks.
      others: of masks, where a picture has none of the former.

    Raises:
      ValueError: two masks of a picture, or two pictures of a mask.
    """
    folders = Folders(root)
    elsewhere = folders.masks_of()
    mask_of: dict[pathlib.Path, pathlib.Path] = {}
    image_of: dict[pathlib.Path, pathlib.Path] = {}
    unmasked: list[pathlib.Path] = []
    mask_files: list[pathlib.Path] = [f for of in folders.of_masks for f in folders.files[of]]
    for folder in folders.of_pictures:
        files = folders.files[folder]
        pictures, beside = _apart(files)
        near = (file for _, other in elsewhere.get(folder, ()) for file in folders.files[other])
        masks = [*beside, *near]
        found = _with_masks(pictures, masks, others) | _of_same_name(files)
        found |= _with_masks(pictures, masks, suffixes)
        are_masks = {mask for several in found.values() for mask in several}
        mask_files += beside
        for image in pictures:
            if image in found:
                mask = mask_of[image] = _chosen(image, found[image])
                if (first := image_of.setdefault(mask, image)) != image:
                    raise HiersegError(
                        f"{mask} may be the mask of {first} and of {image}; take the one that is "
                        "not meant out of --raw_dir."
                    )
            elif image not in are_masks:
                unmasked.append(image)
    for of in folders.of_masks:
        _refuse_other_masks(mask_of, [file for file in folders.files[of] if not is_photo(file)])
    paired = {key_of(image.stem) for image in mask_of}
    alone = [file for file in mask_files if file not in image_of]
    # Where all pictures with masks are JPEG, say, a PNG of that folder may be a mask.
    endings = {m.suffix.lower() for m in image_of} - {image.suffix.lower() for image in mask_of}
    maybe = [f for f in unmasked if has(f.stem, MASK_WORDS) or f.suffix.lower() in endings]
    unread = walk_files(root, UNREAD_SUFFIXES)
    unread = [file for file in unread if not has(str(file.relative_to(root)), MASK_WORDS)]
    further, about_further = _further_masks(
        mask_of, [*alone, *maybe], [*unread, *({*unmasked} - {*maybe})]
    )
    used = {file for several in further.values() for file in several}
    notes = left_out(
        [image for image in unmasked if image not in used and not _shows_another(image, paired)],
        {
            "Masks of no picture": [file for file in alone if file not in used],
            "In folders called after neither": folders.passed_over(),
        },
    )
    names = splits_and_names([*mask_of], root)
    return [
        Masked(*names[image], image, mask, tuple(further.get(image, ())))
        for image, mask in mask_of.items()
    ], (*notes, *about_further)


def _further_masks(
    mask_of: dict[pathlib.Path, pathlib.Path],
    files: Sequence[pathlib.Path],
    pictures: Sequence[pathlib.Path],
) -> tuple[_Masks, tuple[str, ...]]:
    """Picture -> masks beside its own whose names go on with a number, `a_mask_1.png` of `a.png`.

    None where pictures beside these are numbered on so, too: the mask may be that of one that is
    gone, and a sentence says so. Elsewhere a picture without a mask keeps its own alone.

    Args:
      mask_of: of every picture that has one.
      files: that may be such masks.
      pictures: without masks, and those that are not read.
    """
    keys = {key_of(image.stem) for image in mask_of}
    numbered: dict[Words, pathlib.Path] = {}
    for image in (*mask_of, *pictures):
        key = key_of(image.stem)
        if key and key[-1].isdecimal() and key[:-1] in keys:
            numbered.setdefault(key, image)
    image_of = {(mask.parent, key_of(mask.stem)): image for image, mask in mask_of.items()}
    further: _Masks = {}
    for file in files:
        key = key_of(file.stem)
        *words, number = key or ("",)
        first = image_of.get((file.parent, tuple(words)))
        fits = number.isdecimal() and file.suffix.lower() in MASK_SUFFIXES
        if first is not None and fits and key not in numbered:
            further.setdefault(first, []).append(file)
    folders = {image.parent for image in mask_of}
    beside = next((image for image in numbered.values() if image.parent in folders), None)
    if beside is None or not further:
        return further, ()
    return {}, (
        f"Not united with the masks of the same names without the numbers, for {beside} is a "
        f"picture that is numbered so: {counted(sum(map(len, further.values())), 'mask')}, the "
        f"first {next(iter(further.values()))[0]}.",
    )


def _refuse_other_masks(
    mask_of: dict[pathlib.Path, pathlib.Path], files: Sequence[pathlib.Path]
) -> None:
    """Refuses masks of no picture whose names are those of pictures that others are of, but short.

    `mask/21_training_mask.gif` of DRIVE tells where its camera sees, `1st_manual/21_manual1.gif`
    is what was annotated of `images/21_training.tif`.
    """
    chosen = {*mask_of.values()}
    if any(file in chosen for file in files):
        return
    by_number: dict[Words, pathlib.Path] = {}
    for image in mask_of:
        by_number.setdefault(_numbers(image), image)
    near = {}
    for file in files:
        found = by_number.get(numbers) if (numbers := _numbers(file)) else None
        if found is None or len({split_of(f.parent) for f in (file, found)} - {""}) > 1:
            continue
        # Where they are equal, there was a choice; and a mask of the very name is meant.
        short = {*key_of(file.stem)} < {*key_of(found.stem)}
        if short and mask_of[found].stem != found.stem:
            near[file] = found
    if not near or 2 * len(near) < max(len(files), len(mask_of)):
        return
    other, image = next(iter(near.items()))
    raise HiersegError(
        f"{mask_of[image]} and {other} may both be the mask of {image}; take those that are not "
        "meant out of --raw_dir."
    )


def _numbers(file: pathlib.Path) -> Words:
    return tuple(word for word in key_of(file.stem) if word.isdecimal())


def _apart(files: Sequence[pathlib.Path]) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """The pictures of a folder, and its masks: of one key the files with more words that say so."""
    says = {
        file: -1 if is_photo(file) else sum(w.casefold() in MASK_WORDS for w in words_of(file.stem))
        for file in files
    }
    least: dict[Words, int] = {}
    for file in files:
        key = key_of(file.stem)
        least[key] = min(least.get(key, says[file]), says[file])
    masks = [file for file in files if says[file] > max(least[key_of(file.stem)], 0)]
    are_masks = {*masks}
    pictures = [
        file for file in files if file not in are_masks and file.suffix.lower() in IMAGE_SUFFIXES
    ]
    return pictures, masks


def _with_masks(
    pictures: Iterable[pathlib.Path], masks: Iterable[pathlib.Path], suffixes: Sequence[str]
) -> _Masks:
    by_key: dict[Words, list[pathlib.Path]] = {}
    for mask in masks:
        if mask.suffix.lower() in suffixes:
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
    left = [mask for mask in masks if mask.stem == image.stem] or masks
    left = [mask for mask in left if has(names[mask], PREFERRED_WORDS)] or left
    # `semantic_rgb` shows in colours what is in `semantic`.
    first, *others = [mask for mask in left if not has(names[mask], {"rgb"})] or left
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

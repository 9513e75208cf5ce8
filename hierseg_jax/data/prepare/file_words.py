"""What names of files and folders say of pictures and masks."""

import pathlib
import re
from collections.abc import Container, Sequence

from hierseg_jax.data.prepare.folders import split_of, walk_files
from hierseg_jax.data.read import png
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES

MASK_WORDS = {
    *("mask", "masks", "label", "labels", "labeled", "labelled", "ann", "anno", "annot", "gt"),
    *("annotation", "annotations", "seg", "segm", "segmentation", "segmentations", "semantic"),
    *("labelids", "labeltrainids", "gtfine", "segmentationclass", "target", "targets"),
}
PICTURE_WORDS = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "rgb"),
    *("jpegimages", "leftimg8bit", "input", "inputs"),
}
# Of files that look like masks and show something else, or the same in colours to look at.
OTHER_WORDS = {
    *("color", "colors", "colour", "colours", "human", "vis", "viz", "overlay", "overlays"),
    *("preview", "instance", "instances", "instanceids", "panoptic", "depth", "edge", "edges"),
}
PREFERRED_WORDS = {"semantic", "labeltrainids", "machine"}
"""Of masks that are meant where there are others."""


def files_by_folder(root: pathlib.Path) -> dict[pathlib.Path, list[pathlib.Path]]:
    """Pictures and masks below a folder, sorted, by their folder's path in it."""
    folders: dict[pathlib.Path, list[pathlib.Path]] = {}
    for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
        folders.setdefault(file.parent.relative_to(root), []).append(file)
    return folders


def begins_with(stem: str, pictures: Container[str]) -> str:
    """The longest of the pictures' stems that another one begins with; empty where none is one.

    What goes on with it begins a new word: 10 does not begin with 1.
    """
    for at in range(len(stem), 0, -1):
        last, rest = stem[at - 1], stem[at:]
        new = not rest[:1].isalnum() or (last.isdigit() and rest[0].isalpha())
        if new and stem[:at] in pictures:
            return stem[:at]
    return ""


def picture_name(folder: pathlib.PurePath, stem: str) -> str:
    """Of a picture in a folder without sub-folders: what tells it from others of its split."""
    return "__".join((*filter(says_something, folder.parts), stem))


def sounds_like_mask(name: str) -> bool:
    """Whether a word of a file's or folder's name says so."""
    return bool(words_of(name) & MASK_WORDS)


def holds_masks(folder: pathlib.PurePath, files: Sequence[pathlib.Path]) -> bool:
    """By the names of the folder, the innermost first, or what the files are."""
    if not any(file.suffix.lower() in MASK_SUFFIXES for file in files):
        return False
    for part in reversed(folder.parts):
        if words := words_of(part) & (MASK_WORDS | PICTURE_WORDS):
            return bool(words & MASK_WORDS)
    return has_one_channel(files)


def has_one_channel(files: Sequence[pathlib.Path]) -> bool:
    """Whether the first is an array, or a PNG in grey or with a palette."""
    return files[0].suffix.lower() == ".npy" or png.colour_type(files[0]) in (png.GRAY, png.PALETTE)


def words_of(*names: str) -> set[str]:
    """In small letters."""
    return {word for name in names for word in re.split(r"[^a-z0-9]+", name.lower())}


def says_something(part: str) -> bool:
    """Whether a folder's name tells its pictures from those of others in the split."""
    return not split_of(pathlib.PurePath(part)) and not words_of(part) & PICTURE_WORDS


def differ_in_a_part(folder: Sequence[str], other: Sequence[str]) -> bool:
    """Whether a path is the other one, but for a part of it that may be two there."""
    if folder == other:
        return False
    ahead, theirs = [*folder], [*other]
    for end in (0, -1):
        while ahead and theirs and ahead[end] == theirs[end]:
            del ahead[end], theirs[end]
    return len(ahead) <= 1 and len(theirs) <= 2

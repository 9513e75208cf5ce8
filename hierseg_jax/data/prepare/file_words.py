"""What the words in names of files and folders say of pictures and masks.

`left_arm-mask.png` has the words left, arm and mask. Words that say picture or mask tell which
files belong together by all the others: `img_7.jpg` and `mask_7.png`, `set1_images` and
`set1_masks`.
"""

import re
from collections.abc import Iterable

MASK_WORDS = {
    *("mask", "masks", "label", "labels", "labeled", "labelled", "ann", "anno", "annot", "gt"),
    *("annotation", "annotations", "seg", "segm", "segmentation", "segmentations", "semantic"),
    *("labelids", "labeltrainids", "gtfine", "segmentationclass", "target", "targets", "manual"),
    *("manual1", "groundtruth", "truth"),
}
PICTURE_WORDS = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "rgb", "raw"),
    *("jpegimages", "leftimg8bit", "input", "inputs", "original", "originals", "dir", "sat"),
}
OTHER_WORDS = {
    *("color", "colors", "colour", "colours", "vis", "viz", "visualization", "visualizations"),
    *("visualisation", "visualisations", "overlay", "overlays", "preview"),
    *("instance", "instances", "instanceids", "panoptic", "depth", "edge", "edges", "normals"),
    *("pred", "preds", "prediction", "predictions", "predicted", "result", "results", "output"),
    *("outputs", "coarse", "superpixel", "superpixels", "thermal", "nir", "densepose", "old"),
}
"""Of files that look like masks and are none, or none to learn from."""
PREFERRED_WORDS = {"semantic", "labeltrainids", "machine"}
"""Of masks that are meant where there are others."""

Words = tuple[str, ...]

# A minus in front of a number is its sign, if it isn't what parts it from the word before.
_WORD = re.compile(r"(?:(?<![^\W_])-(?=[0-9]))?[^\W_]+")


def words_of(name: str) -> Words:
    """As they are written; of any alphabet."""
    return tuple(_WORD.findall(name))


def has(name: str, words: Iterable[str]) -> bool:
    """Whether a name holds one of some words, in capital letters or small ones."""
    return not {word.casefold() for word in words_of(name)}.isdisjoint(words)


def is_plain(word: str) -> bool:
    """Whether a word says neither picture nor mask."""
    return word.casefold() not in MASK_WORDS | PICTURE_WORDS


def key_of(name: str) -> Words:
    """The words that say neither picture nor mask, in small letters."""
    return tuple(word.casefold() for word in words_of(name) if is_plain(word))

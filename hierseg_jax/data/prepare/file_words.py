"""What the words in names of files and folders say of pictures and masks.

`left_arm-mask.png` has the words left, arm and mask. Words that say picture or mask tell which
files belong together by all the others: `img_7.jpg` and `mask_7.png`, `set1_images` and
`set1_masks`.
"""

import itertools
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

from hierseg_jax.data.prepare.folders import SPLIT_NAMES, split_of, walk_files
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.wording import counted

MASK_WORDS = {
    *("mask", "masks", "label", "labels", "labeled", "labelled", "ann", "anno", "annot", "gt"),
    *("annotation", "annotations", "seg", "segm", "segmentation", "segmentations", "semantic"),
    *("labelids", "labeltrainids", "gtfine", "segmentationclass", "target", "targets", "manual"),
    *("manual1", "groundtruth", "machine"),
}
PICTURE_WORDS = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "rgb", "raw"),
    *("jpegimages", "leftimg8bit", "input", "inputs", "original", "originals", "dir"),
}
OTHER_WORDS = {
    *("color", "colors", "colour", "colours", "vis", "viz", "overlay", "overlays", "preview"),
    *("instance", "instances", "instanceids", "panoptic", "depth", "edge", "edges", "normals"),
    *("pred", "preds", "prediction", "predictions", "predicted", "result", "results", "output"),
    *("outputs", "coarse", "superpixel", "superpixels", "thermal", "nir", "densepose", "old"),
}
"""Of files that look like masks and are none, or none to learn from."""
PREFERRED_WORDS = {"semantic", "labeltrainids", "machine"}
"""Of masks that are meant where there are others."""

Words = tuple[str, ...]


def words_of(name: str) -> Words:
    """As they are written; of any alphabet."""
    return tuple(word for word in re.split(r"[\W_]+", name) if word)


def has(name: str, words: Iterable[str]) -> bool:
    """Whether a name holds one of some words, in capital letters or small ones."""
    return not {word.casefold() for word in words_of(name)}.isdisjoint(words)


def key_of(name: str) -> Words:
    """The words that say neither picture nor mask, in small letters."""
    words = (word.casefold() for word in words_of(name))
    return tuple(word for word in words if word not in MASK_WORDS | PICTURE_WORDS)


def files_by_folder(root: pathlib.Path) -> dict[Words, list[pathlib.Path]]:
    """Pictures and masks below a folder, sorted, by the parts of their folder's path in it."""
    folders: dict[Words, list[pathlib.Path]] = {}
    for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
        folders.setdefault(file.parent.relative_to(root).parts, []).append(file)
    return folders


def is_of_masks(folder: Words) -> bool:
    """Whether the innermost part that says picture or mask says mask, and none says other."""
    for part in reversed(folder):
        if has(part, OTHER_WORDS):
            return False
        if has(part, MASK_WORDS):
            return True
        if has(part, PICTURE_WORDS):
            return False
    return False


def mask_folders(folders: Iterable[Words], extra: int = 0) -> dict[Words, list[Words]]:
    """Folder of pictures -> folders in which their masks may be.

    The path of these is that of the pictures with a part more that says mask (`photos/masks`), or
    with one that says mask where the other says picture (`images/a`, `labels/a`; `set1_images`,
    `set1_masks`), which another may stand before (`v2/labels`). Where a folder of masks is of none
    so, its part that says mask may stand for any other one (`flowers`, `masks`).

    Args:
      folders: by their parts.
      extra: parts behind the one that says mask that are passed over.
    """
    of_masks = [folder for folder in folders if is_of_masks(folder)]
    others = [
        folder
        for folder in folders
        if not is_of_masks(folder) and not any(has(part, OTHER_WORDS) for part in folder)
    ]
    by_key: dict[Words, list[Words]] = {}
    by_rest: dict[tuple[Words, Words], list[Words]] = {}
    for folder in others:
        by_key.setdefault(_folder_key(folder), []).append(folder)
        for at in range(len(folder)):
            by_rest.setdefault((folder[:at], folder[at + 1 :]), []).append(folder)
    found: dict[Words, list[Words]] = {}
    for masks in of_masks:
        places = [at for at, part in enumerate(masks) if has(part, MASK_WORDS)]
        near = [
            folder
            for at in places
            for key in _picture_keys(masks, at, masks[at + 1 + extra :])
            for folder in by_key.get(key, ())
        ]
        if not near:
            rests = [(masks[:at], masks[at + 1 + extra :]) for at in places]
            near = [folder for rest in rests for folder in by_rest.get(rest, ())]
        for folder in dict.fromkeys(near):
            found.setdefault(folder, []).append(masks)
    return found


def _picture_keys(masks: Words, at: int, behind: Words) -> Iterator[Words]:
    yield _folder_key((*masks[:at], *behind))
    yield _folder_key((*masks[: at + 1], *behind))
    if at:
        yield _folder_key((*masks[: at - 1], masks[at], *behind))


def _folder_key(folder: Words) -> Words:
    return tuple(" ".join(key_of(part)) for part in folder)


def is_photo(file: pathlib.Path) -> bool:
    """Whether a file can be no mask, being compressed with losses."""
    return file.suffix.lower() in LOSSY_SUFFIXES


def count_shared(folders: Sequence[Words]) -> int:
    """Parts that all paths begin with."""
    pairs = zip(min(folders, default=()), max(folders, default=()), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def split_and_name(folder: Words, stem: str, shared: int) -> tuple[str, str]:
    """The split that folders are called after, and a name in a folder of the split.

    The name has what tells apart pictures of several folders: `train_day/images/1` is `day__1`.

    Args:
      folder, stem: of the picture.
      shared: parts of the path that all pictures have.
    """
    parts = []
    for part in folder[shared:]:
        kept = [word for word in key_of(part) if word.rstrip("0123456789") not in SPLIT_NAMES]
        parts += ["_".join(kept)] if kept else []
    return split_of(pathlib.PurePath(*folder)) if folder else "", "__".join((*parts, stem))


def without_masks(pictures: Sequence[pathlib.Path]) -> str:
    """The sentence about pictures that are left out."""
    count = counted(len(pictures), "picture")
    return f"Left out, for there is no mask: {count}, the first {pictures[0]}."

"""The folders of somebody else's data: which hold pictures, and which the masks of these."""

import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from hierseg_jax.data.prepare.file_words import (
    MASK_WORDS,
    OTHER_WORDS,
    PICTURE_WORDS,
    Words,
    has,
    key_of,
)
from hierseg_jax.data.prepare.folders import SPLIT_NAMES, split_of, walk_files
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.wording import counted

_MANY = 10
_NEGATIVES = (
    "If the pictures without masks show nothing of the classes, training can learn that from them: "
    "`config.data.negatives`."
)
Folder = tuple[str, ...]
"""Parts of the path of a folder."""


class Folders:
    """All folders below one, with their pictures and masks.

    Attributes:
      files: sorted, by folder.
      of_pictures: those that may hold pictures, and masks beside them.
      of_masks: those that are called after masks.
    """

    def __init__(self, root: pathlib.Path) -> None:
        """Lists them; links are followed."""
        self.files: dict[Folder, list[pathlib.Path]] = {}
        for file in walk_files(root, sorted({*IMAGE_SUFFIXES, *MASK_SUFFIXES})):
            self.files.setdefault(file.parent.relative_to(root).parts, []).append(file)
        # What all are called tells none from another.
        shared = _count_shared([*self.files])
        known = [f for f in self.files if not any(has(part, OTHER_WORDS) for part in f[shared:])]
        self.of_masks = [folder for folder in known if _is_called_after_masks(folder)]
        self.of_pictures = [folder for folder in known if not _is_called_after_masks(folder)]

    def passed_over(self) -> list[pathlib.Path]:
        """The files of folders that are neither, such as `predictions`."""
        known = {*self.of_masks, *self.of_pictures}
        return [f for folder, files in self.files.items() if folder not in known for f in files]

    def masks_of(self, of_classes: bool = False) -> dict[Folder, list[tuple[str, Folder]]]:
        """Folder of pictures -> folders in which their masks may be, each with its class.

        The path of these is that of the pictures with a part more that says mask
        (`photos/masks`), or with one that says mask where the other says picture (`images/a`,
        `labels/a`; `set1_images`, `set1_masks`), which another may stand before (`v2/labels`).
        Where a folder of masks is of none so, its part that says mask may stand for any other one
        (`flowers`, `masks`).

        Args:
          of_classes: whether masks of a class have a folder, behind the part that says mask or the
            last (`masks/head/train`, `masks/train/head`), which is passed over; else the class is
            empty.
        """
        by_key: dict[Words, list[Folder]] = {}
        by_rest: dict[tuple[Folder, Folder], list[Folder]] = {}
        for folder in self.of_pictures:
            by_key.setdefault(_key(folder), []).append(folder)
            for at in range(len(folder)):
                by_rest.setdefault((folder[:at], folder[at + 1 :]), []).append(folder)
        found: dict[Folder, list[tuple[str, Folder]]] = {}
        for masks in self.of_masks:
            places = [at for at, part in enumerate(masks) if has(part, MASK_WORDS)]
            inside = masks[places[-1] + 1 :]
            # The class, and what else is behind the part that says mask.
            ways = [("", 0, len(masks))]
            if of_classes:
                ways = (
                    [(inside[0], 1, len(masks)), (inside[-1], 0, len(masks) - 1)] if inside else []
                )
            for name, skipped, end in ways:
                behind = [(at, masks[at + 1 + skipped : end]) for at in places]
                near = [
                    folder
                    for at, rest in behind
                    for key in _picture_keys(masks, at, rest)
                    for folder in by_key.get(key, ())
                ] or [
                    folder for at, rest in behind for folder in by_rest.get((masks[:at], rest), ())
                ]
                for folder in dict.fromkeys(near):
                    if (name, masks) not in found.setdefault(folder, []):
                        found[folder].append((name, masks))
        return found


def is_photo(file: pathlib.Path) -> bool:
    """Whether a file can be no mask, being compressed with losses."""
    return file.suffix.lower() in LOSSY_SUFFIXES


def splits_and_names(
    images: Sequence[pathlib.Path], root: pathlib.Path
) -> dict[pathlib.Path, tuple[str, str]]:
    """Picture -> the split that folders are called after, and a name in a folder of the split.

    The name has what tells apart pictures of several folders: `train_day/images/1` is `day__1`.
    """
    folders = {image: image.parent.relative_to(root).parts for image in images}
    shared = _count_shared([*folders.values()])
    return {
        image: (
            split_of(pathlib.PurePath(*folder)) if folder else "",
            "__".join((*_telling(folder[shared:]), image.stem)),
        )
        for image, folder in folders.items()
    }


def left_out(without_mask: Sequence[pathlib.Path], others: dict[str, list[pathlib.Path]]) -> Words:
    """Sentences about pictures without a mask, and other files by what they are."""
    kinds = {"Left out, for there is no mask": without_mask, **others}
    notes = [
        f"{kind}: {counted(len(files), 'picture' if files is without_mask else 'file')}, the first "
        f"{files[0]}."
        for kind, files in kinds.items()
        if files
    ]
    if len(without_mask) >= _MANY:
        notes.insert(1, _NEGATIVES)
    return tuple(notes)


def _telling(folder: Iterable[str]) -> Iterator[str]:
    for part in folder:
        kept = [word for word in key_of(part) if word.rstrip("0123456789") not in SPLIT_NAMES]
        if kept:
            yield "_".join(kept)


def _count_shared(folders: Sequence[Folder]) -> int:
    """Parts that all paths begin with."""
    pairs = zip(min(folders, default=()), max(folders, default=()), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _is_called_after_masks(folder: Folder) -> bool:
    """Whether the innermost part that says picture or mask says mask."""
    for part in reversed(folder):
        if has(part, MASK_WORDS):
            return True
        if has(part, PICTURE_WORDS):
            return False
    return False


def _picture_keys(masks: Folder, at: int, behind: Folder) -> Iterator[Words]:
    yield _key((*masks[:at], *behind))
    yield _key((*masks[: at + 1], *behind))
    if at:
        yield _key((*masks[: at - 1], masks[at], *behind))


def _key(folder: Folder) -> Words:
    return tuple(" ".join(key_of(part)) for part in folder)

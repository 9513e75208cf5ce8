"""Training and validation by names, or a hash of them, where the source has no validation."""

import dataclasses
import fnmatch
import hashlib
import pathlib
from collections.abc import Sequence

from hierseg_jax.data.prepare.picture import Picture
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted


def split_pictures(pictures: Sequence[Picture], val_share: float) -> list[Picture]:
    """Pictures without a split get one, and training pictures if there is no validation.

    It depends on a picture's name and the share alone, so that pictures that are added later
    leave the others where they are. Of a few pictures one at least goes to each split.

    Args:
      pictures: of a source.
      val_share: of the pictures, from 0 to 1.
    """
    if any(picture.split == "val" for picture in pictures):
        val_share = 0.0
    free = [picture for picture in pictures if picture.split in ("", "train")]
    ranks = sorted((_position(picture.name), picture.name) for picture in free)
    count = sum(position < val_share for position, _ in ranks)
    if val_share:
        count = min(max(count, 1), len(ranks) - 1)
    val = {name for _, name in ranks[: max(count, 0)]}

    def placed(picture: Picture) -> Picture:
        split = "val" if picture.name in val else "train"
        is_free = picture.split in ("", "train")
        return dataclasses.replace(picture, split=split) if is_free else picture

    return [placed(picture) for picture in pictures]


def split_by_names(
    pictures: Sequence[Picture], patterns: Sequence[str], raw_dir: pathlib.Path
) -> list[Picture]:
    """Pictures of these names are for validation, all others for training, but those of a test.

    Args:
      pictures: of a source.
      patterns: as `clip3_*`, of a picture's file name or its path below `raw_dir`.
      raw_dir: of the source.

    Raises:
      ValueError: a source with a validation of its own; a pattern that no picture has, or that
        leaves none for training.
    """
    free = [picture for picture in pictures if picture.split in ("", "train")]
    if len(free) < sum(picture.split != "test" for picture in pictures):
        raise HiersegError(
            f"{raw_dir} says itself which pictures are for validation; --val_names is for "
            "pictures of which nothing says so."
        )

    def has_name(picture: Picture, pattern: str) -> bool:
        below = picture.image
        if below.is_relative_to(raw_dir):
            below = below.relative_to(raw_dir)
        names = (picture.image.name, below.as_posix())
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)

    val = set()
    for pattern in patterns:
        found = {picture.image for picture in free if has_name(picture, pattern)}
        if not found:
            first = min((picture.image.name for picture in free), default="nothing at all")
            raise HiersegError(
                f"No picture is called {pattern} (--val_names); the first is called {first}."
            )
        val |= found
    if len(val) == len({picture.image for picture in free}):
        raise HiersegError(
            f"--val_names takes all {counted(len(val), 'picture')} for validation, and leaves none "
            "for training."
        )

    def placed(picture: Picture) -> Picture:
        if picture.split == "test":
            return picture
        split = "val" if picture.image in val else "train"
        return dataclasses.replace(picture, split=split)

    return [placed(picture) for picture in pictures]


def _position(name: str) -> float:
    """Where a name falls in [0, 1), at random and always the same."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48

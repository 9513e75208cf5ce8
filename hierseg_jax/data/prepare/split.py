"""Training and validation: by names, or by a hash of them where the source has no validation."""

import dataclasses
import fnmatch
import hashlib
import pathlib
from collections.abc import Iterable, Sequence

from hierseg_jax.data.prepare.picture import Picture
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted


def split_pictures(pictures: Sequence[Picture], val_share: float) -> list[Picture]:
    """Pictures without a split get one, and training pictures if there is no validation.

    It depends on a picture's name and the share alone, so that pictures that are added later
    leave the others where they are. Of a few pictures one at least goes to each split, but
    where all are to be for validation.

    Args:
      pictures: of a source.
      val_share: of the pictures, from 0 to 1.
    """
    if any(picture.split == "val" for picture in pictures):
        val_share = 0.0
    free = [picture for picture in pictures if picture.split in ("", "train")]
    ranks = sorted((_position(picture.name), picture.name) for picture in free)
    count = sum(position < val_share for position, _ in ranks)
    if 0 < val_share < 1:
        count = min(max(count, 1), len(ranks) - 1)
    val = {name for _, name in ranks[: max(count, 0)]}
    return [
        dataclasses.replace(picture, split="val" if picture.name in val else "train")
        if picture.split in ("", "train")
        else picture
        for picture in pictures
    ]


def split_by_names(
    pictures: Sequence[Picture], patterns: Sequence[str], raw_dir: pathlib.Path
) -> list[Picture]:
    """Pictures of these names are for validation, all others for training, but those of a test.

    Whatever the source itself says of training and validation.

    Args:
      pictures: of a source.
      patterns: as `clip3_*` or `clip3/*`: ends of a picture's path below `raw_dir`, or the name
        that it will have.
      raw_dir: of the source.

    Raises:
      ValueError: a pattern that no picture has, or patterns that leave none for training.
    """
    free = [picture for picture in pictures if picture.split != "test"]
    paths = {picture.image: _below(picture.image, raw_dir) for picture in free}
    val = set()
    for pattern in patterns:
        found = {p.image for p in free if _is_called((paths[p.image], p.name), pattern)}
        if not found:
            first = min(paths.values(), default="nothing")
            tested = sum(
                picture.split == "test"
                and _is_called((_below(picture.image, raw_dir), picture.name), pattern)
                for picture in pictures
            )
            raise HiersegError(
                f"No picture for training or validation is called {pattern!r} (--val_names); "
                f"capitals and the suffix count. The first is {first}."
                + (f" Of a test, {counted(tested, 'picture')} would be." if tested else "")
            )
        val |= found
    if len(val) == len(paths):
        raise HiersegError(
            f"--val_names takes all {counted(len(val), 'picture')} for validation, and leaves none "
            "for training."
        )
    return [
        picture
        if picture.split == "test"
        else dataclasses.replace(picture, split="val" if picture.image in val else "train")
        for picture in pictures
    ]


def _below(image: pathlib.Path, raw_dir: pathlib.Path) -> str:
    return (image.relative_to(raw_dir) if image.is_relative_to(raw_dir) else image).as_posix()


def _is_called(names: Iterable[str], pattern: str) -> bool:
    """By a name, or the end of one that begins with a file or folder."""
    pattern = pattern.removeprefix("./")
    return any(name == pattern or fnmatch.fnmatchcase(f"/{name}", f"*/{pattern}") for name in names)


def _position(name: str) -> float:
    """Where a name falls in [0, 1), at random and always the same."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48

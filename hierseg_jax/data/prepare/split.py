"""Training and validation by a hash of the name, where the source has no validation."""

import dataclasses
import hashlib
from collections.abc import Sequence

from hierseg_jax.data.prepare.picture import Picture


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


def _position(name: str) -> float:
    """Where a name falls in [0, 1), at random and always the same."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48

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
    val = {name for position, name in ranks if position < val_share}
    if val_share and len(ranks) > 1:
        val = (val or {ranks[0][1]}) - ({ranks[-1][1]} if len(val) == len(ranks) else set())
    splits = {picture.name: "val" if picture.name in val else "train" for picture in free}
    return [
        picture
        if picture.split == "test" or picture.split == "val"
        else dataclasses.replace(picture, split=splits[picture.name])
        for picture in pictures
    ]


def _position(name: str) -> float:
    """Where a name falls in [0, 1), at random and always the same."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48

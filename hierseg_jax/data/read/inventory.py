"""What a split consists of, by names and sizes: enough to notice that data have changed."""

import dataclasses
import functools
import gzip
import hashlib
import itertools
import os
import pathlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.wording import counted

Entry = tuple[str, int]
"""Name of a file, without the folder that the data lie in, and its size in bytes."""

# Of a stored listing; some five million files.
_MOST_BYTES = 1 << 28
_COMPRESSED = (b".jpg", b".jpeg", b".png", b".webp")


@dataclasses.dataclass(frozen=True)
class Inventory:
    """All files of a split, in the order of the examples.

    Attributes:
      examples: of the split.
      listing: `SIZE NAME` for every file, each ended by a zero byte.
    """

    examples: int
    listing: bytes

    @classmethod
    def of(cls, examples: int, entries: Iterable[Entry]) -> "Inventory":
        """Of entries in the order of the examples."""
        lines = (b"%d %s\0" % (size, os.fsencode(name)) for name, size in entries)
        return cls(examples, b"".join(lines))

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """`examples`, `bytes` of all files, and `sha256` of names and sizes, as plain JSON."""
        return {
            "examples": self.examples,
            "bytes": sum(int(line.partition(b" ")[0]) for line in self.listing.split(b"\0")[:-1]),
            "sha256": hashlib.sha256(self.listing).hexdigest(),
        }


def write_listing(file: pathlib.Path, inventory: Inventory) -> None:
    """Keeps the listing, compressed, for `read_listing`."""
    write_atomically(file, gzip.compress(inventory.listing, compresslevel=3, mtime=0))


def read_listing(file: pathlib.Path, sha256: str) -> bytes | None:
    """A kept listing; None where it is gone, or not the one with this hash."""
    try:
        with file.open("rb") as stored, gzip.open(stored) as stream:
            listing = stream.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error):
        return None
    return listing if hashlib.sha256(listing).hexdigest() == sha256 else None


def in_both(listing: bytes, now: Inventory) -> list[str]:
    """Pictures of an inventory that a listing has, too: of one name and size, as are their masks.

    Names are compared without their folders, which differ between data sets. Where several
    pictures of one have the same name, that says nothing of them; nor do the sizes of pictures
    that are stored as they are. Of others a few have them by chance, and as few as that are none.
    """
    old = _told_apart(listing)
    found = [name for name, sizes in _told_apart(now.listing).items() if old.get(name) == sizes]
    by_chance = now.examples / 200
    return [_shown(name) for name in found] if len(found) > by_chance else []


def describe_change(before: Mapping[str, Any], listing: bytes | None, now: Inventory) -> str:
    """What differs between two fingerprints, as the end of a sentence.

    Args:
      before: a fingerprint.
      listing: that belongs to it, if it is known.
      now: the inventory that is compared with it.
    """
    found = now.fingerprint
    text = (
        f"{counted(found['examples'], 'example')} ({found['bytes']:,} bytes), before "
        f"{before['examples']:,} ({before['bytes']:,} bytes)"
    )
    if listing is None:
        return text
    old, new = _sizes(listing), _sizes(now.listing)
    kinds = {
        "added": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
        "of another size": [name for name in new if name in old and old[name] != new[name]],
    }
    parts = [
        f"{counted(len(names), 'file')} {kind} (first {_shown(names[0])})"
        for kind, names in kinds.items()
        if names
    ]
    return ": ".join([text, ", ".join(parts)] if parts else [text])


def _sizes(listing: bytes) -> dict[bytes, int]:
    pairs = (line.partition(b" ") for line in listing.split(b"\0")[:-1])
    return {name: int(size) for size, _, name in pairs}


def _told_apart(listing: bytes) -> dict[bytes, tuple[int, int]]:
    """Picture -> its size and its mask's, of those whose name, without folders, no other has."""
    entries = list(_sizes(listing).items())
    found: dict[bytes, list[tuple[int, int]]] = {}
    for (name, size), (of_mask, mask_size) in itertools.pairwise(entries):
        if b"images" in name.split(b"/") and b"masks" in of_mask.split(b"/"):
            found.setdefault(name.rpartition(b"/")[2], []).append((size, mask_size))
    return {
        name: sizes[0]
        for name, sizes in found.items()
        if len(sizes) == 1 and name.lower().endswith(_COMPRESSED)
    }


def _shown(name: bytes) -> str:
    text = name.decode(errors="replace")
    return text if text.isprintable() else repr(text)

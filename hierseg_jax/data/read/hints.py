"""What may be meant where a split finds no pairs: the line of a data.yaml that would find them."""

import os

from hierseg_jax.data.read.layout import Layout
from hierseg_jax.data.read.listing import Listing
from hierseg_jax.data.read.pattern import Pattern
from hierseg_jax.system.paths import scan


def hint_of(layout: Layout, listing: Listing) -> str:
    """A sentence behind a space, which names the line to write; empty where none is likely."""
    if not listing.names and not listing.unmasked:
        return _deeper(layout, listing.images)
    if layout.beside and listing.unmasked and listing.unpictured and listing.masks:
        return _renamed(layout, listing)
    return ""


def _deeper(layout: Layout, images: Pattern) -> str:
    """About a folder that holds none but folders."""
    folder = layout.root / images.folder
    if images.parts != ("*",):
        return ""
    with scan(folder) as entries:
        if not any(entry.is_dir() and not entry.name.startswith(".") for entry in entries):
            return ""
    masks = f"{layout.masks}/**/*" if layout.masks else "MASKS/**/*"
    return (
        " It holds folders, which are not looked into; to do so write "
        f"`{{images: {images.folder}/**/*, masks: {masks}}}`."
    )


def _renamed(layout: Layout, listing: Listing) -> str:
    """About masks whose names differ from those of the images by what is the same in all."""
    images = [os.path.splitext(path)[0] for path in listing.unmasked]
    masks = {os.path.splitext(path)[0] for path in listing.unpictured}
    folders = [f"{of.folder}/" for of in (listing.images, listing.masks or listing.images)]
    images = [path.removeprefix(folders[0]) for path in images]
    masks = {path.removeprefix(folders[1]) for path in masks}
    first = images[0]
    alike = max(masks, key=lambda mask: (_alike(mask, first), -len(mask)))
    same = _alike(alike, first)
    ahead = next((mask.removesuffix(first) for mask in masks if mask.endswith(first)), "")
    for tail, mask_head, mask_tail in ((first[same:], "", alike[same:]), ("", ahead, "")):
        stars = [name.removesuffix(tail) for name in images if name.endswith(tail)]
        paired = [star for star in stars if star and f"{mask_head}{star}{mask_tail}" in masks]
        if len(paired) == len(images):
            image_path = f"{folders[0]}*{tail}.*" if tail else layout.images
            return (
                " Their names differ by what is the same in all: write "
                f"`{{images: {image_path}, masks: {folders[1]}{mask_head}*{mask_tail}.*}}`."
            )
    return ""


def _alike(one: str, other: str) -> int:
    """Characters that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))

"""What may be meant where a split finds no pairs: the line of a data.yaml that would find them."""

import os

from hierseg_jax.data.read.layout import LOSSY, LOSSY_SUFFIXES, MASK_SUFFIXES, Layout
from hierseg_jax.data.read.listing import Listing
from hierseg_jax.data.read.mask_places import find_affixes, line_of_one_folder, list_key
from hierseg_jax.data.read.pattern import Pattern
from hierseg_jax.system.paths import scan
from hierseg_jax.system.wording import counted


def hint_of(layout: Layout, listing: Listing) -> str:
    """A sentence behind a space, which names the line to write; empty where none is likely."""
    if not listing.names and not listing.unmasked:
        return _deeper(layout, listing.images)
    masks = listing.masks
    if masks is None or layout.paths_listed or not (listing.unmasked or listing.doubled):
        return ""
    if listing.images.folder == masks.folder and listing.images.parts == masks.parts == ("*",):
        line = line_of_one_folder(layout.root, masks.folder)
        return f" To tell images and masks of one folder apart, write `{line}`." if line else ""
    if not listing.unmasked:
        return ""
    return _lossy(layout, listing, masks) or _renamed(layout, listing, masks)


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


def _lossy(layout: Layout, listing: Listing, masks: Pattern) -> str:
    """About masks that are there as JPEG."""
    if not masks.any_suffix:
        return ""
    wanted = set(_stems(listing))
    found = [key for key, _ in masks.files(layout.root, LOSSY_SUFFIXES) if key in wanted]
    if not found or masks.folder == listing.images.folder:
        return ""
    there = counted(len(found), "file")
    return f" {there} of these names {'is' if len(found) == 1 else 'are'} JPEG or WebP. {LOSSY}"


def _renamed(layout: Layout, listing: Listing, masks: Pattern) -> str:
    """About masks whose names differ from those of the images by what is the same in all."""
    if listing.images.parts != ("*",) or masks.parts != ("*",):
        return ""
    images = _stems(listing)
    paired = set(listing.names)
    keys = {key for key, _ in masks.files(layout.root, MASK_SUFFIXES) if key not in paired}
    affixes = find_affixes(images, keys)
    if affixes is None:
        return ""
    tail, head, mask_tail = affixes
    folder = f"{listing.images.folder}/" if listing.images.folder else ""
    mask_folder = f"{masks.folder}/" if masks.folder else ""
    image_path = f"{folder}*{tail}.*" if tail else layout.images
    return (
        " Their names differ by what is the same in all: write "
        f"`{{images: {image_path}{list_key(layout)}, masks: {mask_folder}{head}*{mask_tail}.*}}`."
    )


def _stems(listing: Listing) -> list[str]:
    """Of images without a mask: their paths below the images' folder, without suffixes."""
    folder = f"{listing.images.folder}/" if listing.images.folder else ""
    return [os.path.splitext(path)[0].removeprefix(folder) for path in listing.unmasked]

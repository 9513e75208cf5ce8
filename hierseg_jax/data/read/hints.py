"""What may be meant where a split finds no pairs: the line of a data.yaml that would find them."""

import os

from hierseg_jax.data.read.layout import LOSSY, LOSSY_SUFFIXES, MASK_SUFFIXES, Layout, about_unread
from hierseg_jax.data.read.listing import Listing
from hierseg_jax.data.read.mask_places import find_affixes, line_of_one_folder, of_list
from hierseg_jax.data.read.pattern import Pattern, holds
from hierseg_jax.data.read.safe_yaml import flow
from hierseg_jax.system.paths import leads_nowhere, scan
from hierseg_jax.system.wording import counted, listed


def hint_of(layout: Layout, listing: Listing) -> str:
    """A sentence behind a space, which names the line to write; empty where none is likely."""
    if not listing.names and not listing.unmasked:
        return _unread(layout, listing.images)
    masks = listing.masks
    if listing.unpictured and not listing.unmasked and listing.images.parts == ("*",):
        with scan(layout.root / listing.images.folder) as entries:
            return f" {about_unread(entry.path for entry in entries)}".rstrip()
    if masks is None or layout.paths_listed or not (listing.unmasked or listing.doubled):
        return ""
    if listing.images.folder == masks.folder and listing.images.parts == masks.parts == ("*",):
        line = line_of_one_folder(layout.root, masks.folder)
        return f" To tell images and masks of one folder apart, write `{line}`." if line else ""
    if not listing.unmasked:
        return ""
    told = _lossy(layout, listing, masks) or _renamed(layout, listing, masks)
    return told or _gone(layout, listing.images)


def without_unmasked(layout: Layout, listing: Listing) -> str:
    """A sentence behind a space: how to train on the pictures that have masks, if some do."""
    images, masks = listing.images, listing.masks
    plain = masks is not None and masks.parts == images.parts == ("*",)
    if not (plain and masks and listing.names and listing.unmasked) or layout.list:
        return ""
    return (
        " Where these have no labels yet, train on the others, named in a file, one a line: "
        f"`{flow({'images': images.folder, 'masks': masks.folder, 'list': 'labelled.txt'})}`."
    )


def _unread(layout: Layout, images: Pattern) -> str:
    """About a folder in which no file is an image."""
    if images.parts != ("*",):
        return ""
    with scan(layout.root / images.folder) as entries:
        others = [entry for entry in entries if entry.name[0] != "."]
    if any(holds(entry.is_dir) for entry in others):
        masks = f"{layout.masks}/**/*" if layout.masks else "MASKS/**/*"
        return (
            " It holds folders, which are not looked into; to do so write "
            f"`{flow({'images': f'{images.folder}/**/*'.lstrip('/'), 'masks': masks})}`."
        )
    gone = _gone(layout, images)
    if gone:
        return gone
    suffixes = sorted({os.path.splitext(entry.name)[1] for entry in others} - {""})
    return f" It holds files of {listed(suffixes, 3)}; convert them." if suffixes else ""


def _gone(layout: Layout, images: Pattern) -> str:
    """About links in the folder of the images, where a disk may not be mounted."""
    folder = layout.root / images.folder
    with scan(folder) as entries:
        dead = sum(entry.is_symlink() and leads_nowhere(entry.path) for entry in entries)
    if not dead:
        return ""
    links = counted(dead, "link")
    return f" {images.folder or folder} has {links} to files that are gone; bring these back."


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
    line = flow(
        {"images": image_path, **of_list(layout), "masks": f"{mask_folder}{head}*{mask_tail}.*"}
    )
    return f" Their names differ by what is the same in all: write `{line}`."


def _stems(listing: Listing) -> list[str]:
    """Of images without a mask: their paths below the images' folder, without suffixes."""
    folder = f"{listing.images.folder}/" if listing.images.folder else ""
    return [os.path.splitext(path)[0].removeprefix(folder) for path in listing.unmasked]

"""The files of a split: pairs of image and mask, and what finds no partner."""

import dataclasses
import os
import pathlib

from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.read.hints import hint_of
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES, Layout, mask_folder
from hierseg_jax.data.read.listing import list_pairs
from hierseg_jax.data.read.mask_places import hint_without_masks
from hierseg_jax.data.read.pattern import holds, is_listed, parse_pattern
from hierseg_jax.system.paths import scan


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its mask."""

    split: str
    image: pathlib.Path
    mask: pathlib.Path


def pair_files(split: str, layout: Layout) -> tuple[list[Pair], list[Finding]]:
    """Pairs as `FolderSource` makes them, and where that would refuse.

    Args:
      split: for the findings.
      layout: where its files lie; findings name them relative to its root.

    Returns:
      Pairs in the order of what varies in their names, and findings.

    Raises:
      FileNotFoundError, ValueError: of a list of images, as `list_pairs` has it.
    """
    root = layout.root
    missing = _missing_folders(layout)
    if missing:
        hint = hint_without_masks(layout) if [what for what, _ in missing] == ["masks"] else ""
        return [], [
            Finding(
                "missing_folder",
                split,
                shown(folder, root),
                f"There is no folder {shown(folder, root)}, where the {what} should lie.{hint}",
            )
            for what, folder in missing
        ]
    listing = list_pairs(layout)
    hint = hint_of(layout, listing)
    findings = []
    if not (listing.names or listing.unmasked):
        kinds = ", ".join(IMAGE_SUFFIXES)
        text = f"{shown(layout.image_dir, root)} holds no images ({kinds}).{hint}"
        findings.append(Finding("empty_split", split, "", text))
    for paths in listing.doubled:
        names = [shown(root / path, root) for path in paths]
        text = f"{' and '.join(names)} have one stem.{hint}"
        hint = ""
        findings.append(Finding("shared_stem", split, names[0], text))
    findings += _strangers(split, layout)
    for kind, paths in (("missing_mask", listing.unmasked), ("missing_image", listing.unpictured)):
        what = kind.removeprefix("missing_")
        partner = f"{what} of the same stem"
        if not layout.beside:
            partner = f"{what} at {layout.masks}" if layout.masks else f"{what}, which is listed"
        for path in paths:
            file = shown(root / path, root)
            findings.append(Finding(kind, split, file, f"{file} has no {partner}.{hint}"))
            hint = ""
    pairs = [
        Pair(split, root / listing.image(index), root / listing.mask(index))
        for index in range(len(listing.names))
    ]
    return pairs, findings


def _missing_folders(layout: Layout) -> list[tuple[str, pathlib.Path]]:
    """What should lie there, and the folder."""
    masks = mask_folder(layout.root, layout.images) if layout.beside else layout.masks
    named = [("images", layout.image_dir)]
    if masks:
        named.append(("masks", layout.root / parse_pattern(masks).folder))
    return [(what, folder) for what, folder in named if not folder.is_dir()]


def _strangers(split: str, layout: Layout) -> list[Finding]:
    """Visible entries of the two folders of the short form that no reader looks at."""
    if not layout.beside:
        return []
    findings = []
    masks = mask_folder(layout.root, layout.images)
    for folder, suffixes in ((layout.images, IMAGE_SUFFIXES), (masks, MASK_SUFFIXES)):
        with scan(layout.root / folder) as entries:
            strange = [
                (entry.name, holds(entry.is_dir))
                for entry in entries
                if entry.name[0] != "."
                and not (os.path.splitext(entry.name)[1].lower() in suffixes and is_listed(entry))
            ]
        for name, is_dir in sorted(strange):
            file = shown(layout.root / folder / name, layout.root)
            what = "is a folder, which is not looked into" if is_dir else "is not read"
            findings.append(Finding("passed_over", split, file, f"{file} {what}."))
    return findings

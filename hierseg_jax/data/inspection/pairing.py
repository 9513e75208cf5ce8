"""The files of a split: pairs of image and mask, and what finds no partner."""

import dataclasses
import pathlib

from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.read.folder import IMAGE_SUFFIXES, MASK_SUFFIXES, list_by_stem


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and the mask of its stem."""

    split: str
    image: pathlib.Path
    mask: pathlib.Path


def pair_files(
    split: str, image_dir: pathlib.Path, root: pathlib.Path
) -> tuple[list[Pair], list[Finding]]:
    """Pairs as `FolderSource` makes them, and where that would refuse.

    Args:
      split: for the findings.
      image_dir: its masks lie in the folder `masks` next to it.
      root: findings name files relative to it.

    Returns:
      Pairs in the order of their stems, and findings.
    """
    mask_dir = image_dir.parent / "masks"
    missing = [folder for folder in (image_dir, mask_dir) if not folder.is_dir()]
    if missing:
        return [], [
            Finding(
                "missing_folder",
                split,
                shown(folder, root),
                f"There is no folder {shown(folder, root)}, where the "
                f"{'images' if folder == image_dir else 'masks'} should lie.",
            )
            for folder in missing
        ]
    images, masks = list_by_stem(image_dir, IMAGE_SUFFIXES), list_by_stem(mask_dir, MASK_SUFFIXES)
    findings = []
    if not images:
        text = f"{shown(image_dir, root)} holds no images ({', '.join(IMAGE_SUFFIXES)})."
        findings.append(Finding("empty_split", split, "", text))
    for folder, files in ((image_dir, images), (mask_dir, masks)):
        findings += _shared_stems(split, folder, files, root) + _strangers(
            split, folder, files, root
        )
    findings += _without_partner(split, image_dir, images, masks, root, "missing_mask")
    findings += _without_partner(split, mask_dir, masks, images, root, "missing_image")
    pairs = [
        Pair(split, image_dir / names[0], mask_dir / masks[stem][0])
        for stem, names in images.items()
        if stem in masks
    ]
    return pairs, findings


def _shared_stems(
    split: str, folder: pathlib.Path, files: dict[str, list[str]], root: pathlib.Path
) -> list[Finding]:
    return [
        Finding(
            "shared_stem",
            split,
            shown(folder / names[0], root),
            f"{' and '.join(shown(folder / name, root) for name in names)} have one stem.",
        )
        for names in files.values()
        if len(names) > 1
    ]


def _without_partner(
    split: str,
    folder: pathlib.Path,
    files: dict[str, list[str]],
    others: dict[str, list[str]],
    root: pathlib.Path,
    kind: str,
) -> list[Finding]:
    what = kind.removeprefix("missing_")
    return [
        Finding(kind, split, file, f"{file} has no {what} of the same stem.")
        for stem, names in files.items()
        if stem not in others
        for file in (shown(folder / name, root) for name in names)
    ]


def _strangers(
    split: str, folder: pathlib.Path, files: dict[str, list[str]], root: pathlib.Path
) -> list[Finding]:
    """Visible entries that no reader looks at."""
    known = {name for names in files.values() for name in names}
    findings = []
    for entry in sorted(folder.iterdir()):
        if entry.name not in known and not entry.name.startswith("."):
            file = shown(entry, root)
            what = "is a folder, which is not looked into" if entry.is_dir() else "is not read"
            findings.append(Finding("passed_over", split, file, f"{file} {what}."))
    return findings

"""Where masks may lie, or how their names may differ: the line of a data.yaml that says it."""

import os
import pathlib
from collections.abc import Collection, Iterator, Sequence

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES, Layout
from hierseg_jax.data.read.pattern import in_place_of_images
from hierseg_jax.data.read.safe_yaml import flow
from hierseg_jax.system.paths import scan
from hierseg_jax.system.wording import listed

Affixes = tuple[str, str, str]
"""What names of images end in behind the stem, and those of masks begin with and end in."""


def hint_without_masks(layout: Layout) -> str:
    """As `hint_of`, where the images' folder is there, and that of the masks is not."""
    if layout.paths_listed:
        return ""
    images = layout.image_pattern
    first = next(iter(images.files(layout.root, IMAGE_SUFFIXES)), None)
    if images.parts != ("*",):
        return ""
    if first is None:
        deeper = f"{images.folder}/images".lstrip("/")
        there = (layout.root / deeper).is_dir()
        return f" The images may be in `{deeper}`: write that." if there else ""
    if _yolo_labels(layout.root, images.folder, first[0]):
        return (
            " Its labels are text files, as YOLO has them: `hierseg prepare --from=yolo "
            "--raw_dir=FOLDER --out_dir=FOLDER` makes masks of them."
        )
    line = line_of_one_folder(layout.root, images.folder)
    if line:
        return f" To tell images and masks of one folder apart, write `{line}`."
    folders = _folders_of_masks(layout.root, images.folder, first[0])
    where = folders[0] if len(folders) == 1 else "FOLDER"
    several = f"; files of the images' names are in {listed(folders, 5)}" if folders[1:] else ""
    line = flow({"images": layout.images, **of_list(layout), "masks": where})
    return f" If they lie elsewhere, write `{line}`{several}."


def line_of_one_folder(root: pathlib.Path, folder: str) -> str:
    """The line for photographs and masks side by side, by their suffixes; empty for others."""
    stems: dict[str, set[str]] = {}
    for name in _visible(root / folder):
        stem, suffix = os.path.splitext(name)
        stems.setdefault(suffix, set()).add(stem)
    images = [suffix for suffix in stems if suffix.lower() in LOSSY_SUFFIXES]
    masks = [suffix for suffix in stems if suffix.lower() in MASK_SUFFIXES]
    if len(images) != 1 or len(masks) != 1:
        return ""
    affixes = find_affixes(sorted(stems[images[0]]), stems[masks[0]])
    if affixes is None:
        return ""
    tail, head, mask_tail = affixes
    place = f"{folder}/" if folder else ""
    return flow(
        {"images": f"{place}*{tail}{images[0]}", "masks": f"{place}{head}*{mask_tail}{masks[0]}"}
    )


def find_affixes(images: Sequence[str], masks: Collection[str]) -> Affixes | None:
    """By which every image's stem finds a mask's, if there are such."""
    if not images or not masks:
        return None
    first = images[0]
    alike = max(sorted(masks), key=lambda mask: (_alike(mask, first), -len(mask)))
    same = _alike(alike, first)
    ahead = next((mask.removesuffix(first) for mask in sorted(masks) if mask.endswith(first)), "")
    for tail, head, mask_tail in ((first[same:], "", alike[same:]), ("", ahead, "")):
        stars = [name.removesuffix(tail) for name in images if name.endswith(tail)]
        paired = [star for star in stars if star and f"{head}{star}{mask_tail}" in masks]
        if len(paired) == len(images):
            return tail, head, mask_tail
    return None


def of_list(layout: Layout) -> dict[str, str]:
    """The key `list` of a layout, if it has one."""
    return {"list": layout.list} if layout.list else {}


def _yolo_labels(root: pathlib.Path, folder: str, stem: str) -> bool:
    """Whether the text files of YOLO lie where it looks for them."""
    labels = in_place_of_images(folder, "labels")
    return labels != folder and (root / labels / f"{stem}.txt").is_file()


def _folders_of_masks(root: pathlib.Path, folder: str, stem: str) -> list[str]:
    """Folders near that of the images in which a file has the name of a mask."""
    *above, last = folder.split("/")
    places = {"/".join(above), ""}
    near = [f"{place}/{name}".lstrip("/") for place in places for name in _visible(root / place)]
    near += [f"{name}/{last}" for name in near]
    return sorted(
        name
        for name in dict.fromkeys(near)
        if name != folder
        and any((root / name / f"{stem}{suffix}").is_file() for suffix in MASK_SUFFIXES)
    )


def _visible(folder: pathlib.Path) -> Iterator[str]:
    """Names in a folder."""
    with scan(folder) as entries:
        yield from sorted(entry.name for entry in entries if entry.name[0] != ".")


def _alike(one: str, other: str) -> int:
    """Characters that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))

"""Pascal VOC's layout: `JPEGImages`, masks in `SegmentationClass`, lists of ids in `ImageSets`.

It is also what labelme and CVAT export. Masks with a palette or in grey stay as they are; those of
colours are read by the colours of `labelmap.txt` (CVAT) or of VOC. Class names are those of
`labelmap.txt`, `class_names.txt` (labelme) or VOC. The white border of objects, 255, is ignored.
"""

import functools
import itertools
import pathlib
from collections.abc import Mapping

import numpy as np

from hierseg_jax.data.prepare.classes import BACKGROUND
from hierseg_jax.data.prepare.colours import LABELMAP, Colour, draw_colours, read_colour_table
from hierseg_jax.data.prepare.folders import SPLIT_NAMES, files_by_stem, images_by_stem
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.label_maps import named, table_tree, values_of_colours
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes
from hierseg_jax.data.read import png
from hierseg_jax.data.read.folder import IMAGE_SUFFIXES
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.layout import LOSSY, LOSSY_SUFFIXES
from hierseg_jax.data.read.value_names import Named, is_colour
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

# Of labelme's own export.
_NAMES_FILE = "class_names.txt"
MASK_SUFFIXES = (".png", ".npy")
IMAGES, LISTS = "JPEGImages", pathlib.PurePath("ImageSets", "Segmentation")
MASKS = (
    "SegmentationClass",
    "SegmentationClassPNG",
    "SegmentationClassRaw",
    "SegmentationClassNpy",
)
# The groups of the challenge's own description, and its classes in their order.
GROUPS = {
    "person": ["person"],
    "animal": ["bird", "cat", "cow", "dog", "horse", "sheep"],
    "vehicle": ["aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"],
    "indoor": ["bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"],
}
# Types of PNG that hold no colours; what is no PNG is refused elsewhere.
_VALUES = (png.GRAY, png.PALETTE, None)
NAMES = (BACKGROUND, *sorted(name for members in GROUPS.values() for name in members))


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether pictures and masks are there, or one or two folders below as in VOC's archive."""
    return bool(_roots(raw_dir))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of the lists train and val, or of all masks.

    Raises:
      FileNotFoundError: no such folders.
      ValueError: a sentence that names the file.
    """
    roots = _roots(raw_dir)
    if len(roots) != 1:
        found = f"found {', '.join(map(str, roots))}" if roots else "found none"
        raise HiersegFileNotFoundError(
            f"{raw_dir} should hold one folder with {IMAGES} and {MASKS[0]}; {found}. Give that "
            "one by --raw_dir."
        )
    (root,) = roots
    images = images_by_stem(root / IMAGES)
    masks = _masks(root)
    if not masks:
        kinds = " or ".join(MASK_SUFFIXES)
        lossy = any(files_by_stem(root / name, LOSSY_SUFFIXES) for name in MASKS)
        raise HiersegError(
            f"{root} has no masks, {kinds}, in {' or '.join(MASKS[:2])}."
            + (f" There are JPEG or WebP files. {LOSSY}" if lossy else "")
        )
    splits, faults = _splits(root, masks)
    table = root / LABELMAP
    colours = read_colour_table(table) if table.is_file() else {}
    hierarchy, labels = _classes(root, colours, wishes)
    values: dict[Colour, int] = {}
    named_by_colour = bool(labels) and is_colour(labels[0][0])
    if colours:
        wishes.refuse_labels(str(root / LABELMAP))
        values, labels = values_of_colours(colours, hierarchy, str(root / LABELMAP))
    pictures = []
    for name, (split, listed_in) in splits.items():
        image = images.get(name, root / IMAGES / f"{name}{IMAGE_SUFFIXES[0]}")
        mask = masks.get(name, root / MASKS[0] / f"{name}.png")
        draw = None
        if mask.suffix.lower() == ".npy":
            draw = functools.partial(_signed, mask)
        elif values or (not named_by_colour and png.colour_type(mask) not in _VALUES):
            draw = functools.partial(draw_colours, mask, values or _voc_colours(), LABELMAP)
        pictures.append(Picture(split, name, image, mask, draw, listed_in=listed_in))
    notes: tuple[str, ...] = ()
    if wishes.hierarchy is None and not colours and not (root / _NAMES_FILE).is_file():
        notes = (
            f"{root} has no {LABELMAP} and no {_NAMES_FILE}; the values of its masks are taken "
            f"for VOC's 20 classes. If they are others, write their names into {_NAMES_FILE}, a "
            "line each from the value 0 on, and give another --out_dir.",
        )
    return RawData(pictures, hierarchy, labels, tuple(faults), notes)


def _roots(raw_dir: pathlib.Path) -> list[pathlib.Path]:
    """Folders with pictures and masks."""
    ways = ("", "VOC*", "VOCdevkit/VOC*")
    found = [root for way in ways for root in ([raw_dir] if not way else sorted(raw_dir.glob(way)))]
    return [
        root
        for root in found
        if (root / IMAGES).is_dir() and any((root / name).is_dir() for name in MASKS)
    ]


def _masks(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Stem -> mask, of the first folder that has some."""
    for suffix, name in itertools.product(MASK_SUFFIXES, MASKS):
        if files := files_by_stem(root / name, (suffix,)):
            return files
    return {}


def _splits(
    root: pathlib.Path, masks: Mapping[str, pathlib.Path]
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Name -> split and the list that names it; faults.

    VOC's list of the test names pictures without masks, which is passed over;
    CVAT's `default.txt` is no split.
    """
    splits: dict[str, tuple[str, str]] = {}
    faults = []
    for file in sorted((root / LISTS).glob("*.txt")):
        split = SPLIT_NAMES.get(file.stem.lower())
        names = [name for _, name in read_ids(file)] if split else []
        if split == "test" and not any(masks.keys() & {n, pathlib.PurePath(n).stem} for n in names):
            continue
        for given in names:
            # Some name the picture with its suffix.
            stem = pathlib.PurePath(given).stem
            name = stem if given not in masks and stem in masks else given
            if name in splits:
                faults.append(
                    f"{file} names {name}, as {splits[name][1]} does; it is in one split."
                )
            splits.setdefault(name, (str(split), file.name))
    return splits or {name: ("", file.parent.name) for name, file in masks.items()}, faults


def _classes(
    root: pathlib.Path, colours: Mapping[Colour, str], wishes: Wishes
) -> tuple[Hierarchy, Named]:
    if wishes.hierarchy is not None:
        return wishes.hierarchy, wishes.labels
    file = root / _NAMES_FILE
    if colours:
        return table_tree(colours.values(), str(root / LABELMAP)), ()
    if not file.is_file():
        return table_tree(NAMES, str(root), GROUPS), ()
    names = [name for _, name in read_ids(file)]
    if not names or len(names) > IGNORE_LABEL:
        raise HiersegError(f"{file} names {len(names)} classes; expected 1 to {IGNORE_LABEL}.")
    hierarchy = table_tree(names, str(file))
    return hierarchy, named(dict(enumerate(names)), hierarchy)


def _signed(file: pathlib.Path, size: Size) -> np.ndarray:
    """labelme's arrays, in which -1 is ignored."""
    mask_hw = read_mask(file)
    if mask_hw.min() < -1 or mask_hw.max() > IGNORE_LABEL:
        raise HiersegError(
            f"{file} holds {mask_hw.min()} to {mask_hw.max()}; expected -1 to {IGNORE_LABEL}."
        )
    return np.where(mask_hw < 0, IGNORE_LABEL, mask_hw).astype(np.uint8)


@functools.cache
def _voc_colours() -> Mapping[Colour, int]:
    """The bits of a value, spread over the channels, highest first."""
    values, colours = np.arange(256), np.zeros(256, int)
    for bit in range(8):
        for channel in range(3):
            bits = (values >> (3 * bit + channel)) & 1
            colours |= bits << (8 * (2 - channel) + 7 - bit)
    return {colour: value for value, colour in enumerate(colours.tolist())}

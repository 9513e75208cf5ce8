"""CamVid, and what lies like it: pictures, masks of colours, and a table of these.

Cambridge's archives have `701_StillsRaw_full/ID.png`, `LabeledApproved_full/ID_L.png` and
`label_colors.txt`; Kaggle's has `SPLIT/ID.png`, `SPLIT_labels/ID_L.png` and `class_dict.csv`.
Other folders do as well, if that of the masks has the name of the pictures' and `_labels`,
`_masks` or `annot` after it. `Void` is ignored. The groups are those of the data set's paper
(Brostow et al., Semantic Object Classes in Video, 2009), where the table has its 31 classes.
"""

import functools
import pathlib
from collections import Counter
from collections.abc import Collection

from hierseg_jax.data.prepare.colours import draw_colours, is_coloured, read_colour_table
from hierseg_jax.data.prepare.folders import (
    files_by_stem,
    folders_in,
    images_by_stem,
    split_of,
)
from hierseg_jax.data.prepare.label_maps import table_tree, values_of_colours
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes
from hierseg_jax.data.read.png import palette_of
from hierseg_jax.system.errors import HiersegFileNotFoundError
from hierseg_jax.system.wording import counted

TABLES = ("label_colors.txt", "class_dict.csv")
GROUPS = {
    "moving_objects": [
        *("Animal", "Pedestrian", "Child", "CartLuggagePram", "Bicyclist", "MotorcycleScooter"),
        *("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    ],
    "road_surface": ["Road", "RoadShoulder", "LaneMkgsDriv", "LaneMkgsNonDriv"],
    "ceiling": ["Sky", "Tunnel", "Archway"],
    "fixed_objects": [
        *("Building", "Wall", "Tree", "VegetationMisc", "Fence", "Sidewalk", "ParkingBlock"),
        *("Column_Pole", "TrafficCone", "Bridge", "SignSymbol", "Misc_Text", "TrafficLight"),
    ],
}


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether there is a table of colours, and pairs as CamVid has them; others are `masks`."""
    if not any((raw_dir / name).is_file() for name in TABLES):
        return False
    masks = [m for near, of in _folders(raw_dir) for m in _masks(of, images_by_stem(near)).values()]
    return bool(masks) and (is_coloured(masks[0]) or bool(palette_of(masks[0])))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all folders that have one of masks.

    Raises:
      FileNotFoundError: no table, or no such folders.
      ValueError: a sentence that names the file.
    """
    table = next((raw_dir / name for name in TABLES if (raw_dir / name).is_file()), None)
    if table is None:
        raise HiersegFileNotFoundError(
            f"{raw_dir} has no table of the colours of masks, {' or '.join(TABLES)}."
        )
    wishes.refuse_labels(str(table))
    colours = read_colour_table(table)
    names = list(colours.values())
    groups = GROUPS if {n for of in GROUPS.values() for n in of} == {*names} - {"Void"} else None
    hierarchy = wishes.hierarchy or table_tree(names, str(table), groups)
    values, labels = values_of_colours(colours, hierarchy, str(table))
    pictures: list[Picture] = []
    notes = []
    for folder, mask_folder in _folders(raw_dir):
        images, split = images_by_stem(folder), split_of(pathlib.PurePath(folder.name))
        masks = _masks(mask_folder, images)
        for name in masks:
            draw = functools.partial(draw_colours, masks[name], values, table.name)
            pictures.append(
                Picture(split, name, images[name], masks[name], draw, listed_in=folder.name)
            )
        if len(masks) < len(images):
            without = len(images) - len(masks)
            notes.append(f"{folder}: {counted(without, 'picture')} without a mask, left out.")
    if not pictures:
        raise HiersegFileNotFoundError(
            f"{raw_dir} has no folder of pictures beside one of their masks, such as train and "
            "train_labels."
        )
    return RawData(pictures, hierarchy, labels, notes=tuple(notes))


def _folders(raw_dir: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Folders of pictures, each with that of its masks."""
    folders = folders_in(raw_dir)
    pairs = []
    for folder in folders:
        for ending in ("_labels", "_masks", "annot"):
            if (masks := folder.with_name(folder.name + ending)).is_dir():
                pairs.append((folder, masks))
    if pairs:
        return pairs
    stills = [folder for folder in folders if "raw" in folder.name.lower()]
    stills += [folder for folder in folders if folder.name.lower() in ("images", "imgs", "image")]
    labelled = [f for f in folders if any(word in f.name.lower() for word in ("label", "mask"))]
    return [(stills[0], labelled[0])] if stills and labelled else []


def _masks(folder: pathlib.Path, images: Collection[str]) -> dict[str, pathlib.Path]:
    """Stem of a picture -> its mask, whose stem may go on, of all masks in the same way."""
    masks = files_by_stem(folder, (".png",))
    endings = Counter(
        name[at:] for name in masks for at in range(1, len(name) + 1) if name[:at] in images
    )
    ending = min(endings, key=lambda end: (-endings[end], len(end), end), default="")
    return {name: masks[name + ending] for name in images if name + ending in masks}

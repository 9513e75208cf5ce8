"""Cityscapes: `leftImg8bit/SPLIT/CITY/ID_leftImg8bit.png`, `gtFine/SPLIT/CITY/ID_gtFine_*.png`.

Masks stay as they are, whether of label ids or of train ids; data.yaml names their values. The
table is that of the data set's scripts, https://github.com/mcordts/cityscapesScripts: 19 classes
are scored, in 7 categories, and the rest is ignored. The test split has no labels.
"""

import pathlib

from hierseg_jax.data.prepare.folders import walk_files
from hierseg_jax.data.prepare.label_maps import named, table_tree
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

IMAGES = "leftImg8bit"
LABELS = ("gtFine", "gtCoarse")
IDS, TRAIN_IDS = "labelIds", "labelTrainIds"

# Category -> classes by the order of train ids, with their label ids.
GROUPS = {
    "flat": {"road": 7, "sidewalk": 8},
    "construction": {"building": 11, "wall": 12, "fence": 13},
    "object": {"pole": 17, "traffic light": 19, "traffic sign": 20},
    "nature": {"vegetation": 21, "terrain": 22},
    "sky": {"sky": 23},
    "human": {"person": 24, "rider": 25},
    "vehicle": {
        **{"car": 26, "truck": 27, "bus": 28},
        **{"train": 31, "motorcycle": 32, "bicycle": 33},
    },
}
NUM_IDS = 34


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether the folder of pictures is there."""
    return (raw_dir / IMAGES).is_dir()


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of training and validation.

    Raises:
      FileNotFoundError: no folder of pictures or labels.
    """
    folder = next((raw_dir / name for name in LABELS if (raw_dir / name).is_dir()), None)
    if not (raw_dir / IMAGES).is_dir() or folder is None:
        raise HiersegFileNotFoundError(
            f"{raw_dir} should hold the folders {IMAGES} of pictures and {LABELS[0]} of labels."
        )
    pictures = []
    kind = TRAIN_IDS if any(walk_files(folder, (f"_{TRAIN_IDS}.png",))) else IDS
    for split in ("train", "val"):
        for image in walk_files(raw_dir / IMAGES / split, (f"_{IMAGES}.png", f"_{IMAGES}.jpg")):
            name = image.stem.removesuffix(f"_{IMAGES}")
            city = image.parent.relative_to(raw_dir / IMAGES)
            mask = folder / city / f"{name}_{folder.name}_{kind}.png"
            pictures.append(Picture(split, name, image, mask, listed_in=f"{IMAGES}/{split}"))
    if not pictures:
        raise HiersegError(f"{raw_dir / IMAGES} has no pictures train/CITY/ID_{IMAGES}.png.")
    if wishes.hierarchy is not None and wishes.labels:
        return RawData(pictures, wishes.hierarchy, wishes.labels)
    wishes.refuse_labels(str(raw_dir))
    ids = {name: number for group in GROUPS.values() for name, number in group.items()}
    hierarchy = wishes.hierarchy or table_tree(ids, str(raw_dir), GROUPS)
    if kind == TRAIN_IDS:
        values = dict(enumerate(ids))
    else:
        names = {number: name for name, number in ids.items()}
        values = {number: names.get(number, "") for number in range(NUM_IDS)}
    return RawData(pictures, hierarchy, named(values, hierarchy))

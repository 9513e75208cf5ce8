"""The original PASCAL-Part release, merged into the parts of PASCAL-Person-Part.

The release (Chen et al., Detect What You Can, CVPR 2014) annotates VOC2010 images in
`Annotations_Part/<id>.mat`: a struct `anno` with `objects`, each of a `class`, a `mask`
and `parts` of a `part_name` and a `mask`. A person has up to 24 parts, which `MERGE` has.

The neck goes to the torso, as in the usual six-part merge (that of the multi-task
PASCAL of ASTMT, for one). Where parts overlap, the later one in the file wins. Pixels
of a person that lie in none of its parts are ignored (255): what they show is unknown.
"""

import io
import pathlib

import numpy as np

from hierseg_jax.data.prepare.mat_elements import check_elements
from hierseg_jax.system.errors import HiersegError, said_with
from hierseg_jax.system.regular_file import read_file
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

ANNOTATIONS = "Annotations_Part"
MAX_UNPACKED = 1 << 28
"""Bytes; 40 persons of all parts in VOC's largest pictures, 500 x 500, take 2.5e8."""

MERGE = {
    "head": ["head", "hair", "leye", "reye", "lear", "rear", "lebrow", "rebrow", "nose", "mouth"],
    "torso": ["torso", "neck"],
    "up_hand": ["luarm", "ruarm"],
    "low_hand": ["llarm", "rlarm", "lhand", "rhand"],
    "up_leg": ["luleg", "ruleg"],
    "low_leg": ["llleg", "rlleg", "lfoot", "rfoot"],
}
"""Class -> part names of the release."""


def merge_table(hierarchy: Hierarchy) -> dict[str, int]:
    """Part name of the release -> class index.

    Raises:
      ValueError: the tree lacks one of the six classes.
    """
    missing = [name for name in MERGE if name not in hierarchy.class_names]
    if missing:
        raise HiersegError(
            f"{ANNOTATIONS} is merged into the classes {', '.join(MERGE)}; the tree lacks "
            f"{', '.join(missing)}: name them in the file given by --hierarchy."
        )
    return {
        part: hierarchy.class_names.index(name) for name, parts in MERGE.items() for part in parts
    }


def read_person_parts(file: pathlib.Path, class_of: dict[str, int]) -> np.ndarray | None:
    """Merged labels of all persons in one annotation.

    Args:
      file: `Annotations_Part/<id>.mat`.
      class_of: from `merge_table`.

    Returns:
      uint8 [H, W], 0 outside of persons and 255 where a person has no part; None where
      no person with parts is annotated.

    Raises:
      ValueError: a sentence starting with `file`, for anything but such an annotation.
      OSError: a file that cannot be opened.
    """
    import scipy.io  # only here: other formats do without, and the small installation has none

    data = read_file(file)
    with said_with(f"{file} is no annotation of PASCAL-Part, or a damaged one: ", "."):
        check_elements(data, MAX_UNPACKED)
    try:
        objects = scipy.io.loadmat(io.BytesIO(data))["anno"]["objects"][0, 0].ravel()
        persons = [
            (np.asarray(one["mask"]) != 0, _parts(one))
            for one in objects
            if _text(one["class"]) == "person"
        ]
    except Exception as error:  # scipy raises whatever it stumbles on in a damaged file
        raise HiersegError(
            f"{file} is no annotation of PASCAL-Part, or a damaged one ("
            f"{type(error).__name__}); expected a struct anno with objects and their parts."
        ) from error
    if not any(parts for _, parts in persons):
        return None
    masks = [mask for mask, _ in persons] + [mask for _, parts in persons for _, mask in parts]
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1 or masks[0].ndim != 2:
        raise HiersegError(f"{file} holds masks of several sizes: {sorted(sizes)}.")
    label_hw = np.zeros(masks[0].shape, np.uint8)
    for mask, _ in persons:
        label_hw[mask] = IGNORE_LABEL
    for _, parts in persons:
        for name, mask in parts:
            if name not in class_of:
                raise HiersegError(
                    f"{file} has a person's part {name[:50]!r}, which PASCAL-Part does not know; "
                    f"its parts are {', '.join(class_of)}."
                )
            label_hw[mask] = class_of[name]
    return label_hw


def _parts(person: np.void) -> list[tuple[str, np.ndarray]]:
    # Without parts, MATLAB stores an empty matrix of numbers instead of structs.
    return [
        (_text(part["part_name"]), np.asarray(part["mask"]) != 0)
        for part in person["parts"].ravel()
    ]


def _text(value: np.ndarray) -> str:
    return str(np.asarray(value).reshape(()).item())

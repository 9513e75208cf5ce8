"""The formats of raw data sets by name, and which of them a folder holds."""

import collections
import pathlib
import shlex
from collections.abc import Callable
from typing import NamedTuple

from hierseg_jax.data.prepare import (
    camvid,
    cityscapes,
    class_masks,
    coco,
    cvat,
    id_lists,
    labelme,
    masks,
    object_masks,
    supervisely,
    via,
    voc,
    yolo,
)
from hierseg_jax.data.prepare.folders import folders_in, walk_files
from hierseg_jax.data.prepare.other_tools import about_tools
from hierseg_jax.data.prepare.picture import RawData, Wishes
from hierseg_jax.data.read.layout import UNREAD_SUFFIXES, about_unread
from hierseg_jax.data.read.safe_yaml import read_yaml
from hierseg_jax.data.read.spec import KEYS, SPLITS, load_spec
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import listed


class Format(NamedTuple):
    """One way in which raw data sets lie in folders.

    Attributes:
      found_in: whether a folder looks like it; cheap.
      read: lists its pictures. Raises a `HiersegError` for what is no such folder.
      marks: what tells it, in words.
    """

    found_in: Callable[[pathlib.Path], bool]
    read: Callable[[pathlib.Path, Wishes], RawData]
    marks: str


FORMATS = {
    "coco": Format(coco.found_in, coco.read, "JSON files with `images` and `annotations`"),
    "labelme": Format(labelme.found_in, labelme.read, "a JSON file with `shapes` for a picture"),
    "via": Format(via.found_in, via.read, "JSON or CSV files with `shape_attributes`"),
    "cvat": Format(cvat.found_in, cvat.read, "an XML file with `image` in `annotations`"),
    "supervisely": Format(
        supervisely.found_in, supervisely.read, "JSON files with `objects` in `ann`, beside `img`"
    ),
    "yolo": Format(yolo.found_in, yolo.read, "a YAML file with `names`, and images beside labels"),
    "voc": Format(voc.found_in, voc.read, "JPEGImages and SegmentationClass"),
    "cityscapes": Format(cityscapes.found_in, cityscapes.read, "leftImg8bit and gtFine"),
    "camvid": Format(camvid.found_in, camvid.read, "label_colors.txt or class_dict.csv"),
    "ids": Format(id_lists.found_in, id_lists.read, "JPEGImages, gt_masks and train_id.txt"),
    "object_masks": Format(
        object_masks.found_in,
        object_masks.read,
        "a picture and masks of its objects in a folder",
    ),
    "class_masks": Format(class_masks.found_in, class_masks.read, "a mask for each class"),
    "masks": Format(masks.found_in, masks.read, "pictures, and masks of their names or numbers"),
}
LAST = ("object_masks", "class_masks", "masks")
"""What a folder may be that looks like no other; others have masks, too."""
_BOXES = {"coco": coco.has_boxes_alone, "yolo": yolo.has_boxes_alone}
"""Whether nothing else is annotated, so that one of LAST is meant where there is one."""
_LOOKED_INTO = 50
MOVABLE = "ids"
"""The format whose pictures may be moved: it lists them without looking for them."""


def find_format(raw_dir: pathlib.Path) -> str:
    """The name of the format of a folder.

    Raises:
      ValueError: none, or several.
    """
    found = _formats_in(raw_dir)
    if len(found) == 1 and found[0] in _BOXES and _BOXES[found[0]](raw_dir):
        found = [name for name in LAST if FORMATS[name].found_in(raw_dir)][:1] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise HiersegError(
            f"{raw_dir} may be read as {' or as '.join(found)}; choose by --from={found[0]}, say."
        )
    for folder in folders_in(raw_dir)[:_LOOKED_INTO]:
        if below := _formats_in(folder):
            raise HiersegError(
                f"{raw_dir} holds no data set itself, but {folder.name} in it looks like "
                f"{' or '.join(below)}; give --raw_dir={folder}."
            )
    for file in sorted((*raw_dir.glob("*.yaml"), *raw_dir.glob("*.yml"))):
        try:
            load_spec(file)
        except HiersegError as error:
            if not _may_be_spec(file):
                continue
            raise HiersegError(
                f"{error} It is this file that would make {raw_dir} a data set already: mend it, "
                "or take it out of there, or say --from."
            ) from error
        raise HiersegError(
            f"{raw_dir} is a data set already, by the file {file.name} in it: train with "
            f"{shlex.quote(f'--data={file}')}. Or take it out of there, or say --from."
        )
    for name in LAST:
        if FORMATS[name].found_in(raw_dir):
            return name
    unread = about_unread(
        str(file.relative_to(raw_dir)) for file in walk_files(raw_dir, UNREAD_SUFFIXES)
    )
    nothing = (
        f"{raw_dir} holds no data set that is known here. Files in it: {_files(raw_dir)}. A "
        "data set is told by what lies in its folder; give that folder, or say --from:"
    )
    reasons = (about_tools(raw_dir), masks.about_lossy(raw_dir), unread, nothing)
    known = "".join(f"\n- {name}: {of.marks}" for name, of in FORMATS.items())
    raise HiersegError(
        f"{' '.join(told.strip() for told in reasons if told)}{known}\n"
        "Annotations of other tools (XML, CSV, other JSON) have to become COCO's, which most tools "
        "export. Pictures and masks may also stay as they are: a data.yaml names any folders and "
        "patterns (docs/data.md)."
    )


def _files(raw_dir: pathlib.Path) -> str:
    """As `12 .jpg, 2 .txt`: how many have which ending, the most frequent first."""
    endings = collections.Counter(file.suffix.lower() for file in walk_files(raw_dir, ("",)))
    shown = [f"{number:,} {ending or 'without ending'}" for ending, number in endings.most_common()]
    return listed(shown, 4) or "none"


def _may_be_spec(file: pathlib.Path) -> bool:
    """Whether a YAML file that can't be read as a data.yaml is meant as one."""
    if file.stem in ("data", "dataset"):
        return True
    try:
        content = read_yaml(file)
    except HiersegError:
        return False
    # What names splits alone may be a list of them, of whoever measures by them.
    return isinstance(content, dict) and not content.keys().isdisjoint({*KEYS} - {*SPLITS})


def _formats_in(raw_dir: pathlib.Path) -> list[str]:
    """Names of the formats that a folder looks like, but for LAST."""
    return [name for name, of in FORMATS.items() if name not in LAST and _is_in(raw_dir, of)]


def _is_in(raw_dir: pathlib.Path, of: Format) -> bool:
    try:
        return of.found_in(raw_dir)
    except HiersegError:  # a file that can't be read is no mark of anything
        return False

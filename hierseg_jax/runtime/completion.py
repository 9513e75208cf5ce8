"""What masks leave open, filled in: below every labelled group the class that a network prefers."""

import dataclasses
import pathlib

import cv2
import numpy as np

from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.read.dataset_spec import DatasetSpec
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.layout import Layout
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.data.resize import Placement
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.atomic_writing import link, make_folder, write_atomically
from hierseg_jax.system.bars import bar
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError
from hierseg_jax.system.paths import local_path
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.meeting import check_meeting, has_inner, meeting_pairs


def complete(
    labels_hw: np.ndarray,
    planes_chw: np.ndarray,
    placement: Placement,
    hierarchy: Hierarchy,
    image_hwc: np.ndarray,
) -> np.ndarray:
    """Labels with every group replaced by the class below it that has the greatest score.

    Borders between these classes follow the picture's edges.

    Args:
      labels_hw: uint8 [H, W], labels of the hierarchy; 255 stays.
      planes_chw: uint16 [C, h, w], of `NetworkOutput.planes`.
      placement: of the picture in the network's input.
      hierarchy: with `inner_labels`.
      image_hwc: uint8 [H, W, 3], the picture.

    Returns:
      uint8 [H, W]; a group stays where the network saw nothing of the picture.
    """
    completed_hw = labels_hw.copy()
    leaves_lc = hierarchy.labels.leaves_lc
    for label in np.flatnonzero(np.bincount(labels_hw.ravel(), minlength=256)[: len(leaves_lc)]):
        below = np.flatnonzero(leaves_lc[label])
        if len(below) == 1:
            continue
        among = Hierarchy.from_mapping(list(range(len(below))), list(map(str, below)))
        best_hw = guided_labels(planes_chw[below], placement, among, image_hwc)
        here_hw = (labels_hw == label) & (best_hw < len(below))
        completed_hw[here_hw] = below[best_hw[here_hw]].astype(np.uint8)
    return completed_hw


@dataclasses.dataclass(frozen=True)
class Completion:
    """What was written.

    Attributes:
      spec: the new data set, of one split.
      filled: pixels that were filled in.
      left: pixels that are still of groups: a network that crops has not seen them.
      pixels: in all.
    """

    spec: DatasetSpec
    filled: int
    left: int
    pixels: int


def complete_data_set(
    segmenter: Segmenter, data: str, output: pathlib.Path, split: str
) -> Completion:
    """Writes a split again, with links to its images and completed masks.

    Args:
      segmenter: its classes and those of the data meet by name.
      data: the path of a data.yaml.
      output: a folder that does not exist yet, or one that an earlier call was cut off in.
      split: of the data.

    Raises:
      ValueError, OSError: one sentence.
    """
    given = load_spec(data)
    local_path(given.root)  # there is no link to what is elsewhere
    segmenter.require_scores("hierseg complete")
    tree = segmenter.hierarchy
    check_meeting(given.hierarchy, given.names, tree, data, "the network", whole=True)
    tree = dataclasses.replace(
        tree,
        pairs=meeting_pairs([(data, given.hierarchy)], tree),
        inner_labels=has_inner(given.names, tree),
    )
    if not tree.inner_labels:
        raise HiersegError(
            f"{data}: none of its labels is a group of the network's classes, so that there is "
            "nothing to fill in."
        )
    source = FolderSource(given.layout(split), tree.num_classes, given.in_tree(tree).values)
    new = output / "data.yaml"
    if new.exists():
        raise HiersegFileExistsError(f"{new} exists; choose another --output.")
    filled, pixels, left = 0, 0, 0
    folders = [output / split / "images", output / split / "masks"]
    for index, name in enumerate(bar(source.names, "completing", len(source.names), "mask")):
        example, image_file = source[index], source.image_file(index)
        placement, network_input = segmenter.prepare(example["image"])
        planes_chw = segmenter.infer(network_input).planes
        label_hw = complete(example["label"], planes_chw, placement, tree, example["image"])
        filled += int((label_hw != example["label"]).sum())
        pixels += label_hw.size
        labelled = label_hw[label_hw != IGNORE_LABEL]
        left += int(tree.labels.are_inner_l[labelled].sum())
        image, mask = (folder / name for folder in folders)
        for file in (image, mask):
            make_folder(file.parent)
        link(image_file, image.with_name(image.name + image_file.suffix))
        png = cv2.imencode(".png", label_hw)[1].tobytes()
        write_atomically(mask.with_name(mask.name + ".png"), png)
    spec = DatasetSpec(
        new,
        output,
        ((split, _layout(output, split, source.names)),),
        dataclasses.replace(tree, inner_labels=left > 0),
        tuple(enumerate(tree.labels.names)) if left else (),
        says_background=True,
    )
    write_spec(spec)
    return Completion(spec, filled, left, pixels)


def _layout(output: pathlib.Path, split: str, names: tuple[str, ...]) -> Layout | pathlib.Path:
    """Images and masks beside each other, or in folders below."""
    if not any("/" in name for name in names):
        return output / split / "images"
    return Layout(output, f"{split}/images/**/*", f"{split}/masks/**/*")

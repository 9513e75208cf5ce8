"""What comes of a picture: what the network gives, and the labels that follow from it."""

import dataclasses
from collections.abc import Collection, Sequence

import cv2
import numpy as np

from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.picture_labels import Workspace, log_planes, picture_labels, scores_of
from hierseg_jax.data.resize import Placement
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.level import Level

ALL = "all"
"""Levels side by side, in place of one level's name."""


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkOutput:
    """What a network gives for one input of h x w.

    Attributes:
      confidence: float32 [h, w], score of the leaf class; [0, 0] where it was not asked for.
      scores: of the leaf classes, as the graph gives them: uint16 of `log_planes`, or float32 in
        [0, 1]: [C, h / s, w / s], s being the metadata's `score_stride`. None for a plain file.
      maps: of a plain file alone: uint8 [h, w] a level, coarse to fine.
    """

    confidence: np.ndarray
    scores: np.ndarray | None
    maps: Sequence[np.ndarray] = ()

    @property
    def planes(self) -> np.ndarray:
        """The scores as uint16 of `log_planes`; TypeError for a plain file, which has none."""
        if self.scores is None:
            raise TypeError("A file of the plain contract deploy gives no scores.")
        return self.scores if self.scores.dtype == np.uint16 else log_planes(self.scores)

    @property
    def probabilities(self) -> np.ndarray | None:
        """The scores as float32 in [0, 1], None for a plain file; computed on every access."""
        given = self.scores
        return scores_of(given) if given is not None and given.dtype == np.uint16 else given


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """A picture that the network has seen.

    Attributes:
      given: the network's input, as `Segmenter.prepare` makes it: uint8 RGB [1, h, w, 3], or
        float32 [1, 3, h, w] in [0, 1].
      output: what the network gave.
      planes: uint16 [C, h / s, w / s], scores that labels follow from: `NetworkOutput.planes`, or
        averaged over a video's frames. None for a plain file.
      placement: which part of the picture the network saw, and where in its input.
      seconds: spent so far on `preprocess`, `inference` and `postprocess`.
    """

    given: np.ndarray
    output: NetworkOutput
    planes: np.ndarray | None
    placement: Placement
    seconds: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
    """Of one picture.

    Attributes:
      levels: label map uint8 [H, W] by level name, coarse to fine, at the picture's size; all
        levels, or those that were asked for. Pixels that a network with the resize rule `crop`
        never saw are 255 (IGNORE_LABEL).
      output: what the network gave.
      placement: which part of the picture the network saw, and where in its input.
      seconds: spent on `preprocess`, `inference` and `postprocess`.
      planes: scores that the levels follow from, as `NetworkOutput.planes`: the output's, or
        averaged over a video's frames. None where there are none, or several windows' scores.
    """

    levels: dict[str, np.ndarray]
    output: NetworkOutput
    placement: Placement
    seconds: dict[str, float]
    planes: np.ndarray | None = None

    @property
    def confidence(self) -> np.ndarray:
        """float32 [h, w], score of the leaf class, at `placement.size`, the network's input.

        The bars of a letterbox are included; `placement.restore_scores(confidence)` is at the
        picture's size.
        """
        return self.output.confidence

    @property
    def probabilities(self) -> np.ndarray | None:
        """float32, scores in [0, 1] of the leaf classes; computed on every access.

        [C, h / s, w / s], s being the metadata's `score_stride`: in `deploy` files of an
        EfficientUNet 2, or 4 with `bilinear` or `nearest` upsampling, and 4 in its `reference`
        files with `nearest`; else 1.
        Softmax probabilities or, decoded by `path`, means over paths; of the contract `deploy` to
        within a part in 4000. None where the file gives no scores (`deploy`, plain). Each plane
        comes to the picture's size as `confidence` does.
        """
        return self.output.probabilities


def maps_by_level(
    planes_chw: np.ndarray,
    placement: Placement,
    hierarchy: Hierarchy,
    decoding: str,
    workspace: Workspace,
    names: Collection[str] | None = None,
    image_hwc: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """`Segmentation.levels`, of those names; the other arguments are those of `picture_labels`.

    With the picture they are those of `guided_labels`.
    """
    if image_hwc is None:
        leaf_hw = picture_labels(planes_chw, placement, hierarchy, decoding, workspace)
    else:
        leaf_hw = guided_labels(planes_chw, placement, hierarchy, image_hwc, decoding)
    # At the finest level classes are the leaves themselves.
    finest = hierarchy.levels[-1]
    return {
        level.name: leaf_hw if level is finest else level_labels(leaf_hw, level)
        for level in hierarchy.levels
        if names is None or level.name in names
    }


def wanted_levels(hierarchy: Hierarchy, names: Collection[str] | None) -> tuple[str, ...]:
    """The levels that are wanted; all where none is named.

    Raises:
      ValueError: a sentence, where one is none of the network's.
    """
    known = tuple(level.name for level in hierarchy.levels)
    if names is None:
        return known
    if isinstance(names, str):
        raise HiersegError(f"Levels are a list of names, such as [{names!r}]; got {names!r}.")
    given = tuple(names)
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise HiersegError(f"There is no level {unknown!r}; the network has {', '.join(known)}.")
    return given


def chosen_levels(hierarchy: Hierarchy, level: str | None) -> list[int]:
    """Numbers of the levels that a name stands for: `all`, or the finest where there is none.

    Raises:
      ValueError: for another name, with those there are.
    """
    names = [each.name for each in hierarchy.levels]
    if level == ALL:
        return list(range(len(names)))
    if level is None or level == "":
        return [len(names) - 1]
    if level not in names:
        raise HiersegError(
            f"There is no level {level!r}; the network has {', '.join(names)}, or all."
        )
    return [names.index(level)]


def level_labels(leaf_hw: np.ndarray, level: Level) -> np.ndarray:
    """Leaf classes, uint8, as those of a level; IGNORE_LABEL stays."""
    table = np.zeros(256, np.uint8)
    table[: len(level.leaf_to_class)] = level.leaf_to_class
    table[IGNORE_LABEL] = IGNORE_LABEL
    return cv2.LUT(leaf_hw, table)

"""Evaluation of pictures on their own pixels, in windows; see `hierseg_jax/data/tiles.py`.

Windows of one picture and the next share batches, so that none but the last is filled up.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.read.skip import no_example
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Box, Placement
from hierseg_jax.data.tiles import Tiles, fits_window, lay_tiles, part_labels, scores_at
from hierseg_jax.evaluation.eval_step import scale_image
from hierseg_jax.evaluation.extremes import Extremes
from hierseg_jax.evaluation.predictions import inconsistent_pixels, leaf_scores
from hierseg_jax.evaluation.shown_pictures import ShownPicture
from hierseg_jax.evaluation.tally import Measures, Tally
from hierseg_jax.models import Forward
from hierseg_jax.system.bars import bar
from hierseg_jax.system.devices.hosts import count_hosts, host_number, is_main
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

WindowStep = Callable[..., dict[str, Any]]
Part = tuple[Box, np.ndarray, np.ndarray]


def make_window_step(forward: Forward, hierarchy: Hierarchy, decoding: str) -> WindowStep:
    """(variables, {"image": uint8 [B, h, w, 3], ...}) -> what a picture's windows say.

    Returns:
      A function whose result is {"loss": None, for a loss is defined on no part of a picture,
      "scores": float32 [B, C + 1, h, w], leaf scores as of `leaf_scores`, and last of all 1
      where the levels contradict one another before decoding, else 0}. They may lie a stride
      apart, as the logits do.
    """

    def window_step(variables: dict[str, Any], batch: dict[str, jax.Array]) -> dict[str, Any]:
        logits_bhwk = forward(variables, scale_image(batch["image"]))
        scores_bhwc = leaf_scores(logits_bhwk, hierarchy, decoding)
        inconsistent_bhw = inconsistent_pixels(logits_bhwk, hierarchy, decoding)
        planes = [scores_bhwc, inconsistent_bhw[..., None].astype(scores_bhwc.dtype)]
        return {"loss": None, "scores": jnp.concatenate(planes, 3).transpose(0, 3, 1, 2)}

    return window_step


@dataclasses.dataclass(frozen=True, eq=False)
class _Picture:
    """What is left of a picture once its windows have been cut.

    Attributes:
      label: uint8 [H, W].
      valid: False of what only fills up the processes' shares.
      tiles: its windows; None where it is seen as a whole.
      placement: in the network's input, by the data's own rule.
    """

    label: np.ndarray
    valid: bool
    tiles: Tiles | None
    placement: Placement

    def parts(
        self, scores: Iterator[np.ndarray], hierarchy: Hierarchy, decoding: str
    ) -> Iterator[Part]:
        """Parts of the picture, each with its leaf classes and shares of inconsistent windows.

        Args:
          scores: from `make_window_step`, of which as many are taken as the picture has windows.
          hierarchy, decoding: by which classes follow.
        """
        if self.tiles is None:
            planes = next(scores)
            leaf_hw = picture_labels(log_planes(planes[:-1]), self.placement, hierarchy, decoding)
            yield Box(0, 0, *leaf_hw.shape), leaf_hw, self.placement.restore_scores(planes[-1])
            return
        own = (_at(planes, self.tiles.window) for planes in scores)
        for box, planes in self.tiles.blend(own):
            yield box, part_labels(planes[:-1], hierarchy, decoding), planes[-1]


@dataclasses.dataclass(frozen=True, eq=False)
class TiledEvaluation:
    """An evaluation in windows of this process's share of a split.

    Attributes:
      step: from `make_window_step`, compiled by `parallel`.
      variables: on its devices.
      source: of pictures at their own sizes.
      place: the placement in the network's input of a picture of (height, width).
      hierarchy: of the labels.
      decoding: of `decoding.DECODINGS`.
      batch_size: windows at a time in this process.
      parallel: devices of this process alone: processes have different numbers of windows.
    """

    step: WindowStep
    variables: Any
    source: Source
    place: Callable[[tuple[int, int]], Placement]
    hierarchy: Hierarchy
    decoding: str
    batch_size: int
    parallel: Parallel

    def tally(self, measures: Measures, extremes: Extremes | None = None) -> Tally:
        """Goes through the share.

        Args:
          measures: what is measured beside the confusion matrices.
          extremes: new, to learn of every picture.
        """
        tally = Tally(self.hierarchy, measures, extremes)
        share = -(-len(self.source) // count_hosts())
        indices = range(host_number(), share * count_hosts(), count_hosts())
        examples = (self.source[i] if i < len(self.source) else no_example() for i in indices)
        shown = bar(examples, "evaluating", share, hidden=not is_main())
        for picture, parts in self._pictures(iter(shown)):
            prediction_hw, inconsistent = _assembled(picture, parts)
            tally.add_picture(
                picture.label, prediction_hw, valid=picture.valid, inconsistent=inconsistent
            )
        return tally

    def show(self, index: int) -> ShownPicture:
        """A picture of the split, in the labels that were counted; as `Gallery.show`."""
        example = self.source[index]
        pictures = self._pictures(iter([example]))
        _, parts = next(pictures)
        prediction_hw = np.empty_like(example["label"])
        for box, leaf_hw, _ in parts:
            prediction_hw[box.rows_columns] = leaf_hw
        return ShownPicture.bounded(example, prediction_hw)

    def _pictures(
        self, examples: Iterator[Mapping[str, np.ndarray]]
    ) -> Iterator[tuple["_Picture", Iterator[Part]]]:
        """Pictures with their parts, all of which are to be taken before the next picture is."""
        waiting: collections.deque[_Picture] = collections.deque()
        scores = self._scores(_windows(examples, self.place, waiting))
        for first in scores:
            picture = waiting.popleft()
            own = itertools.chain([first], scores)
            yield picture, picture.parts(own, self.hierarchy, self.decoding)

    def _scores(self, windows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Scores of one window after another; the device is a batch ahead."""
        pending: collections.deque[tuple[int, Any]] = collections.deque()
        while chunk := list(itertools.islice(windows, self.batch_size)):
            arrays = {"image": np.zeros((self.batch_size, *chunk[0].shape), np.uint8)}
            arrays["image"][: len(chunk)] = chunk
            result = self.step(self.variables, self.parallel.put_batch(arrays))
            pending.append((len(chunk), result["scores"]))
            if len(pending) > 1:
                count, scores = pending.popleft()
                yield from jax.device_get(scores)[:count]
        for count, scores in pending:
            yield from jax.device_get(scores)[:count]


def _windows(
    examples: Iterator[Mapping[str, np.ndarray]],
    place: Callable[[tuple[int, int]], Placement],
    waiting: collections.deque[_Picture],
) -> Iterator[np.ndarray]:
    """Network inputs of one picture after another, each of which goes to `waiting` before."""
    for example in examples:
        image_hwc, label_hw = example["image"], example["label"]
        placement = place(label_hw.shape)
        whole = fits_window(label_hw.shape, placement.size)
        tiles = None if whole else lay_tiles(label_hw.shape, placement.size)
        valid = bool(example.get("valid", True))
        waiting.append(_Picture(label_hw, valid, tiles, placement))
        if tiles is None:
            yield placement.fit_image(image_hwc)
        else:
            yield from tiles.cut(image_hwc)


def _assembled(picture: _Picture, parts: Iterator[Part]) -> tuple[np.ndarray, int]:
    """Its leaf classes [H, W], and how many counted pixels had levels that disagreed."""
    prediction_hw, inconsistent = np.empty_like(picture.label), 0.0
    for box, leaf_hw, inconsistent_hw in parts:
        label_hw = picture.label[box.rows_columns]
        prediction_hw[box.rows_columns] = leaf_hw
        counted_hw = (label_hw != IGNORE_LABEL) & (leaf_hw != IGNORE_LABEL)
        inconsistent += float(inconsistent_hw[counted_hw].sum(dtype=np.float64))
    return prediction_hw, round(inconsistent)


def _at(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scores and the shares of inconsistent pixels at a window's size."""
    if planes.shape[1:] == size:
        return planes
    share_hw = cv2.resize(planes[-1], size[::-1])
    return np.concatenate([scores_at(planes[:-1], size), share_hw[None]])

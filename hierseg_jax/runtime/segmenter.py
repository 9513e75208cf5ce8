"""From a picture to a label map at every level."""

import copy
import time
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.data.picture_labels import Workspace
from hierseg_jax.data.resize import Placement, Resize
from hierseg_jax.runtime.file_choices import choose_hierarchy, choose_size
from hierseg_jax.runtime.metadata import CONFIDENCE
from hierseg_jax.runtime.onnx_part import part_for
from hierseg_jax.runtime.opening import open_network
from hierseg_jax.runtime.pictures import check_picture
from hierseg_jax.runtime.score_checks import check_best, checked
from hierseg_jax.runtime.segmentation import (
    NetworkOutput,
    Scored,
    Segmentation,
    maps_by_level,
    wanted_levels,
)
from hierseg_jax.runtime.session import existing_file, start_session
from hierseg_jax.runtime.smoothing import Smoother
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import one_line
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import Hierarchy

_NOTHING = np.empty((0, 0), np.float32)


class Segmenter:
    """An exported network, ready to run; threads may share it.

    A call is `score` and `label`, one after the other, and these are `prepare`, `infer` and
    `finish`. What works on several frames or windows calls them itself.

    Attributes:
      hierarchy: of the classes.
      metadata: of the file; None for a file that has none, such as the reference's.
      contract: `reference` or `deploy`.
      plain: whether that is `deploy` without scores: label maps are enlarged as they are then.
      score_stride: pixels of the input along each side that one score stands for.
      image_size: (height, width) that pictures are brought to, or at most: see `open`.
      open: whether the graph leaves both sides open. Of a letterbox's bars less than a stride is
        left then.
      resize: how; as the reference does it for a file without metadata.
      decoding: how classes follow from scores.
      provider: what it runs on, `cpu` or `cuda`.
      threads: that it was told to use; None is one per core.
      note: a sentence where that is the CPU and might have been CUDA, else "".
    """

    def __init__(
        self,
        onnx_file: str | Path,
        *,
        hierarchy: Hierarchy | None = None,
        provider: str = "auto",
        threads: int | None = None,
        image_size: int | tuple[int, int] | None = None,
        confidence: bool = True,
    ) -> None:
        """Opens the file.

        Args:
          onnx_file: of hierseg export, or of the PyTorch reference's export.
          hierarchy: of the classes, for a file without metadata; by default one level
            with generated names.
          provider: `cpu`, `cuda`, or `auto`, which is CUDA where onnxruntime can start it.
          threads: of one operator; by default one per core.
          image_size: side, or (height, width), where the graph leaves them open.
          confidence: whether it is wanted; of the contract `deploy` it takes time.

        Raises:
          FileNotFoundError, ValueError: one sentence.
        """
        self._file, self.threads = onnx_file, threads
        opened = open_network(onnx_file, provider, threads, confidence)
        self._session, self._wanted = opened.session, opened.wanted
        self.provider, self.note = opened.provider, opened.note
        self.metadata, self.contract = opened.metadata, opened.contract
        self._input = self._session.get_inputs()[0]
        channels = self._session.get_outputs()[0].shape[1]
        self.hierarchy = choose_hierarchy(opened, channels, hierarchy, onnx_file)
        sides = self._input.shape[1:3] if self.contract == "deploy" else self._input.shape[2:]
        self.open = not any(isinstance(side, int) for side in sides)
        self.image_size = choose_size(sides, image_size, self.metadata, onnx_file)
        told = self.metadata
        self.decoding = told.decoding if told else "leaf"
        self.resize = Resize("stretch", "reference")
        if told:
            self.resize = Resize(told.resize, told.sampling, bright=told.bright)
        self.score_stride = told.score_stride if told else 1
        self.plain = self.contract == "deploy" and opened.outputs[-1] == CONFIDENCE
        self._workspace = Workspace()

    def __call__(
        self,
        image_hwc: np.ndarray,
        *,
        bgr: bool = False,
        smooth: Smoother | None = None,
        levels: Collection[str] | None = None,
        refine: bool = False,
    ) -> Segmentation:
        """Segments a picture.

        Args:
          image_hwc: uint8 [H, W, 3], of any size.
          bgr: whether its channels are blue, green, red, as OpenCV has them.
          smooth: of a video's frames, whose levels then follow from scores averaged over them;
            nothing comes of it where the graph gives none.
          levels: names of those that are wanted; all by default.
          refine: whether borders between classes follow the picture's edges, which takes time;
            nothing comes of it where the graph gives no scores.

        Raises:
          ValueError: for an array of another shape or dtype.
        """
        scored = self.score(image_hwc, bgr=bgr)
        if smooth:
            scored = smooth(scored)
        return self.label(scored, image_hwc, levels=levels, refine=refine)

    def score(self, image_hwc: np.ndarray, *, bgr: bool = False) -> Scored:
        """The first part of a call: what the network says of a picture, uint8 [H, W, 3].

        Raises:
          ValueError: for an array of another shape or dtype.
        """
        started = time.perf_counter()
        placement, given = self.prepare(image_hwc, bgr=bgr)
        prepared = time.perf_counter()
        output = self.infer(given)
        inferred = time.perf_counter()
        planes_chw = None if self.plain else output.planes
        seconds = {
            "preprocess": prepared - started,
            "inference": inferred - prepared,
            "postprocess": time.perf_counter() - inferred,
        }
        return Scored(given, output, planes_chw, placement, seconds)

    def label(
        self,
        scored: Scored,
        image_hwc: np.ndarray,
        *,
        levels: Collection[str] | None = None,
        refine: bool = False,
    ) -> Segmentation:
        """The second part: labels of a picture that was scored. The arguments are a call's.

        Raises:
          ValueError: for a level that there is not.
        """
        levels = wanted_levels(self.hierarchy, levels)
        started = time.perf_counter()
        output, placement = scored.output, scored.placement
        if scored.planes is None:
            maps = {
                level.name: placement.restore_labels(map_hw)
                for level, map_hw in zip(self.hierarchy.levels, output.maps, strict=True)
                if level.name in levels
            }
        else:
            image = image_hwc if refine else None
            maps = self.finish(scored.planes, placement, levels, image)
        took = scored.seconds["postprocess"] + time.perf_counter() - started
        seconds = scored.seconds | {"postprocess": took}
        return Segmentation(maps, output, placement, seconds, scored.planes)

    def with_threads(self, threads: int) -> "Segmenter":
        """The same network on the CPU in a session of its own, so many threads an operator."""
        other = copy.copy(self)
        other.threads = threads
        file = existing_file(self._file)
        part = part_for(file.read_bytes(), self._wanted) if self._wanted else None
        other._session, other.provider, other.note = start_session(file, part, "cpu", threads)
        other._workspace = Workspace()
        return other

    def require_scores(self, what: str) -> None:
        """Raises ValueError, for `what` needs scores, where the file gives label maps alone."""
        if self.plain:
            raise HiersegError(
                f"{what} needs the network's scores, and its file gives label maps alone; export "
                "it again without --plain, or with --contract=reference."
            )

    def prepare(
        self, image_hwc: np.ndarray, *, bgr: bool = False, table: np.ndarray | None = None
    ) -> tuple[Placement, np.ndarray]:
        """Where a picture comes to lie in the network's input, and that input.

        Args:
          image_hwc: uint8 [H, W, 3], of any size.
          bgr: whether its channels are blue, green, red, as OpenCV has them.
          table: `Placement.brightening` of the picture that this is a part of, if it is one.

        Raises:
          ValueError: for an array of another shape or dtype.
        """
        check_picture(image_hwc)
        placement = self.resize.place(image_hwc.shape[:2], self.image_size)
        if self.open and self.metadata is not None:
            placement = placement.trimmed(self.metadata.stride)
        small_hwc = placement.fit_image(image_hwc, table=table)
        if self.contract == "deploy":
            return placement, (cv2.cvtColor(small_hwc, cv2.COLOR_BGR2RGB) if bgr else small_hwc)[
                None
            ]
        return placement, cv2.dnn.blobFromImage(small_hwc, 1 / 255, swapRB=bgr)

    def infer(self, given: np.ndarray) -> NetworkOutput:
        """Runs the network on the input that `prepare` gives.

        Raises:
          ValueError: where onnxruntime can't, or gives arrays that are none of the contract's.
        """
        try:
            outputs = self._session.run(self._wanted or None, {self._input.name: given})
        except Exception as error:  # onnxruntime's own kinds, none of them documented
            raise HiersegError(
                f"The network can't take {'x'.join(map(str, given.shape))}: {one_line(error, 200)}"
            ) from error
        height, width = given.shape[1:3] if self.contract == "deploy" else given.shape[2:]
        self._check_outputs(outputs, (height, width))
        if self.plain:
            *maps, confidence_hw = (output[0] for output in outputs)
            for map_hw, level in zip(maps, self.hierarchy.levels, strict=True):
                if (highest := map_hw.max()) >= level.num_classes:
                    raise HiersegError(
                        f"The network's map {level.name} has the class {highest} of "
                        f"{level.num_classes}; export it again."
                    )
            return NetworkOutput(checked(confidence_hw), None, maps)
        if self.contract == "deploy":
            *confidence_1hw, planes_chw = (output[0] for output in outputs)
            if confidence_1hw:
                return NetworkOutput(checked(confidence_1hw[0]), planes_chw)
            check_best(planes_chw)
            return NetworkOutput(_NOTHING, planes_chw)
        scores_chw = outputs[0][0]
        apart = slice(None, None, self.score_stride)
        return NetworkOutput(checked(self._confidence(scores_chw)), scores_chw[:, apart, apart])

    def finish(
        self,
        planes_chw: np.ndarray,
        placement: Placement,
        levels: Collection[str] | None = None,
        image_hwc: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Label maps at the picture's size, as `Segmentation.levels` has them.

        Args:
          planes_chw: `NetworkOutput.planes`, or others of that shape and dtype.
          placement: of the picture.
          levels: names of those that are wanted; all by default.
          image_hwc: the picture, uint8 [H, W, 3], whose edges borders are to follow.
        """
        if image_hwc is not None:
            # Edges in the dark are a few steps high, which would pass for noise.
            image_hwc = placement.brightened(image_hwc)
        return maps_by_level(
            planes_chw, placement, self.hierarchy, self.decoding, self._workspace, levels, image_hwc
        )

    def _check_outputs(self, outputs: list[np.ndarray], size: tuple[int, int]) -> None:
        """What a graph declares, onnxruntime does not hold it to. `size` is the input's."""
        height, width = size
        full: tuple[int, ...] = (1, height, width)
        if self.plain:
            expected = [full] * (self.hierarchy.num_levels + 1)
        elif self.contract == "deploy":
            apart = height // self.score_stride, width // self.score_stride
            expected = [full] * (len(self._wanted) - 1)
            expected += [(1, self.hierarchy.num_classes, *apart)]
        else:
            expected = [(1, self.hierarchy.num_classes, height, width)]
        found = [output.shape for output in outputs]
        if found != expected:
            raise HiersegError(
                f"The network gives arrays of the shapes {', '.join(map(str, found))}; expected "
                f"{', '.join(map(str, expected))}. Export it again."
            )

    def _confidence(self, probabilities_chw: np.ndarray) -> np.ndarray:
        if self.decoding != "top_down":
            return probabilities_chw.max(0)
        leaf_hw = top_down(list(probabilities_chw), self.hierarchy)
        return np.take_along_axis(probabilities_chw, leaf_hw[None], 0)[0]

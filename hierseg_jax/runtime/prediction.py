"""A network that is given pictures, and what it says of one: what `hierseg_jax.load` is about."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import cv2
import numpy as np

from hierseg_jax.data.picture_labels import scores_of
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.outputs import write_image
from hierseg_jax.runtime.pictures import Picture, as_picture
from hierseg_jax.runtime.segmentation import Segmentation, chosen_levels
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError
from hierseg_jax.system.paths import local_path
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of a picture of H x W.

    In a notebook it shows itself, as `draw()` does.

    Attributes:
      image: uint8 RGB [H, W, 3], the picture.
      hierarchy: of the classes; `hierarchy.levels` have their names and colours.
      segmentation: what the network gave, at its own size, and how long it took.
    """

    image: np.ndarray
    hierarchy: Hierarchy
    segmentation: Segmentation

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Prediction({height} x {width} pixels; {', '.join(self.labels)})"

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Label map uint8 [H, W] by level name, coarse to fine.

        A label is a class's place in `class_names`. 255 are pixels that the network never saw,
        for it crops pictures.
        """
        return self.segmentation.levels

    @property
    def class_names(self) -> dict[str, tuple[str, ...]]:
        """Of every level, coarse to fine."""
        return names_by_level(self.hierarchy)

    @property
    def confidence(self) -> np.ndarray:
        """float32 [H, W] in [0, 1]: how sure the network is, by its greatest score there.

        It is that of the network's own size, enlarged; where borders are, `scores` of the label
        may be others. 0 where the network saw nothing. Computed on every access.
        """
        return self.segmentation.placement.restore_scores(self.segmentation.confidence)

    @property
    def scores(self) -> np.ndarray:
        """float32 [C, H, W] in [0, 1] of the finest level's classes.

        Their logarithms are enlarged, so that they add up to less than 1 at borders. Labels follow
        from them where they are not refined; else also from the picture's edges. 0 where the
        network saw nothing. Computed on every access.

        Raises:
          ValueError: a sentence, where the file was exported with `--plain`.
        """
        output, placement = self.segmentation.output, self.segmentation.placement
        if output.scores is None:
            raise HiersegError(
                "The network's file was exported with --plain and has no scores; its confidence "
                "is there."
            )
        seen = (scores_of(placement.seen_scores(plane_hw)) for plane_hw in output.planes)
        return np.stack([placement.within_picture(score_hw, 0) for score_hw in seen])

    def draw(self, level: str | None = None) -> np.ndarray:
        """The picture with its classes in paint, and below it a legend of those that are there.

        Args:
          level: its name, or `all` for all of them side by side; by default the finest.

        Returns:
          uint8 RGB [H + the legend's height, W, 3], of several levels as many times as wide.

        Raises:
          ValueError: a sentence, for a level that there is not.
        """
        return cv2.cvtColor(self._drawn_bgr(level), cv2.COLOR_BGR2RGB)

    def save(self, file: str | Path, level: str | None = None, overwrite: bool = False) -> None:
        """Writes what `draw(level)` gives, in the format that the file's name ends in.

        Args:
          file: such as `photo.png`; its folder is made.
          level: as in `draw`.
          overwrite: whether an existing file may be replaced.

        Raises:
          ValueError, OSError: one sentence; nothing is written then.
        """
        path = local_path(file)
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise HiersegError(
                f"{path} is to be a picture; end its name in {', '.join(IMAGE_SUFFIXES)}."
            )
        if path.exists() and not overwrite:
            raise HiersegFileExistsError(
                f"{path} exists; choose another name or give overwrite=True."
            )
        drawn_bgr = self._drawn_bgr(level)
        make_folder(path.parent)
        write_image(path, drawn_bgr)

    def _drawn_bgr(self, level: str | None) -> np.ndarray:
        levels = [self.hierarchy.levels[k] for k in chosen_levels(self.hierarchy, level)]
        image_bgr = cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR)
        return Painter(levels).draw_levels(image_bgr, self.labels, levels)

    def _repr_png_(self) -> bytes:
        return cv2.imencode(".png", self._drawn_bgr(None))[1].tobytes()


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A network that is given pictures; threads may share it.

    Attributes:
      hierarchy: of its classes.
      segment: uint8 RGB [H, W, 3] -> what it says of it: a `Segmenter`, or the network of a run.
    """

    hierarchy: Hierarchy
    segment: Callable[[np.ndarray], Segmentation]

    def __repr__(self) -> str:
        levels = (f"{name}: {len(classes)} classes" for name, classes in self.class_names.items())
        return f"Predictor({', '.join(levels)})"

    @property
    def class_names(self) -> dict[str, tuple[str, ...]]:
        """Of every level, coarse to fine; a label is a class's place among them."""
        return names_by_level(self.hierarchy)

    @overload
    def __call__(self, pictures: Picture) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, pictures: Sequence[Picture]) -> list[Prediction]: ...

    def __call__(self, pictures: Picture | Sequence[Picture]) -> Prediction | list[Prediction]:
        """Segments a picture, or one after another.

        Args:
          pictures: uint8 RGB [H, W, 3] of any size, or the path of a JPEG, PNG, WebP, BMP or TIFF;
            or a list of such. OpenCV's pictures are BGR: give `image[..., ::-1]`. A list keeps
            all its pictures in memory; `map(network, files)` keeps one.

        Returns:
          What there is to say of the picture; of a list a list.

        Raises:
          ValueError, FileNotFoundError: one sentence, for what is no picture.
        """
        if isinstance(pictures, list | tuple):
            return [self(picture) for picture in pictures]
        image_hwc = as_picture(pictures)  # type: ignore[arg-type]  # no other sequence is taken
        return Prediction(image_hwc, self.hierarchy, self.segment(image_hwc))


def names_by_level(hierarchy: Hierarchy) -> dict[str, tuple[str, ...]]:
    """Class names by level name, coarse to fine."""
    return {level.name: level.class_names for level in hierarchy.levels}

"""The embedded data set: drawn, articulated people with exact masks of their parts.

No files and no download: picture `index` of a split is a pure function of (seed, split,
index, size), drawn in a few milliseconds. Classes are those of
`hierseg_jax.tree.hierarchy.PASCAL_PERSON_PART`.
"""

import dataclasses
import functools
import itertools
import math
import operator
import zlib
from typing import SupportsIndex

import cv2
import numpy as np

from hierseg_jax.data.figures.scene import Finish, Scene, random_scene
from hierseg_jax.data.figures.shapes import Material
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from hierseg_jax.tree.meeting import all_labels, label_of

SPLITS = ("train", "val", "test")
MIN_SIZE = 16
_MIDDLE = PASCAL_PERSON_PART.levels[1]
GROUPS = _MIDDLE.class_names[1:]
"""What pictures are labelled by that are not labelled by parts."""

# Odd, so that a pixel's centre is the centre of one of the finer pixels.
FINER = 3
CENTERS = (slice(FINER // 2, None, FINER),) * 2
# Bits after the binary point of the polygons' coordinates in OpenCV's integers.
FRACTION_BITS = 6


def draw_figures(seed: int, split: str, index: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws one picture and its mask.

    The same (seed, split, index) shows the same scene at every size.

    Args:
      seed: 0 or more; another seed is another data set.
      split: "train", "val" or "test".
      index: 0 or more.
      size: height and width in pixels, 16 or more.

    Returns:
      image uint8 RGB [size, size, 3], and label uint8 [size, size] in 0..6: the class
      at each pixel's centre.

    Raises:
      ValueError: an argument out of its range.
    """
    _check(seed, split, size)
    if index < 0:
        raise HiersegError(f"figures: pictures are numbered from 0; got index {index}.")
    entropy = np.random.SeedSequence([seed, zlib.crc32(split.encode()), index])
    rng = np.random.Generator(np.random.Philox(entropy))
    return render(random_scene(rng), size, rng)


def _check(seed: int, split: str, size: int) -> None:
    if split not in SPLITS:
        raise HiersegError(
            f"figures: there is no split {split!r}; choose one of {', '.join(SPLITS)}."
        )
    if size < MIN_SIZE:
        raise HiersegError(
            f"figures: size must be {MIN_SIZE} pixels or more for limbs to be seen; got {size}."
        )
    if seed < 0:
        raise HiersegError(f"figures: seed must be 0 or more; got {seed}.")


def render(scene: Scene, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turns a scene into pixels.

    Image and mask come from one raster of materials, three times as fine: the image by
    averaging, the mask by looking at centres.

    Args:
      rng: for the camera's noise, the only thing that differs from size to size.

    Returns:
      image uint8 RGB [size, size, 3] and label uint8 [size, size].
    """
    painted_hw4, shade_hw, materials = _paint(scene, size * FINER)
    ids_hw = painted_hw4[CENTERS][..., 3]
    label_hw = np.array([m.label for m in materials], np.uint8)[ids_hw]
    # 128 is full brightness; grain, up to 48 either way, comes on top of the shading.
    strength_hw = np.array([48 * m.grain for m in materials], np.uint8)[ids_hw]
    grain_hw = cv2.resize(scene.grain_hw, (size, size), interpolation=cv2.INTER_LINEAR)
    grain_hw = cv2.multiply(strength_hw, grain_hw, scale=1 / 128)
    shade_hw = _shrunk(shade_hw)
    shade_hw = cv2.subtract(cv2.add(shade_hw, grain_hw), strength_hw)
    image_hw3 = cv2.cvtColor(_shrunk(painted_hw4), cv2.COLOR_RGBA2RGB)
    image_hw3 = cv2.multiply(image_hw3, cv2.merge((shade_hw,) * 3), scale=1 / 128)
    return _developed(image_hw3, scene.finish, rng), label_hw


def _shrunk(fine: np.ndarray) -> np.ndarray:
    """Means of blocks of FINER x FINER pixels; as INTER_AREA gives, in half its time."""
    return np.ascontiguousarray(cv2.blur(fine, (FINER, FINER))[CENTERS])


def _paint(scene: Scene, side: int) -> tuple[np.ndarray, np.ndarray, list[Material]]:
    """Paints a scene, finely and without shading.

    Returns:
      uint8 [side, side, 4]: RGB, and the index of the material;
      uint8 [side, side]: brightness, 128 as is;
      the materials by index.
    """
    backdrop = np.rint(255 * scene.backdrop_hw3).astype(np.uint8)
    backdrop = cv2.cvtColor(backdrop, cv2.COLOR_RGB2RGBA)
    backdrop[..., 3] = 0
    painted_hw4 = cv2.resize(backdrop, (side, side), interpolation=cv2.INTER_LINEAR)
    shade_hw = np.full((side, side), 128, np.uint8)
    # A scene has about a hundred materials, far from the 255 that a byte can tell apart.
    indices = {Material((0.0, 0.0, 0.0), 0, 0.3): 0}
    for fill, polygons in zip(scene.fills, _to_pixels(scene, side), strict=True):
        if fill.material is not None:
            index = indices.setdefault(fill.material, len(indices))
            red, green, blue = fill.material.color
            value = (255 * red, 255 * green, 255 * blue, index)
            cv2.fillPoly(painted_hw4, polygons, value, cv2.LINE_8, FRACTION_BITS)
        if fill.shade is not None:
            cv2.fillPoly(shade_hw, polygons, 128 * fill.shade, cv2.LINE_8, FRACTION_BITS)
    return painted_hw4, shade_hw, list(indices)


def _to_pixels(scene: Scene, side: int) -> list[list[np.ndarray]]:
    """The fills' polygons in OpenCV's fixed-point pixels: int32 [N, 2] each."""
    # One conversion of all points: there are too many polygons for one each.
    polygons = [polygon for fill in scene.fills for polygon in fill.polygons]
    # In units of 1 << FRACTION_BITS; OpenCV's whole numbers are the centres of pixels.
    points = np.concatenate(polygons).view(np.float64).reshape(-1, 2)
    points = points * (side << FRACTION_BITS) - (1 << FRACTION_BITS) / 2
    points = np.rint(points).astype(np.int32)
    ends = itertools.accumulate(map(len, polygons), initial=0)
    pieces = (points[start:end] for start, end in itertools.pairwise(ends))
    return [list(itertools.islice(pieces, len(fill.polygons))) for fill in scene.fills]


def _developed(image_hw3: np.ndarray, finish: Finish, rng: np.random.Generator) -> np.ndarray:
    """The camera's blur, colours and noise: uint8 RGB, same shape."""
    size = len(image_hw3)
    if finish.blur * size > 0.1:
        image_hw3 = cv2.GaussianBlur(image_hw3, (0, 0), finish.blur * size)
    curve = (np.arange(256) / 255.0) ** finish.gamma
    table = np.clip(255 * curve[:, None] * finish.gain, 0, 255)
    image_hw3 = cv2.LUT(image_hw3, np.rint(table).astype(np.uint8)[None])
    noise = rng.integers(0, 256, image_hw3.shape, np.uint8)
    return cv2.addWeighted(image_hw3, 1.0, noise, 2 * finish.noise, -255 * finish.noise)


@dataclasses.dataclass(frozen=True)
class FiguresSource:
    """Random-access source of drawn pictures, for grain or for a plain loop.

    `source[i]` is {"image": uint8 RGB [size, size, 3], "label": uint8 [size, size]}.
    It holds numbers only, so it travels to worker processes.

    Attributes:
      split: "train", "val" or "test".
      size: height and width in pixels, 16 or more.
      count: number of pictures, 0 or more; a longer source begins with the shorter one.
      seed: of the data set, 0 or more.
      inner_share: of the pictures, evenly spread, are labelled by `GROUPS` alone; their labels
        are those of the tree with groups.
    """

    split: str
    size: int
    count: int
    seed: int = 0
    inner_share: float = 0.0

    def __post_init__(self) -> None:
        _check(self.seed, self.split, self.size)
        if self.count < 0:
            raise HiersegError(f"figures: count must be 0 or more; got {self.count}.")
        if not 0 <= self.inner_share <= 1:
            raise HiersegError(
                f"figures: the share of pictures labelled by groups is {self.inner_share}; it must "
                "be from 0 to 1."
            )

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: SupportsIndex) -> dict[str, np.ndarray]:
        number = operator.index(index)
        if not 0 <= number < self.count:
            raise IndexError(
                f"figures: the {self.split} split has {self.count} pictures, numbered from 0; "
                f"there is no number {number}."
            )
        image, label = draw_figures(self.seed, self.split, number, self.size)
        if self.has_groups(number):
            label = _group_labels()[label]
        return {"image": image, "label": label}

    def has_groups(self, number: int) -> bool:
        """Whether a picture is labelled by groups."""
        return math.floor((number + 1) * self.inner_share) > math.floor(number * self.inner_share)

    def inventory(self) -> list[Entry]:
        """All that the pictures follow from; they are no files."""
        return [(f"{self.split} figures, seed {self.seed}, {self.size} pixels", 0)]


@functools.cache
def _group_labels() -> np.ndarray:
    """Of every class the label of its group, the background's its own: uint8 [classes]."""
    labels = all_labels(PASCAL_PERSON_PART)
    of_groups = [0, *(label_of(name, labels) for name in GROUPS)]
    return np.array(of_groups, np.uint8)[_MIDDLE.leaf_to_class]

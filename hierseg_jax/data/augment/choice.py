"""How a picture becomes a training example, by what `augment` names."""

import functools
from typing import Any

import numpy as np

from hierseg_jax.data.augment.classic import Transform, augment
from hierseg_jax.data.augment.modern import SCALES, augment_modern
from hierseg_jax.data.resize import Resize
from hierseg_jax.system.errors import HiersegError

AUGMENTATIONS = ("none", "reference", "modern")
# As configs of earlier versions have it, and as a command line may spell that.
_BOOLEANS = {"true": "reference", "false": "none", "1": "reference", "0": "none"}


def augmentation_name(value: Any) -> str:
    """One of `AUGMENTATIONS`; True is `reference`, False is `none`.

    Raises:
      ValueError: for anything else.
    """
    name = str(value).lower() if isinstance(value, str | int) else ""
    name = _BOOLEANS.get(name, name)
    if name not in AUGMENTATIONS:
        raise HiersegError(
            f"The config's augment is {value!r}; it must be {', '.join(AUGMENTATIONS[:-1])} or "
            f"{AUGMENTATIONS[-1]}."
        )
    return name


def fits_first(name: str, resize: Resize) -> bool:
    """Whether a picture comes to the network's size before anything is drawn.

    Args:
      name: one of AUGMENTATIONS.
      resize: how it comes to that.
    """
    return name != "modern" or resize.sampling != "exact"


def choose_augmentation(
    value: Any,
    size: tuple[int, int],
    resize: Resize,
    mirrored: np.ndarray | None = None,
    background: int | None = 0,
    scales: tuple[float, float] = SCALES,
) -> Transform:
    """How a picture becomes a training example; worker processes can be sent it.

    Args:
      value: as `augmentation_name` takes it.
      size: (h, w) of examples, whatever size a picture has.
      resize: how it comes to that.
      mirrored: label in the mirror of every label, uint8 [256]; by default the same.
      background: of the tree.
      scales: of `modern`, the least and the largest.
    """
    if mirrored is not None and (mirrored == np.arange(256)).all():
        mirrored = None
    name = augmentation_name(value)
    return functools.partial(_example, name, size, resize, mirrored, background, scales)


def _example(
    name: str,
    size: tuple[int, int],
    resize: Resize,
    mirrored: np.ndarray | None,
    background: int | None,
    scales: tuple[float, float],
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What `choose_augmentation` gives, of the arguments that it binds."""
    placement = resize.place(label_hw.shape, size)
    if not fits_first(name, resize):
        framed = placement.framed(image_hwc, label_hw)
        return augment_modern(rng, *framed, mirrored, size, scales, resize.beside)
    if label_hw.shape != size:
        image_hwc, label_hw = placement.fit_image(image_hwc), placement.fit_labels(label_hw)
    if name == "none":
        return image_hwc, label_hw
    if name == "reference":
        return augment(rng, image_hwc, label_hw, mirrored, background)
    return augment_modern(rng, image_hwc, label_hw, mirrored, size, scales, resize.beside)

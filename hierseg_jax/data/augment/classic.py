"""The reference's random variation of training examples: which transforms, how often.

Every transform, `augment` itself included, is a function

    transform(rng, image_hwc, label_hw) -> (image_hwc, label_hw)

(those that mirror also take `mirrored`, those that leave pixels free `background`, see
`augment/geometry.py`) of
  rng: the only source of randomness; equal states give equal results.
  image_hwc: uint8 RGB [H, W, 3], H and W at least 8.
  label_hw: uint8 [H, W]; 255 (`IGNORE_LABEL`) is ignored.
and returns arrays of the same shapes and dtypes. Inputs are never written to, but
what a transform leaves as it is may be returned itself rather than copied.

Labels follow the image by nearest neighbour, so that no class arises that was not
there, except background, or 255, where the picture is blotted out.

The composition is the reference's (`DmitriyKras/multiclassseg`), which builds it from
albumentations; each transform follows that library's definition and defaults in
1.3 and 1.4. Where those versions disagree, or err, the docstring says what was chosen.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from hierseg_jax.data.augment.geometry import (
    flip,
    mask_dropout,
    optical_distortion,
    rotate,
    scale_down,
)
from hierseg_jax.data.augment.photometric import (
    brightness_contrast,
    gaussian_noise,
    iso_noise,
    motion_blur,
)
from hierseg_jax.data.augment.weather import fog, rain, shadow

Transform = Callable[[np.random.Generator, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

GEOMETRIC: tuple[Transform, ...] = (rotate, flip, scale_down, mask_dropout)
"""Where things are, and which of them."""

PHOTOMETRIC: tuple[Transform, ...] = (
    motion_blur,
    optical_distortion,
    iso_noise,
    gaussian_noise,
    fog,
    rain,
    shadow,
    brightness_contrast,
)
"""How they were photographed. Only the lens's distortion touches the label."""

MIRRORING = frozenset({rotate, flip, optical_distortion})
"""Those that take `mirrored`: a flip, or edges beyond which the picture goes on mirrored."""

CLEARING = frozenset({scale_down, mask_dropout})
"""Those that take `background`: they leave pixels free."""

AUGMENTED_SHARE = 0.5
"""Probability that an example is handed to the two groups at all."""

GROUP_SHARE = 0.5
"""Probability, then, that a group contributes one of its transforms, each equally likely."""


def augment(
    rng: np.random.Generator,
    image_hwc: np.ndarray,
    label_hw: np.ndarray,
    mirrored: np.ndarray | None = None,
    background: int | None = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Varies one training example: at most one geometric, then one photometric transform.

    5 of 8 examples come back as they are. Shapes and dtypes: see the module.

    Args:
      rng: the only source of randomness.
      image_hwc: uint8 RGB [H, W, 3].
      label_hw: uint8 [H, W].
      mirrored: label in the mirror of every label, uint8 [256], of `Hierarchy.mirrored`.
      background: `Hierarchy.background`.
    """
    if rng.random() >= AUGMENTED_SHARE:
        return image_hwc, label_hw
    for group in (GEOMETRIC, PHOTOMETRIC):
        if rng.random() < GROUP_SHARE:
            transform = group[rng.integers(len(group))]
            given: dict[str, Any] = {"mirrored": mirrored} if transform in MIRRORING else {}
            given |= {"background": background} if transform in CLEARING else {}
            image_hwc, label_hw = transform(rng, image_hwc, label_hw, **given)
    return image_hwc, label_hw

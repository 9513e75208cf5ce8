"""Which augmentation `augment` names."""

import functools
from typing import Any

import numpy as np

from hierseg_jax.data.augment.classic import Transform, augment
from hierseg_jax.data.augment.modern import augment_modern
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


def choose_augmentation(value: Any, mirrored: np.ndarray | None = None) -> Transform | None:
    """The transform of that name, which worker processes can be sent; None for `none`.

    Args:
      value: as `augmentation_name` takes it.
      mirrored: label in the mirror of every label, uint8 [256]; by default the same.
    """
    chosen = {"none": None, "reference": augment, "modern": augment_modern}
    transform = chosen[augmentation_name(value)]
    if transform is None or mirrored is None or (mirrored == np.arange(256)).all():
        return transform
    return functools.partial(transform, mirrored=mirrored)

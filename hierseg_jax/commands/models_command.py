"""Builds networks, runs them once on an image, and prints their layers.

hierseg models --model=effunet --backbone=b2 --image=photo.jpg
"""

import pathlib
import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.models import (
    NETWORKS,
    backbone_choices,
    create_model,
    find_network,
    format_summary,
    init_variables,
)
from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

FLAGS = flags.FlagValues()
_MODEL = flags.DEFINE_list("model", list(NETWORKS), "Networks, of these.", flag_values=FLAGS)
_BACKBONE = flags.DEFINE_string("backbone", None, f"Of {backbone_choices()}.", flag_values=FLAGS)
_NUM_CLASSES = flags.DEFINE_integer(
    "num_classes", 7, "Classes, background included.", flag_values=FLAGS
)
_IMAGE = flags.DEFINE_string(
    "image", None, "A picture to segment; a plain one by default.", flag_values=FLAGS
)
_IMAGE_SIZE = flags.DEFINE_list(
    "image_size", ["320"], "Side, or height,width, in pixels.", flag_values=FLAGS
)
_DEPTH = flags.DEFINE_integer(
    "depth", 2, "Names of a layer's path that make a row.", 1, flag_values=FLAGS
)


def _run() -> None:
    """Prints one table for each network."""
    height, width = _image_size(_IMAGE_SIZE.value)
    if not _MODEL.value:
        raise HiersegError(f"--model names no network; choose of {', '.join(NETWORKS)}.")
    for name in _MODEL.value:
        backbone = find_network(name).own_backbone(_BACKBONE.value)
        model = create_model(name, _NUM_CLASSES.value, backbone=backbone)
        print(format_summary(model, (height, width), _DEPTH.value))
        image_hwc = _read_image(_IMAGE.value, height, width)
        variables = init_variables(model, jax.random.key(0))
        start = time.perf_counter()
        labels_hw = jax.jit(lambda v, x, m=model: jnp.argmax(m.apply(v, x), -1))(
            variables, image_hwc[None]
        )[0]
        seconds = time.perf_counter() - start
        present = len(np.unique(labels_hw))
        print(
            f"Segmented {height} x {width} in {seconds:.1f} s, compilation included, on "
            f"{jax.devices()[0].device_kind}; the untrained network sees {present} of "
            f"{model.num_classes} classes.\n"
        )


def _image_size(values: list[str]) -> tuple[int, int]:
    numbers = all(value.isascii() and value.isdecimal() and len(value) <= 5 for value in values)
    if len(values) not in (1, 2) or not numbers:
        raise HiersegError(f"--image_size is a side or height,width; got {','.join(values)!r}.")
    return int(values[0]), int(values[-1])


def _read_image(file: str | None, height: int, width: int) -> np.ndarray:
    """RGB float32 in [0, 1], [H, W, 3]."""
    if file is None:
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
        return np.stack([x, y, 1 - (x + y) / 2], -1)
    if not pathlib.Path(file).is_file():
        raise HiersegFileNotFoundError(f"There is no image {file}.")
    image_rgb = cv2.resize(read_image(pathlib.Path(file)), (width, height))
    return image_rgb.astype(np.float32) / 255


def main() -> None:
    """`hierseg models`."""
    run(_run, FLAGS)

"""Lists the networks; with a flag, builds them, runs them on an image and prints their layers.

hierseg models
hierseg models --model=effunet --backbone=b2 --image=photo.jpg
"""

import cv2
import numpy as np

from hierseg_jax.commands.known_networks import all_backbones, format_networks, known_networks
from hierseg_jax.runtime.packaged_network import SUBJECT, packaged_metadata
from hierseg_jax.runtime.pictures import as_picture
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size
from hierseg_jax.system.errors import HiersegError

NAMES = list(dict.fromkeys(known.name for known in known_networks()))

FLAGS = CommandFlags()
_MODEL = FLAGS.list("model", NAMES, "Networks, of these.")
_BACKBONE = FLAGS.string("backbone", None, f"Where there is one: {all_backbones()}.")
_NUM_CLASSES = FLAGS.integer("num_classes", 7, "Classes, background included.")
_IMAGE = FLAGS.string("image", None, "A picture to segment; a plain one by default.")
_IMAGE_SIZE = FLAGS.list("image_size", ["320"], "Side, or height,width, in pixels.")
_DEPTH = FLAGS.integer("depth", 2, "Names of a layer's path that make a row.", 1)


@command(FLAGS)
def main() -> None:
    """Prints the list, or one table for each network."""
    if not any(FLAGS[name].present for name in FLAGS):
        print(f"{format_networks(known_networks())}\n\n{_describe_packaged()}")
        print("Next: hierseg models --model=esnet    its layers\n      hierseg demo")
        return
    height, width = parse_size(_IMAGE_SIZE.value) or (320, 320)
    if not _MODEL.value:
        raise HiersegError(f"--model names no network; choose of {', '.join(NAMES)}.")
    image_hwc = _read_image(_IMAGE.value, height, width)
    # Only here: the list needs no JAX.
    from hierseg_jax.commands.network_layers import print_layers

    print_layers(_MODEL.value, _BACKBONE.value, _NUM_CLASSES.value, image_hwc, _DEPTH.value)


def _describe_packaged() -> str:
    """What the file in the package says of itself."""
    told = packaged_metadata()
    precision, (height, width) = told["precision"], told["image_size"]
    levels = told["validation"].get("levels", {}).items()
    # Of rounded weights the export has measured it; else it is that of the training.
    miou = {name: level["miou"] for name, level in levels} | told["verification"].get(
        f"miou_{precision}", {}
    )
    return (
        f"In the package, for {SUBJECT}: {told['model']} at\n{height} x {width} pixels in "
        f"{precision}, mIoU {', '.join(f'{level} {value:.3f}' for level, value in miou.items())}."
    )


def _read_image(file: str | None, height: int, width: int) -> np.ndarray:
    """RGB float32 in [0, 1], [H, W, 3]."""
    if file is None:
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
        return np.stack([x, y, 1 - (x + y) / 2], -1)
    image_rgb = cv2.resize(as_picture(file), (width, height))
    return image_rgb.astype(np.float32) / 255

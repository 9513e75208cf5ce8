"""Segments a photograph, or pictures of yours, with the network in the package; needs no JAX.

hierseg demo
hierseg demo mine.jpg holidays
"""

import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.reports.drawing.legend import PAPER
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.frames import Images, open_frames
from hierseg_jax.runtime.outputs import write_new_image
from hierseg_jax.runtime.packaged_network import (
    CREDIT,
    SUBJECT,
    packaged_network,
    packaged_photograph,
)
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.window import open_window, require_display
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size, quoted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note
from hierseg_jax.system.paths import local_path
from hierseg_jax.tree.level import Level

MOST_SIDE = 1200
"""Pixels of a picture's longer side in the demo, which shows it beside all of its levels."""
GAP = 6
"""Pixels between pictures beside one another."""
LEAST_SHARE = 0.0005
"""Of a picture; less would read 0.0%, and is left out."""
MOST_BYTES = 200
"""Of a file's name without its suffix: systems have 255, and a number may be added."""
WINDOW = "hierseg demo (any key goes on)"
NEXT = """Next:
  hierseg predict --source=0 --show --image_size=256       your camera
  hierseg predict --source=PICTURES --output=segmented     your pictures, at their own size
  hierseg models                                           the networks, and what they reach
  hierseg train --config=figures --workdir=runs/figures    a network of your own, in minutes"""

FLAGS = CommandFlags()
_SOURCE = FLAGS.list("source", None, "Images, folders or patterns; the photograph in the package.")
_OUTPUT = FLAGS.string(
    "output",
    "demo.png",
    "File to write; of several pictures a folder of that name. A number is added if it exists.",
)
_IMAGE_SIZE = FLAGS.list(
    "image_size",
    None,
    "Largest size that the network looks at: a side, or height,width, in multiples of 32.",
)
_SHOW = FLAGS.bool("show", False, "Open a window, until a key is pressed.")


def describe_classes(labels_hw: np.ndarray, level: Level) -> str:
    """The classes in a label map by their share of it, as `clothing 17.0%, body 7.1%`.

    Args:
      labels_hw: uint8 [H, W], classes of `level`; 255 is none.
      level: whose background is left out.
    """
    share_k = np.bincount(labels_hw.ravel(), minlength=256) / labels_hw.size
    classes = range(level.num_classes)[level.foreground]
    seen = sorted((i for i in classes if share_k[i] >= LEAST_SHARE), key=lambda i: -share_k[i])
    return ", ".join(f"{level.class_names[i]} {share_k[i]:.1%}" for i in seen) or "nothing"


@command(FLAGS, bare="source")
def main() -> None:
    """Draws every level of each picture, and tells what is seen."""
    output = local_path(_OUTPUT.value)
    if output.suffix.lower() not in IMAGE_SUFFIXES:
        raise HiersegError(f"--output is {output}; end its name in {', '.join(IMAGE_SUFFIXES)}.")
    opened = [_open_images(source) for source in _SOURCE.value or [str(packaged_photograph())]]
    if _SHOW.value:
        require_display()
    size = parse_size(_IMAGE_SIZE.value)
    segmenter = Segmenter(packaged_network(), provider="cpu", image_size=size)
    segmenter(np.zeros((*segmenter.image_size, 3), np.uint8))  # a first one takes longer
    painter = Painter(segmenter.hierarchy.levels)
    print(f"The network in the package, for {SUBJECT}.")
    for each in itertools.chain.from_iterable(images.passed_over for images in opened):
        note(each)
    if not _SOURCE.value:
        print(f"The photograph is of {CREDIT}.")
    faults, several, seen = [], sum(map(len, opened)) > 1, False
    for frame in itertools.chain.from_iterable(opened):
        if frame.image_bgr is None:
            faults.append(frame.fault)
            continue
        drawn_bgr, found = _segment(frame.image_bgr, segmenter, painter)
        seen |= "%" in found  # of the picture, what a class has
        name = _name(output, frame.name) if several else output
        file = write_new_image(name, drawn_bgr)
        print(f"\n{frame.name}: {found}\nWritten to {file}", flush=True)
        if _SHOW.value:
            _show(drawn_bgr)
    if faults:
        sys.exit(f"error: {len(faults)} could not be read; the first: {faults[0]}")
    if not seen:
        print(f"\nNothing is seen: this network is for {SUBJECT} alone.")
    print(f"\n{NEXT}")


def _name(output: Path, picture: str) -> Path:
    """`demo/mine.png`, of `demo.png` and `mine.jpg`; as short as names of files have to be."""
    stem = Path(picture).stem.encode()[:MOST_BYTES].decode(errors="ignore")
    return output.with_suffix("") / (stem + output.suffix)


def _open_images(source: str) -> Images:
    opened = open_frames(source)
    if not isinstance(opened, Images):
        raise HiersegError(
            f"{source} is a video or a camera, and the demo is for pictures; "
            f"`hierseg predict {quoted('source', source)} --show` is for these."
        )
    return opened


def _segment(
    image_bgr: np.ndarray, segmenter: Segmenter, painter: Painter
) -> tuple[np.ndarray, str]:
    """The picture and all of its levels, uint8 BGR, in one row or two; and what is seen."""
    height, width = image_bgr.shape[:2]
    if (scale := MOST_SIDE / max(height, width)) < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image_bgr = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
    result, levels = segmenter(image_bgr, bgr=True, refine=True), segmenter.hierarchy.levels
    room = max(len(level.name) for level in levels)
    lines = [f"shares of the picture, found in {1e3 * sum(result.seconds.values()):.0f} ms"]
    for level in levels:
        lines.append(f"  {level.name:{room}}  {describe_classes(result.levels[level.name], level)}")
    painted = [painter.draw(image_bgr, result.levels[level.name], level) for level in levels]
    drawn_bgr = in_rows([image_bgr, *painted], 2 if width > height else 1)
    return drawn_bgr, "\n".join(lines)


def in_rows(panels: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Pictures beside one another, on paper: uint8 BGR [H, W, 3].

    Args:
      panels: uint8 BGR [h, w, 3], of one width.
      rows: that they fill from the left.
    """
    columns = math.ceil(len(panels) / rows)
    heights = [
        max(map(len, panels[first : first + columns])) for first in range(0, len(panels), columns)
    ]
    width = panels[0].shape[1]
    size = sum(heights), columns * width + (columns - 1) * GAP
    drawn_hwc = np.full((*size, 3), PAPER[::-1], np.uint8)
    for number, panel_hwc in enumerate(panels):
        row, column = divmod(number, columns)
        top, left = sum(heights[:row]), column * (width + GAP)
        drawn_hwc[top : top + len(panel_hwc), left : left + width] = panel_hwc
    return drawn_hwc


def _show(drawn_bgr: np.ndarray) -> None:
    open_window(WINDOW, drawn_bgr.shape)
    cv2.imshow(WINDOW, drawn_bgr)
    while cv2.waitKey(20) < 0 and cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) >= 1:
        pass

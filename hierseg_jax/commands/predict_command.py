"""Runs an exported network on pictures, a video or a camera; needs no JAX.

hierseg predict --onnx_file=figures.onnx --source=photos --output=segmented
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import onnxruntime

from hierseg_jax.reports.drawing.painter import LEGENDS
from hierseg_jax.runtime.packaged_network import SUBJECT, network_file
from hierseg_jax.runtime.passing import Summary
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size
from hierseg_jax.system.console import end_interrupted, hurry, ignore_interrupts, tell
from hierseg_jax.system.errors import HiersegError, wants_tracebacks
from hierseg_jax.system.notes import note
from hierseg_jax.system.stop import is_another, let_go_of_terminal, stop_signals
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.hierarchy import Hierarchy

FLAGS = CommandFlags()
_ONNX_FILE = FLAGS.string(
    "onnx_file", None, "Of `hierseg export`, or of the reference; the network in the package."
)
FLAGS.alias("model", "onnx_file")
_SOURCE = FLAGS.multi_string(
    "source",
    None,
    "Images, folders, patterns; or one video, its rtsp:// or http:// address, or the index of a "
    "camera.",
    required=True,
)
_OUTPUT = FLAGS.string("output", None, "Folder for pictures, file for a video.")
_LEVEL = FLAGS.string("level", "", "Level to draw, or all side by side; the finest.")
_MASKS = FLAGS.bool(
    "masks",
    False,
    "Write label PNGs too, to OUTPUT/masks/LEVEL, of a video to NAME_masks/LEVEL; 255 is what a "
    "crop left unseen.",
)
_TILES = FLAGS.bool(
    "tiles", False, "Segment large pictures on their own pixels, in overlapping windows."
)
_SHOW = FLAGS.bool("show", False, "Open a window and write nothing; h lists its keys.")
_LEGEND = FLAGS.enum(
    "legend",
    "auto",
    ["auto", *LEGENDS],
    "Where class names are: below images, in a corner of videos.",
)
_OVERWRITE = FLAGS.bool("overwrite", False, "Replace existing files.")
_SKIP_EXISTING = FLAGS.bool(
    "skip_existing",
    False,
    "Segment the pictures alone that have not been; no picture and no label map is replaced.",
)
_SMOOTH = FLAGS.float(
    "smooth",
    None,
    "Against flicker: weight of a video's earlier frames, 0 (off) to 0.95; by default 0.8.",
)
_REFINE = FLAGS.bool(
    "refine",
    None,
    "Let borders of classes follow edges; pictures and windows yes, written videos no.",
)
_HIERARCHY = FLAGS.string(
    "hierarchy", None, "A .yaml with the class tree, for a file that carries none."
)
_IMAGE_SIZE = FLAGS.list("image_size", None, "Side, or height,width, if the file is open.")
_PROVIDER = FLAGS.enum("provider", "auto", ["auto", "cpu", "cuda"], "Of onnxruntime.")
_THREADS = FLAGS.integer("threads", None, "Of onnxruntime; one per core.")


@command(FLAGS, bare="source")
def main() -> None:
    """Segments the source and says how fast; exit status 1 where pictures were skipped."""
    for number in stop_signals():
        signal.signal(number, _interrupt)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if not wants_tracebacks():
        # And onnxruntime libraries of CUDA that are missing, two lines and in colours.
        onnxruntime.set_default_logger_severity(4)
    network = next((source for source in _SOURCE.value if source.endswith(".onnx")), None)
    if network is not None:
        raise HiersegError(
            f"{network} is a network: give it as --model, and as --source what it is to look at."
        )
    if _ONNX_FILE.value is None:
        note(f"No --model given: the network in the package, for {SUBJECT}.")
    segmenter = Segmenter(
        network_file(_ONNX_FILE.value),
        hierarchy=_read_hierarchy(_HIERARCHY.value),
        provider=_PROVIDER.value,
        threads=_THREADS.value,
        image_size=parse_size(_IMAGE_SIZE.value),
        confidence=False,
    )
    note(segmenter.note)
    try:
        summary, places = segment_source(
            segmenter,
            _SOURCE.value,
            _OUTPUT.value,
            level=_LEVEL.value,
            masks=_MASKS.value,
            tiles=_TILES.value,
            show=_SHOW.value,
            overwrite=_OVERWRITE.value,
            skip_existing=_SKIP_EXISTING.value,
            smooth=_SMOOTH.value,
            legend=_LEGEND.value,
            refine=_REFINE.value,
        )
    except KeyboardInterrupt as interrupt:
        ignore_interrupts()
        tell("Stopped; what was finished is kept.")
        sys.exit(128 + (interrupt.args[0] if interrupt.args else signal.SIGINT))
    if summary.there:
        there = "were there already" if summary.there > 1 else "was there already"
        print(f"{counted(summary.there, summary.unit)} {there}")
    if summary.frames or not summary.there:
        _print_speed(summary, segmenter.provider, places)
    if summary.faults:
        sys.exit(f"error: {len(summary.faults)} could not be read; the first: {summary.faults[0]}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C does: files are completed, unless Ctrl-C is pressed again."""
    del frame
    began = time.monotonic()

    def again(number: int, frame: FrameType | None) -> None:
        # As an exception it could break off the wait for a thread, which Python takes for ended.
        if number == signal.SIGINT and is_another(began):
            end_interrupted()

    # Another one would interrupt what completes them.
    for each in stop_signals():
        signal.signal(each, again)
    hurry()
    let_go_of_terminal(number)
    raise KeyboardInterrupt(number)


def _print_speed(summary: Summary, provider: str, places: Sequence[Path]) -> None:
    """How much was segmented, how fast, and where it is."""
    count = max(summary.frames, 1)
    rate = summary.frames / summary.seconds
    digits = ".1f" if rate >= 1 else ".2g"
    print(
        f"{counted(summary.frames, summary.unit)}, {rate:{digits}} a second, "
        f"{1e3 * summary.inference_seconds / count:.1f} ms each in the network, "
        + (f"{summary.at_once} at once, " if summary.at_once > 1 else "")
        + f"on {provider.upper()}"
        + (
            f"; {counted(summary.dropped, 'frame')} passed over to keep the pace"
            if summary.dropped
            else ""
        )
        + (f"\nWritten to {' and '.join(map(str, places))}" if places and summary.frames else "")
    )


def _read_hierarchy(file: str | None) -> Hierarchy | None:
    if file is None:
        return None
    # Only here: reading YAML takes a moment that other runs are spared.
    from hierseg_jax.data.read.spec import read_tree_file

    return read_tree_file(file)

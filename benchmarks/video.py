"""Frames a second of `hierseg predict` on a video, beside the reference's own inference loop.

python benchmarks/video.py --reference=CHECKOUT --files=ours.onnx,ours_int8.onnx \
    --theirs=theirs.onnx --picture=street.jpg

Of a file for `--theirs` see export_reference.py; onnxruntime takes the place of PyTorch in its
loop, and what the loop does to a frame before and after the network is called from the checkout.
Its window is left out, where `hierseg predict` draws on the frame's own pixels and writes a video.

The video is made of the picture, or of noise, moved from frame to frame. Every way runs as a
process of its own, once over a short and once over a long video: seconds of a frame are the
difference, so that starting costs nothing. All ways take turns; medians over rounds.
"""

import importlib
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError

_REFERENCE = flags.DEFINE_string("reference", None, "A checkout of the reference.")
_FILES = flags.DEFINE_list("files", [], "Exported files of ours.")
_THEIRS = flags.DEFINE_string("theirs", None, "The reference's export.")
_PICTURE = flags.DEFINE_string("picture", None, "What the video shows; by default noise.")
_FRAME = flags.DEFINE_list("frame", ["720", "1280"], "Height and width of the video.")
_SMOOTH = flags.DEFINE_list("smooth", ["0.8", "0"], "Weights, as those of hierseg predict.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of all ways in turn.")
_FRAMES = flags.DEFINE_integer("frames", 100, "By which the long video is longer.")
_LOOP = flags.DEFINE_string("loop", None, "A video to run the reference's loop on; used inside.")
flags.mark_flags_as_required(["reference", "theirs"])

SHORT = 10
"""Frames of the short video."""
LAUNCH = Path(__file__).parent.parent / "launch" / "infer.py"


def write_video(file: Path, frames: int) -> None:
    """The picture, 8 pixels further in every frame."""
    height, width = map(int, _FRAME.value)
    image_hwc = (
        read_image(Path(_PICTURE.value))[..., ::-1]
        if _PICTURE.value
        else np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    )
    image_hwc = cv2.resize(image_hwc, (width, height))
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    for index in range(frames):
        writer.write(np.roll(image_hwc, 8 * index, axis=1))
    writer.release()


def loop_of_reference(video: str) -> None:
    """What its inference.py does with each frame, but for the window."""
    import onnxruntime

    # Imported there for its networks, which the exported file replaces.
    sys.modules["torch"] = types.ModuleType("torch")
    models = types.ModuleType("models")
    models.EfficientUnet = models.ESNet = None  # type: ignore[attr-defined]
    sys.modules["models"] = models
    sys.path.insert(0, _REFERENCE.value)
    postprocess = importlib.import_module("inference").postprocess
    session = onnxruntime.InferenceSession(_THEIRS.value, providers=["CPUExecutionProvider"])
    name, shape = session.get_inputs()[0].name, session.get_inputs()[0].shape
    channels = session.get_outputs()[0].shape[1]
    colors = np.random.default_rng(0).integers(0, 255, (channels - 1, 3))
    capture = cv2.VideoCapture(video)
    while True:
        read, frame_hwc = capture.read()
        if not read:
            return
        frame_hwc = cv2.resize(frame_hwc, (shape[3], shape[2]))
        image_bchw = (frame_hwc[..., ::-1].transpose(2, 0, 1)[None] / 255.0).astype(np.float32)
        mask_hwc = postprocess(session.run(None, {name: image_bchw})[0], colors)
        cv2.addWeighted(frame_hwc, 0.7, mask_hwc, 0.3, 0)


def seconds_of(command: list[str]) -> float:
    """Of a process, which has to succeed.

    Raises:
      ValueError: with its last words, where it does not.
    """
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HiersegError(f"{command[1]} failed: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - began


def main() -> None:
    """Prints frames a second, and by how much each file of ours is faster within a round."""
    if _LOOP.value:
        loop_of_reference(_LOOP.value)
        return
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder) / "short.mp4", Path(folder) / "long.mp4"]
        for video, frames in zip(videos, (SHORT, SHORT + _FRAMES.value), strict=True):
            write_video(video, frames)
        ways = {"the reference's loop": [sys.executable, *sys.argv, "--loop={video}"]}
        for file, smooth in itertools.product(_FILES.value, _SMOOTH.value):
            way = [sys.executable, str(LAUNCH), f"--onnx_file={file}", "--source={video}"]
            way += [f"--output={folder}/drawn.mp4", "--overwrite", f"--smooth={smooth}"]
            ways[f"{file}, smooth {smooth}"] = way
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_ROUNDS.value):
            for name, command in ways.items():
                short, long = (
                    seconds_of([part.replace("{video}", str(video)) for part in command])
                    for video in videos
                )
                rates[name].append(_FRAMES.value / (long - short))
    theirs = rates["the reference's loop"]
    for name, found in rates.items():
        ratios = [ours / other for ours, other in zip(found, theirs, strict=True)]
        print(
            f"{name}: {statistics.median(found):.1f} frames/s, "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    run(main)

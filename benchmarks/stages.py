"""What a frame costs in the runtime: to be brought to the network, the network, label maps.

python benchmarks/stages.py --onnx_file=esnet_deploy.onnx --picture=street.jpg

Label maps are at the frame's own size. How long they take depends on the picture: a class is
sought only around where it may be. Without --picture the frame is noise, the worst of cases.
"""

from pathlib import Path

import cv2
import numpy as np
from absl import flags

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.command_line import parse_size, run

_ONNX_FILE = flags.DEFINE_string("onnx_file", None, "A file of launch/export.py.")
_PICTURE = flags.DEFINE_string("picture", None, "What the frame shows; noise.")
_FRAME = flags.DEFINE_list("frame", ["720", "1280"], "Height,width of the frame.")
_RUNS = flags.DEFINE_integer("runs", 100, "Frames, of which the medians count.")
_THREADS = flags.DEFINE_integer("threads", None, "Of onnxruntime; one per core.")
flags.mark_flag_as_required("onnx_file")


def main() -> None:
    """Prints the median of every stage, and label maps as a share of inference."""
    height, width = parse_size(_FRAME.value)
    if _PICTURE.value:
        picture = cv2.cvtColor(read_image(Path(_PICTURE.value)), cv2.COLOR_RGB2BGR)
        picture = cv2.resize(picture, (width, height))
    else:
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    segmenter = Segmenter(_ONNX_FILE.value, threads=_THREADS.value)
    seconds: dict[str, list[float]] = {}
    for index in range(_RUNS.value + 5):
        frame = picture.copy()  # as a video gives it: in memory of its own
        result = segmenter(frame, bgr=True)
        for stage, spent in result.seconds.items() if index >= 5 else ():
            seconds.setdefault(stage, []).append(spent)
    medians = {stage: float(np.median(spent)) for stage, spent in seconds.items()}
    print(", ".join(f"{stage} {1e3 * spent:.2f} ms" for stage, spent in medians.items()))
    shares = np.divide(seconds["postprocess"], seconds["inference"])
    low, middle, high = np.percentile(shares, (25, 50, 75))
    print(f"postprocess is {middle:.1%} of inference (quartiles {low:.1%} and {high:.1%})")


if __name__ == "__main__":
    run(main)

"""Peak memory of a large picture's way through launch/infer.py --tiles.

python benchmarks/large_pictures.py --onnx_file=lite0.onnx --width=12000 --height=8000

The picture is a JPEG of noise of many scales, or what --picture names. Reading, segmenting, drawing
and writing are measured together, as the peak resident memory of a process of their own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from hierseg_jax.system.command_line import run

_ONNX_FILE = flags.DEFINE_string("onnx_file", None, "A file of launch/export.py with scores.")
_PICTURE = flags.DEFINE_string("picture", None, "A JPEG or PNG in place of the noise.")
_WIDTH = flags.DEFINE_integer("width", 12_000, "Of the noise, in pixels.")
_HEIGHT = flags.DEFINE_integer("height", 8_000, "Of the noise, in pixels.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the drawing; by default it goes.")
flags.mark_flag_as_required("onnx_file")

INFER = Path(__file__).parent.parent / "launch" / "infer.py"
# Of Linux; macOS counts in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024


def write_noise(file: Path, height: int, width: int) -> None:
    """A picture with edges at all scales, which no encoder makes small."""
    rng = np.random.default_rng(0)
    image_hwc = np.zeros((height, width, 3), np.uint8)
    for scale in (512, 64, 8, 1):
        coarse = rng.integers(0, 64, (-(-height // scale), -(-width // scale), 3), np.uint8)
        large = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.add(image_hwc, large, image_hwc)
    cv2.imwrite(str(file), image_hwc)


def main() -> None:
    """Prints the size, the seconds and the peak."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(_PICTURE.value or Path(folder) / "noise.jpg")
        if _PICTURE.value is None:
            write_noise(picture, _HEIGHT.value, _WIDTH.value)
        output = _OUTPUT.value or f"{folder}/segmented"
        command = [sys.executable, str(INFER), f"--onnx_file={_ONNX_FILE.value}", "--tiles"]
        command += [f"--source={picture}", f"--output={output}", "--overwrite"]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * UNIT
        print(
            f"{picture.stat().st_size / 1e6:.0f} MB on disk; {seconds:.0f} s, {peak / 1e9:.2f} GB"
        )


if __name__ == "__main__":
    run(main)

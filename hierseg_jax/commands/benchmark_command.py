"""Measures how fast exported networks are on this machine; needs no JAX.

hierseg benchmark float.onnx int8.onnx --picture=street.jpg
"""

import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from hierseg_jax.runtime.benchmark import describe_file, describe_times, time_files
from hierseg_jax.runtime.benchmark_table import format_benchmark
from hierseg_jax.runtime.packaged_network import SUBJECT, network_file
from hierseg_jax.runtime.pictures import as_picture
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.atomic_writing import check_room, make_folder, write_json
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size, quoted
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError
from hierseg_jax.system.machine import load_average, processor_name
from hierseg_jax.system.notes import note
from hierseg_jax.system.paths import local_path

FLAGS = CommandFlags()
_MODEL = FLAGS.multi_string(
    "model", None, "An .onnx file, or several; by default the network in the package."
)
FLAGS.alias("onnx_file", "model")
_PICTURE = FLAGS.string(
    "picture", None, "What the frame shows; noise, the worst case for label maps."
)
_FRAME = FLAGS.list("frame", ["480", "640"], "Its height,width.")
_SECONDS = FLAGS.float("seconds", 10.0, "To measure each file for.", 0.0)
_THREADS = FLAGS.list("threads", ["1", "2", "all"], "Numbers of threads to try.")
_PROVIDER = FLAGS.enum("provider", "auto", ["auto", "cpu", "cuda"], "Of onnxruntime.")
_IMAGE_SIZE = FLAGS.list("image_size", None, "Side, or height,width, where files are open.")
_JSON = FLAGS.string("json", None, "A file for all numbers.")
_OVERWRITE = FLAGS.bool("overwrite", False, "Replace it.")


@command(FLAGS, bare="model")
def main() -> None:
    """Prints a table, and writes JSON."""
    load = load_average()  # before there is any of this command's own
    if not _MODEL.value:
        note(f"No --model given: the network in the package, for {SUBJECT}.")
    files = [local_path(network_file(file)) for file in _MODEL.value or (None,)]
    if len(set(files)) < len(files):
        raise HiersegError("A file is named twice; once is enough.")
    numbers = local_path(_JSON.value) if _JSON.value else None
    if numbers:
        if numbers.is_dir():
            raise HiersegError(
                f"{numbers} is a folder, and --json is a file; give a name in it, such as "
                f"{numbers / 'benchmark.json'}."
            )
        if numbers.exists() and not _OVERWRITE.value:
            raise HiersegFileExistsError(f"{numbers} exists; give another --json or --overwrite.")
        check_room(numbers.parent)
    frame_bgr, image_size = _frame(), parse_size(_IMAGE_SIZE.value)

    def opened(file: Path, threads: int) -> Segmenter:
        return Segmenter(
            file, provider=_PROVIDER.value, threads=threads, image_size=image_size, confidence=False
        )

    threads = numbers_of_threads(_THREADS.value, available_cores())
    segmenters = [opened(file, threads[0]) for file in files]
    about = [describe_file(*pair, frame_bgr) for pair in zip(files, segmenters, strict=True)]
    del segmenters
    times = time_files(files, threads, frame_bgr, _SECONDS.value, opened)
    result: dict[str, Any] = {
        "machine": {
            "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
            "processor": processor_name(),
            "cores": available_cores(),
            "load": load,
            "onnxruntime": onnxruntime.__version__,
            "providers": onnxruntime.get_available_providers(),
            "opencv": cv2.__version__,
        },
        "frame": list(frame_bgr.shape[:2]),
        "picture": _PICTURE.value,
        "files": [
            told
            | {
                "threads": {
                    str(number): describe_times(times[file, number], times[files[0], number])
                    for number in threads
                }
            }
            for file, told in zip(files, about, strict=True)
        ],
    }
    print(format_benchmark(result))
    if numbers:
        make_folder(numbers.parent)
        write_json(numbers, result)
        print(f"Written to {numbers}")
    print(f"Next: hierseg predict {quoted('model', files[0])} --source=0 --show")


def numbers_of_threads(given: list[str], cores: int) -> list[int]:
    """Of `--threads`, each once, in order; `all` is one for every core.

    Without being asked for, more threads than cores are not tried.
    """
    chosen = []
    for value in given:
        if value != "all" and not (value.isascii() and value.isdecimal() and 0 < int(value) < 1025):
            raise HiersegError(f"--threads is {','.join(given)!r}; give numbers from 1, or all.")
        number = cores if value == "all" else int(value)
        if value == "all" or number <= cores or "all" not in given:
            chosen.append(number)
    return sorted(set(chosen))


def _frame() -> np.ndarray:
    """uint8 BGR [H, W, 3]."""
    size = parse_size(_FRAME.value, "frame")
    if size is None or not all(0 < side <= 10_000 for side in size):
        raise HiersegError(f"--frame is {','.join(_FRAME.value or [])!r}; give height,width.")
    if _PICTURE.value is None:
        return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    picture_bgr = cv2.cvtColor(as_picture(_PICTURE.value), cv2.COLOR_RGB2BGR)
    return cv2.resize(picture_bgr, size[::-1], interpolation=cv2.INTER_AREA)

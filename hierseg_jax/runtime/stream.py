"""Segments a source: reading, inference and drawing overlap in three threads."""

import collections
import dataclasses
import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hierseg_jax.data.read import png
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.runtime.frames import Frame, Images, Video, open_frames
from hierseg_jax.runtime.segmenter import Segmentation, Segmenter
from hierseg_jax.runtime.sink import Sink
from hierseg_jax.runtime.smoothing import Smoother, check_weight
from hierseg_jax.runtime.tiles import check_scores, segment_tiled
from hierseg_jax.system.errors import HiersegError

DEPTH = 4
WINDOW = "hierseg_jax (q ends)"
Segment = Callable[..., Segmentation]
Take = Callable[[str, np.ndarray, Segmentation], np.ndarray]


@dataclasses.dataclass
class Summary:
    """What a run over a source did; changes while it goes on.

    Attributes:
      frames: segmented.
      seconds: in all.
      inference_seconds: spent in onnxruntime.
      faults: a sentence for every picture that was skipped.
    """

    frames: int = 0
    seconds: float = 0.0
    inference_seconds: float = 0.0
    faults: list[str] = dataclasses.field(default_factory=list)


def segment_source(
    segmenter: Segmenter,
    source: str,
    output: str | None,
    *,
    level: str = "",
    masks: bool = False,
    tiles: bool = False,
    show: bool = False,
    overwrite: bool = False,
    smooth: float = 0.0,
) -> tuple[Summary, Path | None]:
    """Segments everything in a source, and draws and writes it.

    Args:
      segmenter: the network.
      source: see `frames.open_frames`.
      output: a folder for pictures (by default `segmented`), a file for a video (by
        default `segmented/NAME.mp4`); a camera is written only where this is given.
      level: to be drawn; `all` draws them side by side, "" takes the finest.
      masks: whether label PNGs are written too, to `masks/LEVEL` in the output's folder;
        255 in them are pixels that the network never saw.
      tiles: whether pictures are segmented on their own pixels, see `segment_tiled`; they then
        come one after another, for large ones fill the memory.
      show: whether a window shows the pictures, images until a key is pressed; q, or
        closing the window, ends.
      overwrite: whether existing files may be replaced.
      smooth: weight of the frames before in a video's scores, see `smoothing`; 0 is off.

    Returns:
      The summary, and where the pictures are.

    Raises:
      ValueError, OSError: one sentence; KeyboardInterrupt after files are completed.
    """
    levels = choose_levels(segmenter, level)
    check_weight(smooth)
    if smooth and tiles:
        raise HiersegError("--smooth is for videos, --tiles for large pictures; give one of them.")
    segment: Segment = functools.partial(segmenter, smooth=Smoother(smooth) if smooth else None)
    drawn_pictures = _overlapped
    if tiles:
        check_scores(segmenter)
        names = [segmenter.hierarchy.level_names[index] for index in levels]
        segment = functools.partial(segment_tiled, segmenter, levels=names, confidence=False)
        drawn_pictures = _one_by_one
    if show:
        require_display()
    opened = open_frames(source)
    if smooth:
        _require_frames_and_scores(segmenter, opened, source)
    if isinstance(opened, Images):
        looked_at = spread_indices(len(opened), png.HEADERS)
        for loss in png.losses(opened.files[index] for index in looked_at):
            print(f"note: {loss}", file=sys.stderr, flush=True)
    sink = Sink(segmenter, opened, source, output, levels, masks, overwrite)
    summary, started = Summary(), time.perf_counter()
    bar = tqdm(total=len(opened) or None, unit="frame", disable=None)
    try:
        with bar:
            for drawn in drawn_pictures(iter(opened), segment, sink.take, summary):
                bar.update()
                if show and drawn is not None and _shown(drawn, wait=isinstance(opened, Images)):
                    break
                del drawn  # before the next picture comes
    finally:
        sink.close()
        summary.seconds = time.perf_counter() - started
    return summary, sink.place


def choose_levels(segmenter: Segmenter, level: str) -> list[int]:
    """Numbers of the levels to draw; ValueError names those there are."""
    names = [each.name for each in segmenter.hierarchy.levels]
    if level == "all":
        return list(range(len(names)))
    if level and level not in names:
        raise HiersegError(f"--level is {level!r}; the network has {', '.join(names)}, or all.")
    return [names.index(level) if level else len(names) - 1]


def _require_frames_and_scores(segmenter: Segmenter, opened: Images | Video, source: str) -> None:
    """Raises ValueError where nothing can be averaged."""
    if isinstance(opened, Images):
        raise HiersegError(
            f"--smooth is for the frames of a video or a camera, and {source} is images; leave it "
            "out."
        )
    if segmenter.plain:
        raise HiersegError(
            "--smooth needs the network's scores, and --onnx_file gives label maps alone; export "
            "it again without --plain, or with --contract=reference."
        )


def require_display() -> None:
    """Raises ValueError where a window can't be opened.

    Without a display Qt aborts the whole process; hence another one tries first.
    """
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('trial')"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:  # noqa: S603
        raise HiersegError("--show needs a display, and none can be opened; leave it out.")


def _shown(drawn_bgr: np.ndarray, wait: bool) -> bool:
    """Shows a picture, where `wait` until a key is pressed; tells whether to end."""
    cv2.imshow(WINDOW, drawn_bgr)
    while True:
        key = cv2.waitKey(20 if wait else 1)
        closed = cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1
        if closed or key & 0xFF == ord("q"):
            return True
        if key >= 0 or not wait:
            return False


def _segmented(image_bgr: np.ndarray, segment: Segment, summary: Summary) -> Segmentation:
    result = segment(image_bgr, bgr=True)
    summary.frames += 1
    summary.inference_seconds += result.seconds["inference"]
    return result


def _skip(fault: str, summary: Summary) -> None:
    summary.faults.append(fault)
    tqdm.write(f"skipped: {fault}", file=sys.stderr)


def _overlapped(
    frames: Iterator[Frame], segment: Segment, take: Take, summary: Summary
) -> Iterator[np.ndarray | None]:
    """Drawn pictures, while the next is read and the last ones are drawn and written."""
    pending: collections.deque[Future] = collections.deque()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        upcoming = reader.submit(next, frames, None)
        while (frame := upcoming.result()) is not None:
            upcoming = reader.submit(next, frames, None)
            if frame.image_bgr is None:
                _skip(frame.fault, summary)
                yield None
                continue
            result = _segmented(frame.image_bgr, segment, summary)
            pending.append(writer.submit(take, frame.name, frame.image_bgr, result))
            while pending and (len(pending) > DEPTH or pending[0].done()):
                yield pending.popleft().result()
        for future in pending:
            yield future.result()


def _one_by_one(
    frames: Iterator[Frame], segment: Segment, take: Take, summary: Summary
) -> Iterator[np.ndarray | None]:
    """The same with one picture in memory, drawn and written before the next is read."""
    for frame in frames:
        if frame.image_bgr is None:
            _skip(frame.fault, summary)
            yield None
            continue
        result = _segmented(frame.image_bgr, segment, summary)
        drawn = take(frame.name, frame.image_bgr, result)
        del frame, result
        yield drawn
        del drawn

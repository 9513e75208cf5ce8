"""Segments a source, from what is asked for to the files that are written."""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from tqdm import tqdm

from hierseg_jax.data.read import unread
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.runtime.frames import Images, open_sources
from hierseg_jax.runtime.pace import Stopwatch
from hierseg_jax.runtime.passing import Segment, Summary, one_by_one, overlapped
from hierseg_jax.runtime.playing import Wait, in_real_time, newest_frames
from hierseg_jax.runtime.segmentation import chosen_levels
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.sink import Sink, painter_for
from hierseg_jax.runtime.smoothing import USUAL, Smoother, check_weight
from hierseg_jax.runtime.tiled_segmentation import segment_tiled
from hierseg_jax.runtime.video import Frame, Video
from hierseg_jax.runtime.window import Window, require_display
from hierseg_jax.runtime.window_keys import WindowView
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note
from hierseg_jax.system.paths import local_path

MOST_AT_ONCE = 8
"""Pictures in the network; one thread draws and writes them all, and keeps up with no more."""


def segment_source(
    segmenter: Segmenter,
    source: str | Sequence[str],
    output: str | None,
    *,
    level: str = "",
    masks: bool = False,
    tiles: bool = False,
    show: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    smooth: float | None = None,
    legend: str = "auto",
    refine: bool | None = None,
) -> tuple[Summary, tuple[Path, ...]]:
    """Segments everything in a source, and draws and writes it.

    Args:
      segmenter: the network.
      source: see `frames.open_frames`; or several of images.
      output: a folder for pictures (by default `segmented`), a file for a video (by
        default `segmented/NAME.mp4`); a camera, and what a window shows, is written only where
        this is given.
      level: to be drawn; `all` draws them side by side, "" takes the finest.
      masks: whether label PNGs are written too, to `masks/LEVEL` in the output's folder;
        255 in them are pixels that the network never saw.
      tiles: whether pictures are segmented on their own pixels, see `segment_tiled`; they then
        come one after another, for large ones fill the memory.
      show: whether a window shows the pictures, see `view`. A video that is not written keeps
        its own pace, and frames that would be late are passed over.
      overwrite: whether existing files may be replaced.
      skip_existing: whether images are passed over of which all files exist, and no picture and
        no label map is replaced.
      smooth: weight of the frames before in a video's scores, see `smoothing`; 0 is off. By
        default `smoothing.USUAL`, where the file gives scores and nothing is cut into windows.
      legend: `below`, in a `corner`, `none`, or `auto`, see `sink.painter_for`.
      refine: whether borders between classes follow the picture's edges, see `guided_labels`; by
        default in pictures, and in videos that are shown alone, as long as labels keep up (see
        `view`). What `tiles` cuts into windows does without.

    Returns:
      The summary, and where what was written is: a file, or the folder of several.

    Raises:
      ValueError, OSError: one sentence; KeyboardInterrupt after files are completed.
    """
    levels = chosen_levels(segmenter.hierarchy, level)
    _check_wishes(segmenter, smooth, tiles, refine, overwrite, skip_existing)
    if show:
        require_display()
    written, kept = output is not None or not show, bool(output or masks)
    results = local_path(output or "segmented") if written or masks else None
    sources = [source] if isinstance(source, str) else [*source]
    opened = open_sources(sources, results)
    named = sources[0] if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
    if isinstance(opened, Video):
        _check_video(opened, named, skip_existing, show or kept)
    else:
        _check_images(opened, named, smooth)
    if smooth is None:
        smooth = USUAL if isinstance(opened, Video) else 0.0
    live = isinstance(opened, Video) and opened.live
    watch = Stopwatch()
    sink = Sink(
        segmenter,
        opened,
        named,
        output,
        levels,
        masks,
        overwrite,
        legend=legend,
        pictures=written,
        skip_existing=skip_existing,
        watch=watch if live else None,
    )
    unit = "picture" if isinstance(opened, Images) else "frame"
    summary, started = Summary(unit), time.perf_counter()
    if sink.missing is not None:
        summary.there = len(opened) - len(sink.missing)
        opened = sink.missing
    with contextlib.ExitStack() as ended:
        # Whatever fails from here on: a video that was begun is completed, or vanishes.
        ended.callback(sink.close)
        # A window that nothing else waits for can show better borders where it has the time.
        edges = isinstance(opened, Images) or (show and not kept) if refine is None else refine
        window = None
        if show:
            view = WindowView(
                segmenter.hierarchy.num_levels,
                tuple(levels),
                edges=edges and not segmenter.plain,
                edges_chosen=refine is not None,
                stills=isinstance(opened, Images),
            )
            every = segmenter.hierarchy.levels
            folder = sink.folder if kept else Path()
            window = Window(view, every, painter_for(every, opened, legend), watch, folder)
            ended.callback(window.close)
        wait = window.wait if window else lambda seconds: True
        frames = _frames_for(opened, watch, wait, show and not kept)
        # An error would hold them, and they a camera and its thread.
        ended.callback(frames.close)
        # One by one is the newest frame of a camera, and one large picture in memory.
        overlap = not (tiles or live or show)
        names = [each.name for each in segmenter.hierarchy.levels]
        wanted = names if show else [names[index] for index in levels]
        smoother = Smoother(smooth) if smooth else None
        if overlap and len(opened) != 1 and segmenter.provider == "cpu":
            segmenter, summary.at_once = _several_at_once(segmenter)
        bar = tqdm(total=len(opened) or None, unit=unit, disable=True if show else None)
        if overlap:
            label = functools.partial(segmenter.label, levels=wanted, refine=edges)
            steps = overlapped(frames, segmenter.score, smoother, label, sink.take, summary)
        else:
            segment: Segment = functools.partial(segmenter, smooth=smoother, levels=wanted)
            if tiles:
                segment = functools.partial(
                    segment_tiled, segmenter, levels=wanted, confidence=False, told=_told_in(bar)
                )
            steps = one_by_one(
                frames,
                segment,
                functools.partial(segmenter.finish, levels=wanted),
                # What is written does not follow the window's keys.
                lambda: window.view.edges if window is not None and not kept else edges,
                sink.take,
                summary,
                window,
            )
        with bar, contextlib.closing(steps):
            for _ in steps:
                bar.update()
    if isinstance(opened, Video):
        summary.dropped = max(0, opened.count - summary.frames) + sink.left_out
    summary.seconds = time.perf_counter() - started
    return summary, sink.places


def _check_wishes(
    segmenter: Segmenter,
    smooth: float | None,
    tiles: bool,
    refine: bool | None,
    overwrite: bool,
    skip_existing: bool,
) -> None:
    """Raises ValueError for what can't be asked of this network, or not together."""
    check_weight(smooth or 0.0)
    if smooth and tiles:
        raise HiersegError("--smooth is for videos, --tiles for large pictures; give one of them.")
    for flag, asked in {"--smooth": smooth, "--tiles": tiles, "--refine": refine}.items():
        if asked:
            segmenter.require_scores(flag)
    if refine and tiles:
        note("--refine is for pictures no larger than the network's; --tiles does without.")
    if skip_existing and overwrite:
        raise HiersegError("--skip_existing leaves files and --overwrite replaces them; give one.")


def _check_video(video: Video, named: str, skip_existing: bool, has_purpose: bool) -> None:
    """Closes it and raises ValueError where nothing of what is asked for can come of it."""
    if skip_existing:
        video.close()
        raise HiersegError(f"--skip_existing is for images, and {named} is a video; leave it out.")
    if video.live and not has_purpose:
        video.close()
        raise HiersegError(
            f"Nothing would come of {video.name}: give --show to see it, or --output=FILE.mp4 to "
            "write it."
        )


def _check_images(images: Images, named: str, smooth: float | None) -> None:
    """Raises ValueError where they are taken for frames; notes what is lost or not shown."""
    if smooth:
        raise HiersegError(
            f"--smooth is for the frames of a video or a camera, and {named} is images; leave it "
            "out."
        )
    looked_at = spread_indices(len(images), unread.HEADERS)
    losses = unread.losses(images.files[index] for index in looked_at)
    for each in (*images.passed_over, *losses):
        note(each)


def _told_in(bar: tqdm) -> Callable[[int, int], None]:
    """What tells in a bar how far a large picture is, which may take minutes."""

    def told(done: int, total: int) -> None:
        bar.set_postfix_str(f"window {done} of {total}" if done < total else "")

    return told


def _frames_for(
    opened: Images | Video, watch: Stopwatch, wait: Wait, in_time: bool
) -> Generator[Frame]:
    """Those to be segmented; `in_time` passes over what would be late."""
    if isinstance(opened, Images):
        return iter(opened)
    if opened.live:
        return newest_frames(opened, wait)
    return in_real_time(opened, watch, wait) if in_time else iter(opened)


def _several_at_once(segmenter: Segmenter) -> tuple[Segmenter, int]:
    """For how many pictures at once, and the network with its share of the threads for each.

    All threads on one picture wait for one another after every operator, and for whatever else
    keeps a core busy meanwhile, such as drawing.
    """
    threads = segmenter.threads or available_cores()
    at_once = min(threads, MOST_AT_ONCE)
    return (segmenter.with_threads(threads // at_once) if at_once > 1 else segmenter), at_once

"""How pictures pass through the network: one by one, or several at once in threads."""

import collections
import dataclasses
import functools
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from hierseg_jax.runtime.segmentation import Scored, Segmentation
from hierseg_jax.runtime.smoothing import Smoother
from hierseg_jax.runtime.video import Frame
from hierseg_jax.runtime.window import Window

DEPTH = 1
"""Pictures that wait to be drawn: more of them would be memory alone, for one thread draws all."""
Segment = Callable[..., Segmentation]
Score = Callable[..., Scored]
Label = Callable[..., Segmentation]
Finish = Callable[..., dict[str, np.ndarray]]
Take = Callable[[Frame, Segmentation], None]


@dataclasses.dataclass
class Summary:
    """What a run over a source did; changes while it goes on.

    Attributes:
      unit: what the source consists of, `picture` or `frame`.
      frames: segmented.
      seconds: in all.
      at_once: pictures that are in the network together.
      inference_seconds: spent in onnxruntime, of all pictures.
      faults: a sentence for every picture that was skipped.
      dropped: frames of a video that were passed over, to keep its pace.
      there: images that were segmented before, and are passed over.
    """

    unit: str = "picture"
    frames: int = 0
    dropped: int = 0
    there: int = 0
    at_once: int = 1
    seconds: float = 0.0
    inference_seconds: float = 0.0
    faults: list[str] = dataclasses.field(default_factory=list)


def overlapped(
    frames: Iterator[Frame],
    score: Score,
    smooth: Smoother | None,
    label: Label,
    take: Take,
    summary: Summary,
) -> Generator[None]:
    """Once for every picture, while others are read, segmented, and drawn and written in turn.

    Args:
      score: what the network says of a picture, as `Segmenter.score`.
      smooth: averages that over frames, one after the other in their order.
      label: label maps from that, as `Segmenter.label`.
    """
    segmented: collections.deque[tuple[Frame, Future | _Smoothed]] = collections.deque()
    written: collections.deque[Future] = collections.deque()

    def write_first() -> None:
        frame, result = segmented.popleft()
        written.append(writer.submit(take, frame, _counted(result.result(), summary)))

    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(summary.at_once) as network,
        ThreadPoolExecutor(1) as in_order,
        ThreadPoolExecutor(1) as writer,
    ):
        upcoming = reader.submit(next, frames, None)
        while (frame := upcoming.result()) is not None:
            upcoming = reader.submit(next, frames, None)
            if frame.image_bgr is None:
                _skip(frame.fault, summary)
                yield None
                continue
            image_bgr = frame.image_bgr
            result: Future | _Smoothed
            if smooth:
                scored = network.submit(score, image_bgr, bgr=True)
                begin = functools.partial(network.submit, label, image_hwc=image_bgr)
                result = _Smoothed(in_order.submit(_smoothed, smooth, scored, begin))
            else:
                result = network.submit(_labelled, score, label, image_bgr)
            segmented.append((frame, result))
            while segmented and (len(segmented) > summary.at_once or segmented[0][-1].done()):
                write_first()
            while written and (len(written) > DEPTH or written[0].done()):
                yield written.popleft().result()
        while segmented:
            write_first()
        for future in written:
            yield future.result()


def one_by_one(
    frames: Iterator[Frame],
    segment: Segment,
    finish: Finish,
    edges: Callable[[], bool],
    take: Take,
    summary: Summary,
    window: Window | None = None,
) -> Generator[None]:
    """The same with one picture in memory: drawn, written and shown before the next is read.

    Args:
      finish: label maps from planes of scores, as `Segmenter.finish`.
      edges: whether borders of the next picture follow edges; in the window as its view has it.
    """
    for frame in frames:
        if frame.image_bgr is None:
            _skip(frame.fault, summary)
            yield None
            continue
        refine = edges()
        result = _counted(segment(frame.image_bgr, bgr=True, refine=refine), summary)
        take(frame, result)
        if window and not _show(window, finish, frame.image_bgr, result, refine):
            return
        del frame, result  # before the next picture comes
        yield None


def _show(
    window: Window, finish: Finish, image_bgr: np.ndarray, result: Segmentation, refine: bool
) -> bool:
    """Whether the window stays; what it shows may have other borders than what is written."""
    if result.planes is None:
        return window.show(image_bgr, result, None)
    finished = functools.partial(_finished, finish, image_bgr, result)
    edges = window.view.edges
    return window.show(image_bgr, result if edges == refine else finished(edges), finished)


def _finished(
    finish: Finish, image_bgr: np.ndarray, result: Segmentation, edges: bool
) -> Segmentation:
    """The same scores with other borders."""
    image_hwc = image_bgr if edges else None
    levels = finish(result.planes, result.placement, image_hwc=image_hwc)
    return dataclasses.replace(result, levels=levels)


def _labelled(score: Score, label: Label, image_bgr: np.ndarray) -> Segmentation:
    return label(score(image_bgr, bgr=True), image_bgr)


@dataclasses.dataclass(frozen=True)
class _Smoothed:
    """A frame's label maps, made once the frames before are averaged: a future of a future."""

    begun: Future[Future[Segmentation]]

    def done(self) -> bool:
        return self.begun.done() and (bool(self.begun.exception()) or self.begun.result().done())

    def result(self) -> Segmentation:
        return self.begun.result().result()


def _smoothed(
    smooth: Smoother, scored: Future[Scored], begin: Callable[[Scored], Future[Segmentation]]
) -> Future[Segmentation]:
    """Of what follows on the network only this has to be in the frames' order."""
    return begin(smooth(scored.result()))


def _counted(result: Segmentation, summary: Summary) -> Segmentation:
    summary.frames += 1
    summary.inference_seconds += result.seconds["inference"]
    return result


def _skip(fault: str, summary: Summary) -> None:
    summary.faults.append(fault)
    tqdm.write(f"skipped: {fault}", file=sys.stderr)

"""Bringing checked pictures and masks to where they are to go."""

import concurrent.futures
import io
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from hierseg_jax.data.prepare.check import Example
from hierseg_jax.data.prepare.scaled_masks import IN_PNG
from hierseg_jax.system.atomic_writing import bring, link, make_folder, write_atomically
from hierseg_jax.system.bars import bar
from hierseg_jax.system.cores import available_cores

_AT_ONCE = 64


def transfer(examples: Sequence[Example], move: bool, hard_links: bool) -> int:
    """Brings what is not there yet; returns the number of files.

    Args:
      examples: without a fault.
      move: images, and masks that are not drawn, are moved.
      hard_links: they are linked; drawn masks are written in any case.
    """
    for folder in {path.parent for e in examples for path in (e.image, e.mask)}:
        make_folder(folder)

    def take(source: pathlib.Path, target: pathlib.Path) -> bool:
        return link(source, target) if hard_links else bring(source, target, move)

    written = 0
    for example, mask in bar(_with_masks(examples), "writing", len(examples)):
        if example.picture.unpack is None:
            written += take(example.picture.image, example.image)
        elif not example.image.exists():
            write_atomically(example.image, example.picture.unpack())
            written += 1
        if example.picture.draw is None:
            written += take(example.picture.mask, example.mask)
        elif mask:
            write_atomically(example.mask, mask)
            written += 1
    return written


def _with_masks(examples: Iterable[Example]) -> Iterator[tuple[Example, bytes]]:
    """Masks are drawn a second time, since all of a large data set fill the memory."""
    left = iter(examples)
    with concurrent.futures.ThreadPoolExecutor(available_cores()) as pool:
        while some := list(itertools.islice(left, _AT_ONCE)):
            yield from zip(some, pool.map(_drawn, some), strict=True)


def _drawn(example: Example) -> bytes:
    """The file of a mask that is to be drawn; empty where there is nothing to write."""
    if example.picture.draw is None or example.mask.exists():
        return b""
    mask_hw = example.picture.draw(example.size)
    assert mask_hw is not None, "checked before"
    if example.mask.suffix == ".npy":
        stream = io.BytesIO()
        np.save(stream, mask_hw, allow_pickle=False)
        return stream.getvalue()
    if mask_hw.dtype not in IN_PNG:  # colours, 0xRRGGBB
        mask_hw = np.stack([mask_hw >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
    return cv2.imencode(".png", mask_hw)[1].tobytes()

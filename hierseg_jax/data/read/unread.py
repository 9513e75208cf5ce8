"""What is not read of a picture as it stands in its file."""

import pathlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from hierseg_jax.data.read import png, tiff
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import check_pixels, read_file
from hierseg_jax.system.wording import counted

# Of a data set or a folder so many files tell by their headers how all are read, and so many by
# their pixels whether anything shows through them: nobody waits.
HEADERS, _LOOKED_THROUGH = 64, 8
_DEEP = (
    "is a {kind} of 16 bits. Of such pictures the upper eight of those bits are read that their "
    "values use (8, 10, 12 or 16, or as many as an sBIT chunk says), each picture by itself"
)
_CLEAR = (
    "is a {kind} with transparency, which is not read: pixels have the colours stored beneath it"
)
PAGES = "is a TIFF of several pictures, of which the first is read"


def losses(files: Iterable[pathlib.Path]) -> list[str]:
    """Sentences about what is not read of pictures, each with a first file.

    Only headers are looked at, and a few pictures; files that can't be opened are passed over,
    for they are refused elsewhere.
    """
    found: dict[str, str] = {}
    left = _LOOKED_THROUGH
    for file in files:
        for text, kind in _told(file):
            loss = text.format(kind=kind)
            if loss in found:
                continue
            if text is _CLEAR:
                left -= 1
                if left < 0 or is_opaque(file):
                    continue
            found[loss] = f"{file} {loss}."
    return list(found.values())


def losses_of(file: pathlib.Path) -> list[str]:
    """Of one file, without its name and the full stop."""
    told = [(text, kind) for text, kind in _told(file) if text is not _CLEAR or not is_opaque(file)]
    return [text.format(kind=kind) for text, kind in told]


def is_opaque(file: pathlib.Path) -> bool:
    """Whether nothing shows through a picture, though it has an alpha; many tools write one.

    False where that can't be told.
    """
    try:
        data = read_file(file)
        if tiff.is_tiff(data):
            tiff.check_image(data, file)
        else:
            check_pixels(file, *png.size(png.read_chunks(data, file)))
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (HiersegError, OSError, cv2.error):
        return False
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return False
    return bool(image[..., 3].min() == (255 if image.dtype == np.uint8 else 65_535))


def is_stack(file: pathlib.Path) -> bool:
    """Whether a file holds several pictures: pages, slices, moments."""
    return _is_tiff(file) and PAGES in (text for text, _ in _told(file))


def about_stacks(files: Iterable[pathlib.Path]) -> tuple[str, ...]:
    """A sentence about those that are such, if there are some."""
    stacks = [file for file in files if is_stack(file)]
    if not stacks:
        return ()
    hold = "holds" if len(stacks) == 1 else "hold"
    return (
        f"{counted(len(stacks), 'file')} {hold} several pictures, of which the first is read, such "
        f"as {stacks[0]}. Save the others as files of their own, if they are meant.",
    )


def _told(file: pathlib.Path) -> Iterator[tuple[str, str]]:
    """What headers tell: sentences, and the kind of file that belongs into them."""
    is_tiff, more = _is_tiff(file), False
    try:
        if is_tiff:
            deep, clear, more = tiff.told(file)
        else:
            deep, clear = png.told(file)
    except OSError:
        return
    for text in [_DEEP] * deep + [_CLEAR] * clear + [PAGES] * more:
        yield text, "TIFF" if is_tiff else "PNG"


def _is_tiff(file: pathlib.Path) -> bool:
    return file.suffix.lower() in (".tif", ".tiff")

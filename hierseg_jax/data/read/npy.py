"""Masks as numpy stores them, from bytes that someone else wrote."""

import contextlib
import io
import math
import pathlib
import reprlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.regular_file import check_pixels, cut_off

T = TypeVar("T")

_MOST = np.float64(1 << 32)
_TRIES = 100


def read_npy(data: bytes, file: pathlib.Path) -> np.ndarray:
    """The array of a .npy file, [H, W] or [H, W, 1]: integers [H, W].

    Integers come without a copy, bool as uint8, floats that are whole numbers as int64. Python
    objects are never loaded.

    Args:
      data: of the file.
      file: for the sentence.

    Raises:
      ValueError: a sentence starting with `file`, for anything else.
    """
    try:
        shape, fortran_order, dtype, start = undisturbed(lambda: _header(data))
    except Exception as error:  # the header is parsed as Python, with Python's many errors
        raise HiersegError(
            f"{file} is no .npy file, or a damaged one; write it with numpy.save."
        ) from error
    if dtype.hasobject:
        raise HiersegError(
            f"{file} holds Python objects (a pickle), which are never loaded; store the mask as "
            "a uint8 array."
        )
    if dtype.kind not in "iubf":
        raise HiersegError(
            f"{file} holds {dtype} values; a mask holds class indices, store it as uint8."
        )
    count = math.prod(shape)
    if len(data) - start < count * dtype.itemsize:
        raise cut_off(file)
    if count <= 0 or any(side < 0 for side in shape):
        raise HiersegError(f"{file} holds an empty array; a mask is [height, width].")
    if len(shape) != 2 and (len(shape) != 3 or shape[2] != 1):
        raise HiersegError(
            f"{file} has the shape {reprlib.repr(shape)}; a mask is [height, width], one class "
            f"index a pixel.{_of_planes(shape)}"
        )
    check_pixels(file, *shape[:2])
    array = np.frombuffer(data, dtype, count, start)
    return whole_numbers(array.reshape(shape[:2], order="F" if fortran_order else "C"), file)


def undisturbed(read: Callable[[], T]) -> T:
    """What `read` gives, which parses a .npy file's header, in threads beside others that do.

    numpy parses headers as Python, and CPython counts the depth of all threads' parsers in one
    place. Where one gives way to another halfway, as JAX's callback at a garbage collection lets
    it, the count is wrong and a SystemError says so; there is nothing wrong with the file.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(SystemError):
            return read()
    return read()


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, dtype, and where the numbers begin."""
    stream, numpys = io.BytesIO(data), np.lib.format
    first = numpys.read_magic(stream) == (1, 0)
    read = numpys.read_array_header_1_0 if first else numpys.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    # True is a whole number to numpy's parser.
    return tuple(map(int, shape)), fortran_order, dtype, stream.tell()


def _of_planes(shape: tuple[int, ...]) -> str:
    """What to do, a sentence behind a space, where a plane for every class is likely."""
    if len(shape) != 3:
        return ""
    axis = 0 if shape[0] < shape[2] else 2
    return f" If it has a plane for every class, store `np.argmax(mask, {axis}).astype(np.uint8)`."


def whole_numbers(array: np.ndarray, file: pathlib.Path) -> np.ndarray:
    """The same numbers as integers; of no copy where they are.

    Raises:
      ValueError: a sentence starting with `file`, for floats that are none.
    """
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind != "f":
        return array
    # Beyond that floats are all whole, and none is a class; a NaN is never below.
    small = np.abs(array) < _MOST
    whole = array[small].astype(np.int64)
    if not small.all() or (whole != array[small]).any():
        odd = array[~small] if not small.all() else array[small][whole != array[small]]
        raise HiersegError(
            f"{file} holds {array.dtype} values that are no whole numbers, such as {odd[0]:g}; a "
            "mask holds class indices, store it as uint8."
        )
    return whole.reshape(array.shape)

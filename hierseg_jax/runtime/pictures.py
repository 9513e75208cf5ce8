"""A picture as a program gives it: an array, or the path of a file."""

import os

import numpy as np

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import local_path

Picture = np.ndarray | str | os.PathLike[str]
"""uint8 RGB [H, W, 3], or the path of a JPEG, PNG, WebP, BMP or TIFF."""


def as_picture(picture: Picture) -> np.ndarray:
    """The picture itself: uint8 RGB [H, W, 3].

    Of a file, grey becomes three equal channels, transparency is dropped, and it is turned upright
    as its EXIF says (`read_image`). Of an array nothing is guessed: only RGB is taken. It is
    copied, since a camera's buffer shows another picture soon.

    Raises:
      ValueError, FileNotFoundError: one sentence, for anything else.
    """
    if isinstance(picture, str | os.PathLike):
        file = local_path(os.fspath(picture))
        if not file.exists():
            raise HiersegFileNotFoundError(f"There is no picture {file}; give the path of a file.")
        return read_image(file)
    check_picture(picture)
    return np.array(picture, order="C")  # OpenCV takes no mirrored views, as [..., ::-1] gives


def check_picture(image_hwc: np.ndarray) -> None:
    """Raises ValueError for anything but uint8 [H, W, 3], and says how to come by that."""
    if not isinstance(image_hwc, np.ndarray):  # of a file that is missing OpenCV makes None
        remedy = ", no array."
        if hasattr(image_hwc, "convert"):  # of PIL
            remedy = ". Give np.asarray(picture.convert('RGB'))."
        elif hasattr(image_hwc, "__array__"):
            remedy = ", no array of NumPy. Give np.asarray(picture)."
        raise HiersegError(
            f"A picture is uint8 [height, width, 3]; got {type(image_hwc).__name__}{remedy}"
        )
    fits = image_hwc.ndim == 3 and image_hwc.shape[2] == 3 and image_hwc.size
    if not fits or image_hwc.dtype != np.uint8:
        remedies = "".join(f" {remedy}" for remedy in _remedies(image_hwc))
        raise HiersegError(
            f"A picture is uint8 [height, width, 3]; got {image_hwc.dtype} {image_hwc.shape}."
            + remedies
        )


def _remedies(image: np.ndarray) -> list[str]:
    """What makes a picture of a common kind of array, a sentence a step."""
    remedies = []
    if image.ndim == 4:
        remedies.append("Give several pictures one by one, or as a list.")
    elif image.ndim == 2:
        remedies.append("Make three channels of a grey one: np.stack([picture] * 3, -1).")
    elif image.ndim == 3 and image.shape[2] == 1:
        remedies.append("Make three channels of a grey one: np.repeat(picture, 3, -1).")
    elif image.ndim == 3 and image.shape[2] == 4:
        remedies.append("Leave transparency out: picture[..., :3].")
    elif image.ndim == 3 and image.shape[0] == 3 != image.shape[2]:
        remedies.append("Bring channels to the end: picture.transpose(1, 2, 0).")
    in_bytes = image.dtype.kind in "iuf" and image.size and 0 <= image.min() <= image.max() <= 255
    if image.dtype.kind == "f" and in_bytes and image.max() <= 1:
        remedies.append("Bring floats in [0, 1] to bytes: (picture * 255).round().astype('uint8').")
    elif image.dtype != np.uint8 and in_bytes:
        remedies.append("Bring numbers in 0..255 to bytes: np.rint(picture).astype('uint8').")
    elif image.dtype == np.uint16:
        remedies.append("Bring 16 bits to 8: (picture >> 8).astype('uint8').")
    return remedies

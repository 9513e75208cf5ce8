"""A fingerprint of an image that survives scaling, recompression and small changes of tone."""

import cv2
import numpy as np

_SIDE = 32
# Grey levels (root mean square); below, the noise of a JPEG would decide the bits.
_LEAST_STRUCTURE = 1.0


def perceptual_hash(image_hwc: np.ndarray) -> int | None:
    """pHash: signs of 64 low frequencies of the picture, about their median.

    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010),
    section 3.2.1: the grey image at 32 x 32, its DCT, the 8 x 8 coefficients after the
    lowest row and column.

    Args:
      image_hwc: uint8 RGB [H, W, 3].

    Returns:
      Below 2**64; None for an image without structure at these frequencies.
    """
    small_hwc = cv2.resize(image_hwc, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    gray_hw = cv2.cvtColor(small_hwc, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low = cv2.dct(gray_hw)[1:9, 1:9].ravel()
    # The transform is orthonormal: a coefficient is 32 times its share of the deviation.
    if np.linalg.norm(low) / _SIDE < _LEAST_STRUCTURE:
        return None
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes())

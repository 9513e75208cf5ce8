"""That what a network gives for scores are scores."""

import numpy as np

from hierseg_jax.system.errors import HiersegError

MOST_SCORE = 1.01
"""Of a probability, as a network in float16 or integers may round it."""


def checked(confidence_hw: np.ndarray) -> np.ndarray:
    """The best score of every pixel; ValueError where one is no probability, such as NaN."""
    lowest, highest = confidence_hw.min(), confidence_hw.max()  # either is NaN where anything is
    if not (lowest >= 0 and highest <= MOST_SCORE):
        raise HiersegError(
            f"The network's best scores are {lowest:.4g} to {highest:.4g}, where probabilities are "
            "0 to 1; export a checkpoint whose numbers are finite, with its softmax."
        )
    return confidence_hw


def check_best(planes_chw: np.ndarray) -> None:
    """The same of `log_planes`, uint16 [C, h, w], where what is not a number is a score of 0."""
    # Nearly always the first class alone tells, in a tenth of the time.
    if not (planes_chw[0].all() or planes_chw.max(0).all()):
        raise HiersegError(
            "The network's best scores are 0 or no numbers; export a checkpoint whose numbers are "
            "finite, with its softmax."
        )

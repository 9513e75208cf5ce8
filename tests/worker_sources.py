"""What processes that read data get from tests.

They import the file that it is in, and with a file of tests all that these are about.
"""

import os
import signal

import numpy as np

from hierseg_jax.system.errors import HiersegFileNotFoundError


def filled_example(index):
    return {"image": np.full((8, 8, 3), index, np.uint8)}


class Broken:
    """A source whose second example can't be had."""

    def __init__(self, mistake):
        self._mistake = mistake

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index:
            return self.stumble()
        return {"image": np.zeros((8, 8, 3), np.uint8), "label": np.zeros((8, 8), np.uint8)}

    def stumble(self):
        raise HiersegFileNotFoundError("b.jpg is gone.") if self._mistake else ValueError("defect")


class Signalling:
    """A source in whose reading process a signal arrives."""

    def __init__(self, number):
        self._number = number

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), self._number)
        return {"image": np.zeros((8, 8, 3), np.uint8), "label": np.zeros((8, 8), np.uint8)}


def be_signalled(index, count):
    """What a worker does first, in place of ignoring signals: as if one came before."""
    os.kill(os.getpid(), (signal.SIGTERM, signal.SIGINT)[index])

"""Frames of videos, drawn."""

import cv2
import numpy as np


def scene(seed=0, size=(72, 96), noise=0.0, frame=0):
    """Patches of colour, large and small, and noise that is another in every frame."""
    rng, height, width = np.random.default_rng(seed), *size
    still = np.full((*size, 3), 128.0)
    for patches in ((3, 4), (height // 6, width // 6)):
        octave = rng.uniform(-110, 110, (*patches, 3))
        still += cv2.resize(octave, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = still + np.random.default_rng(frame).normal(0, noise, still.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def moved_by(plane_hw, by):
    """A plane moved by (rows, columns), its ends repeated."""
    matrix = np.array([[1, 0, by[1]], [0, 1, by[0]]], np.float32)
    size = plane_hw.shape[::-1]
    return cv2.warpAffine(plane_hw, matrix, size, borderMode=cv2.BORDER_REPLICATE)

"""A small data set without a fault, for the tests that put one into it."""

import cv2
import numpy as np

YAML = """\
train: train/images
val: val/images
names: [background, torso, head, legs]
level_names: [half, part]
hierarchy: {upper: [torso, head], lower: [legs]}
"""
SIZE = (48, 64)


def picture(seed, size=SIZE):
    """A picture like no other: uint8 BGR."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)


def label(size=SIZE):
    """All four classes, in stripes, and some ignored pixels."""
    label_hw = np.repeat(np.arange(4, dtype=np.uint8), size[1] // 4)[None].repeat(size[0], 0)
    label_hw[:2, :2] = 255
    return label_hw


def write_pair(root, split, stem, seed, size=SIZE, label_hw=None):
    for folder in ("images", "masks"):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / split / "images" / f"{stem}.png"), picture(seed, size))
    np.save(root / split / "masks" / f"{stem}.npy", label(size) if label_hw is None else label_hw)


def make_data(root, train=4, val=3):
    """Writes the data set and returns its data.yaml."""
    for split, first, count in (("train", 0, train), ("val", train, val)):
        for i in range(count):
            write_pair(root, split, f"{split}{i}", seed=first + i)
    (root / "data.yaml").write_text(YAML)
    return root / "data.yaml"

"""Figures cut to pictures of several shapes, as a folder with a data.yaml."""

import cv2
import numpy as np

from hierseg_jax.data.figures.render import FiguresSource

# Of the parts of figures that are shown: upright, across, nearly as an input of 32 x 48.
PARTS = [np.s_[:, 12:44], np.s_[8:40, :], np.s_[4:48, 0:60]]
YAML = """\
train: train/images
val: val/images
names: [background, torso, head, arm, forearm, thigh, shin]
level_names: [body, part]
hierarchy: {body: [1, 2, 3, 4, 5, 6]}
"""


def write_figures(root):
    """24 for training and 9 for validation; returns the data.yaml."""
    for split, count in (("train", 24), ("val", 9)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        source = FiguresSource(split, 64, count, seed=0)
        for i in range(count):
            part = PARTS[i % len(PARTS)]
            image, label = source[i]["image"][part], source[i]["label"][part]
            cv2.imwrite(str(root / split / "images" / f"{i}.png"), image[..., ::-1])
            cv2.imwrite(str(root / split / "masks" / f"{i}.png"), label)
    (root / "data.yaml").write_text(YAML)
    return root / "data.yaml"

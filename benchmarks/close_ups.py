"""Cuts faces out of photographs of whole persons: a data set to be learned beside them.

python benchmarks/close_ups.py --data=data.yaml --output=close_ups
hierseg train --data="data.yaml + 0.25*close_ups/data.yaml" ...

For upright persons whose heads are at the top of the picture: a window of random size and shape
around the skin below a head, enlarged to --side pixels and in part sharpened. Borders of masks are
made smooth, as enlarging them makes steps.
"""

import pathlib

import cv2
import numpy as np
import yaml
from absl import flags
from tqdm import tqdm

from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.data.resize import Box
from hierseg_jax.system.command_line import run
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

FLAGS = flags.FlagValues()
_DATA = flags.DEFINE_string("data", None, "A data.yaml.", required=True, flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "New folder.", required=True, flag_values=FLAGS)
_HEAD = flags.DEFINE_string("head", "head", "The class of hair and hats.", flag_values=FLAGS)
_SKIN = flags.DEFINE_string("skin", "skin", "The class of faces.", flag_values=FLAGS)
_SIDE = flags.DEFINE_integer("side", 384, "Of the longer side.", flag_values=FLAGS)
_SEED = flags.DEFINE_integer("seed", 0, "Of what is random.", flag_values=FLAGS)

# Shares of a photograph's height: where heads end, how far a face reaches below a head's top, how
# far it is to the side of its middle, how high the least window is.
LOWEST_HEAD, FACE_BELOW, FACE_BESIDE, LEAST = 0.31, 0.143, 0.073, 0.117
LARGEST = 2.6
"""Times the least window."""
SHAPES = (1, 1, 4 / 3, 3 / 4, 16 / 9)
LEAST_HEAD, LEAST_FACE = 0.0006, 0.0008
"""Of a photograph's pixels."""


def window(label_hw: np.ndarray, head: int, skin: int, random: np.random.Generator) -> Box | None:
    """Around a face; None where there is none at the top of the picture."""
    height, width = label_hw.shape
    rows, columns = np.nonzero(label_hw == head)
    if len(rows) < LEAST_HEAD * label_hw.size:
        return None
    top, middle = np.percentile(rows, 1), np.percentile(columns, [5, 95]).mean()
    if top > LOWEST_HEAD * height:
        return None
    face_y, face_x = np.nonzero(label_hw == skin)
    near = (face_y >= top) & (face_y < top + FACE_BELOW * height)
    near &= np.abs(face_x - middle) < FACE_BESIDE * height
    if near.sum() < LEAST_FACE * label_hw.size:
        return None
    high = LEAST * height * random.uniform(1, LARGEST)
    wide = high * random.choice(SHAPES)
    rows_n, columns_n = min(int(high), height), min(int(wide), width)
    y = np.median(face_y[near]) - rows_n / 2 + random.uniform(-0.1, 0.2) * rows_n
    x = np.median(face_x[near]) - columns_n / 2 + random.uniform(-0.15, 0.15) * columns_n
    top, left = np.clip([y, x], 0, [height - rows_n, width - columns_n]).astype(int).tolist()
    return Box(top, left, rows_n, columns_n)


def enlarged(
    image_hwc: np.ndarray, label_hw: np.ndarray, side: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Both with `side` pixels along the longer side."""
    scale = side / max(label_hw.shape)
    size = round(label_hw.shape[1] * scale), round(label_hw.shape[0] * scale)
    kernel = cv2.INTER_CUBIC if random.random() < 0.5 else cv2.INTER_LANCZOS4
    image_hwc = cv2.resize(image_hwc, size, interpolation=kernel)
    if random.random() < 0.6:
        blurred_hwc = cv2.GaussianBlur(image_hwc, (0, 0), 0.8 * scale)
        image_hwc = cv2.addWeighted(image_hwc, 2.2, blurred_hwc, -1.2, 0)
    present = np.unique(label_hw)
    shares = [
        cv2.GaussianBlur(cv2.resize(np.float32(label_hw == label), size), (0, 0), 0.6 * scale)
        for label in present
    ]
    return image_hwc, present[np.argmax(shares, 0)].astype(np.uint8)


def main() -> None:
    """Writes the data set."""
    output, random = pathlib.Path(_OUTPUT.value), np.random.default_rng(_SEED.value)
    hierarchy = load_hierarchy(_DATA.value)
    head, skin = (hierarchy.class_names.index(name) for name in (_HEAD.value, _SKIN.value))
    source = open_split(_DATA.value, "train", _SIDE.value, {}, hierarchy)
    for kind in ("images", "masks"):
        (output / "train" / kind).mkdir(parents=True)
    count = 0
    for index in tqdm(range(len(source)), unit="picture"):
        image_hwc, label_hw = source[index]["image"], source[index]["label"]
        found = window(np.where(label_hw == IGNORE_LABEL, 0, label_hw), head, skin, random)
        if found is None:
            continue
        image_hwc, label_hw = enlarged(
            image_hwc[found.rows_columns], label_hw[found.rows_columns], _SIDE.value, random
        )
        count += 1
        name = f"close_up_{index:05d}"
        cv2.imwrite(str(output / f"train/images/{name}.jpg"), image_hwc[..., ::-1])
        cv2.imwrite(str(output / f"train/masks/{name}.png"), label_hw)
    given = yaml.safe_load(pathlib.Path(_DATA.value).read_text(encoding="utf-8"))
    kept = {key: given[key] for key in ("names", "level_names", "hierarchy") if key in given}
    described = {"path": ".", "train": "train/images", **kept}
    (output / "data.yaml").write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    print(f"{count} close-ups of {len(source)} pictures in {output / 'data.yaml'}")


if __name__ == "__main__":
    run(main, FLAGS)

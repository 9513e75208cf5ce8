"""What filters of shrinking pictures, and ways of enlarging scores, are worth on photographs.

python benchmarks/geometry.py --checkpoint=runs/lite0

Of a checkpoint's own validation pictures: mIoU at the pictures' own pixels, at several sides of
the network's input, and milliseconds a picture. docs/architecture.md has figures.
"""

import time
from collections.abc import Callable

import cv2
import jax
import numpy as np
from absl import app, flags
from PIL import Image

from hierseg_jax.checkpoint import open_checkpoint
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.resize import place
from hierseg_jax.evaluation.metrics import evaluate_levels
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.settings.building import (
    build_model,
    check_tree_of_data,
    open_source,
    spec_of_checkpoint,
)

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run's workdir or a checkpoint's folder.")
_SIDES = flags.DEFINE_list("sides", ["192", "160", "128", "96"], "Of the network's input.")
flags.mark_flag_as_required("checkpoint")

Filter = Callable[[np.ndarray, int], np.ndarray]
FILTERS: dict[str, Filter] = {
    "in two steps": lambda image, side: place(image.shape[:2], (side, side), "stretch").fit_image(
        image
    ),
    "bilinear": lambda image, side: cv2.resize(image, (side, side)),
    "area": lambda image, side: cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA),
    "antialiased": lambda image, side: np.asarray(
        Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    ),
}


def softmax(logits_chw: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    exp_chw = np.exp(logits_chw - logits_chw.max(0))
    return exp_chw / exp_chw.sum(0)


def main(argv: list[str]) -> None:
    """Prints a line for every side and filter, then one for every way of enlarging."""
    del argv
    loaded = open_checkpoint(_CHECKPOINT.value)
    settings = loaded.settings
    spec = spec_of_checkpoint(settings.data, "The checkpoint")
    hierarchy = check_tree_of_data(loaded.hierarchy, settings.data, spec, "The checkpoint")
    shape = hierarchy.num_classes, len(hierarchy.labels.names)
    if settings.model.hierarchical:
        raise app.UsageError("The comparison is of flat heads.")
    model = build_model(settings.model, hierarchy).clone(full_size=False)
    forward = jax.jit(model.apply)
    source = open_source(settings.data, settings.seed, "val")
    examples = [source[index] for index in range(len(source))]

    def logits_of(image_hwc: np.ndarray) -> np.ndarray:
        logits_bhwc = forward(loaded.variables, image_hwc[None].astype(np.float32) / 255)
        return np.asarray(logits_bhwc)[0].transpose(2, 0, 1)

    def report(title: str, labels_of: Callable[[dict], np.ndarray], note: str = "") -> None:
        matrices = [confusion_matrix(each["label"], labels_of(each), *shape) for each in examples]
        levels = evaluate_levels(np.stack(matrices), hierarchy, batch_size=1)
        print(title, *(f"{level.miou:.4f}" for level in levels.values()), note, flush=True)

    def placement_of(example: dict, side: int) -> tuple:
        return example["label"].shape, (side, side), "stretch"

    for side in map(int, _SIDES.value):
        for name, shrink in FILTERS.items():
            started = time.perf_counter()
            small = {id(each): shrink(each["image"], side) for each in examples}
            took = 1e3 * (time.perf_counter() - started) / len(examples)

            def decoded(example: dict, small: dict = small, side: int = side) -> np.ndarray:
                planes_chw = log_planes(softmax(logits_of(small[id(example)])))
                return picture_labels(planes_chw, place(*placement_of(example, side)), hierarchy)

            report(f"{side} px, {name}:", decoded, f"({took:.2f} ms)")

    side = int(_SIDES.value[0])
    ways = {
        "labels repeated": None,
        "probabilities": softmax,
        "logits": lambda logits_chw: logits_chw,
    }
    for name, scale in ways.items():

        def enlarged(example: dict, scale: Callable | None = scale) -> np.ndarray:
            placement = place(*placement_of(example, side))
            logits_chw = logits_of(placement.fit_image(example["image"]))
            if scale is None:
                label_hw = logits_chw.argmax(0).astype(np.uint8)
                return placement.restore_labels(
                    label_hw.repeat(side // len(label_hw), 0).repeat(side // len(label_hw), 1)
                )
            planes = [placement.restore_scores(plane_hw) for plane_hw in scale(logits_chw)]
            return np.argmax(planes, 0).astype(np.uint8)

        report(f"{side} px, {name}:", enlarged)


if __name__ == "__main__":
    app.run(main)

"""Evaluation of every level of the tree over a split."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.data.pipeline import Batch, eval_batches
from hierseg_jax.data.sources import load_hierarchy, open_split
from hierseg_jax.hierarchy import Hierarchy
from hierseg_jax.losses import get_loss
from hierseg_jax.metrics import LevelMetrics, evaluate_levels
from hierseg_jax.models import EfficientUNet, ESNet, create_model
from hierseg_jax.train.parallel import Parallel, local_parallel
from hierseg_jax.train.step import make_eval_step


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Results over a split.

    Attributes:
      levels: metrics by level name, coarse to fine.
      loss: mean over batches, a partial one counted as a whole one (the reference's).
      num_images: evaluated, padding left out.
      samples: the first examples, as many as were asked for: `image` uint8
        [N, S, S, 3], `label` and `prediction` uint8 [N, S, S].
    """

    levels: dict[str, LevelMetrics]
    loss: float
    num_images: int
    samples: dict[str, np.ndarray]


def evaluate_batches(
    eval_step: Callable[..., Any],
    variables: Any,
    batches: Iterable[Batch],
    hierarchy: Hierarchy,
    batch_size: int,
    parallel: Parallel,
    num_samples: int = 0,
) -> Evaluation:
    """Runs a compiled evaluation step over batches.

    Args:
      eval_step: from `Parallel.compile_eval_step`.
      variables: on the devices.
      batches: from `eval_batches`.
      hierarchy: of the labels.
      batch_size: of the batches; the reference's mIoU depends on it.
      parallel: the devices.
      num_samples: examples to give back with their predictions.
    """
    confusions, losses, samples = [], [], []
    missing, pending = num_samples, None

    def collect(batch: Batch, result: dict[str, Any]) -> None:
        nonlocal missing
        confusions.append(np.asarray(result["confusion"])[batch["valid"]])
        losses.append(float(result["loss"]))
        if missing > 0:
            take = np.flatnonzero(batch["valid"])[:missing]
            prediction = np.asarray(result["prediction"])
            samples.append((batch["image"][take], batch["label"][take], prediction[take]))
            missing -= len(take)

    for batch in batches:
        result = eval_step(variables, parallel.put_batch(batch))
        # The device works on this batch while the host reads the one before.
        if pending is not None:
            collect(*pending)
        pending = (batch, result)
    if pending is not None:
        collect(*pending)
    confusions_ncc = np.concatenate(confusions)
    names = ("image", "label", "prediction")
    return Evaluation(
        levels=evaluate_levels(confusions_ncc, hierarchy, batch_size),
        loss=float(np.mean(losses)),
        num_images=len(confusions_ncc),
        samples={
            name: np.concatenate([sample[i] for sample in samples])
            for i, name in enumerate(names)
            if samples
        },
    )


def build_model(config: Mapping[str, Any], num_classes: int, parallel: Parallel) -> Any:
    """The network that a config describes, for these devices."""
    model = config["model"]
    return create_model(
        model["name"],
        num_classes,
        backbone=model["backbone"] if model["name"] == "effunet" else None,
        dropout=model["dropout"],
        dtype=model["dtype"],
        axis_name=parallel.axis_name,
    )


def open_config_split(config: Mapping[str, Any], split: str, spec: str | None = None) -> Any:
    """A split of the data set that a config (or `spec`, in its place) names."""
    data = config["data"]
    counts = {name: data[f"figures_{name}"] for name in ("train", "val", "test")}
    figures = {"count": counts, "seed": config["seed"]}
    return open_split(spec or data["spec"], split, data["image_size"], figures)


def evaluate_checkpoint(
    checkpoint: str,
    *,
    task: str,
    which: str = "best",
    data: str | None = None,
    image_size: int | None = None,
    batch_size: int = 16,
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluates a checkpoint on a split.

    Args:
      checkpoint: a run's workdir or a checkpoint's folder.
      task: the split, `val` or `test` (or `train`).
      which: of a workdir: `best`, `last`, or an epoch.
      data: another data set with the same class tree; the run's own by default.
      image_size: another side in pixels; the run's own by default.
      batch_size: over all devices.

    Returns:
      The evaluation, and a description of what was evaluated as plain JSON.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    folder = find_checkpoint(checkpoint, which)
    loaded = load_checkpoint(folder)
    config = loaded.meta["config"]
    if image_size is not None:
        config = {**config, "data": {**config["data"], "image_size": image_size}}
    spec = data or config["data"]["spec"]
    if not spec:
        raise ValueError(f"The checkpoint {folder} names no data set; give one with --data.")
    hierarchy = Hierarchy.from_json(loaded.meta["hierarchy"])
    if load_hierarchy(spec) != hierarchy:
        raise ValueError(
            f"The checkpoint {folder} was trained on the classes "
            f"{', '.join(hierarchy.class_names)}; {spec} has another class tree."
        )
    if batch_size < 1:
        raise ValueError(f"--batch_size is {batch_size}; it must be at least 1.")
    parallel = local_parallel()
    parallel.check_batch_size(batch_size)
    model: EfficientUNet | ESNet = build_model(config, hierarchy.num_classes, parallel)
    source = open_config_split(config, task, spec)
    batches = eval_batches(source, image_size=config["data"]["image_size"], batch_size=batch_size)
    evaluation = evaluate_batches(
        parallel.compile_eval_step(make_eval_step(model, get_loss(config["loss"]))),
        parallel.put_state(loaded.variables),
        batches,
        hierarchy,
        batch_size,
        parallel,
    )
    description = {
        "checkpoint": str(folder),
        "step": loaded.meta["step"],
        "epoch": loaded.meta["epoch"],
        "data": spec,
        "task": task,
        "image_size": config["data"]["image_size"],
        "batch_size": batch_size,
        "model": config["model"]["name"],
    }
    return evaluation, description

"""Evaluation of every level of the tree over a split."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from hierseg_jax.checkpoint import open_checkpoint
from hierseg_jax.data.pipeline import Batch, eval_batches
from hierseg_jax.data.skip import SkippingSource
from hierseg_jax.data.sources import load_hierarchy, open_split
from hierseg_jax.decode import choose_decoding
from hierseg_jax.extremes import Extremes, ScoredPicture
from hierseg_jax.hierarchy import Hierarchy
from hierseg_jax.losses import LossOptions, TotalLoss, build_loss
from hierseg_jax.metrics import LevelMetrics, TreeMetrics, evaluate_levels, tree_metrics
from hierseg_jax.models import EfficientUNet, ESNet, create_model
from hierseg_jax.train.config import config_variant, fitted, network_size
from hierseg_jax.train.hosts import gather_interleaved, is_main
from hierseg_jax.train.parallel import Parallel, all_devices
from hierseg_jax.train.step import make_eval_step


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Results over a split.

    Attributes:
      levels: metrics by level name, coarse to fine.
      tree: contradictions of the levels, distances of mistakes.
      loss: mean over batches, a partial one counted as a whole one (the reference's).
      num_images: evaluated, padding left out.
      samples: the first examples, as many as were asked for: `image` uint8
        [N, S, S, 3], `label` and `prediction` uint8 [N, S, S].
      confusion_cc: int64 [C, C] of leaf classes, rows true, over all images.
      best, worst: this process's pictures that were asked for, most extreme first.
    """

    levels: dict[str, LevelMetrics]
    tree: TreeMetrics
    loss: float
    num_images: int
    samples: dict[str, np.ndarray]
    confusion_cc: np.ndarray
    best: tuple[ScoredPicture, ...] = ()
    worst: tuple[ScoredPicture, ...] = ()


def evaluate_batches(
    eval_step: Callable[..., Any],
    variables: Any,
    batches: Iterable[Batch],
    hierarchy: Hierarchy,
    batch_size: int,
    parallel: Parallel,
    num_samples: int = 0,
    extremes: Extremes | None = None,
) -> Evaluation:
    """Runs a compiled evaluation step over batches.

    Args:
      eval_step: from `Parallel.compile_eval_step`.
      variables: on the devices.
      batches: from `eval_batches`.
      hierarchy: of the labels.
      batch_size: of the batches; the reference's mIoU depends on it.
      parallel: the devices.
      num_samples: of this process's examples to give back with their predictions.
      extremes: new, to be shown every picture; the best and worst come back.
    """
    confusions, contradictions, valid, losses, samples = [], [], [], [], []
    missing, pending = num_samples, None

    def collect(batch: Batch, result: dict[str, Any]) -> None:
        nonlocal missing
        contradictions.append(np.asarray(result["contradictions"]))
        confusions.append(np.asarray(result["confusion"]))
        valid.append(batch["valid"])
        losses.append(float(result["loss"]))
        if missing > 0:
            take = np.flatnonzero(batch["valid"])[:missing]
            prediction = np.asarray(result["prediction"])
            samples.append((batch["image"][take], batch["label"][take], prediction[take]))
            missing -= len(take)
        if extremes is not None:
            prediction = np.asarray(result["prediction"])
            pictures = (batch["image"], batch["label"], prediction, batch["valid"])
            extremes.add(confusions[-1], *pictures)

    for batch in batches:
        result = eval_step(variables, parallel.put_batch(batch))
        # The device works on this batch while the host reads the one before.
        if pending is not None:
            collect(*pending)
        pending = (batch, result)
    if pending is not None:
        collect(*pending)
    # Of all processes; each has the same number, padding included.
    valid_n, confusions_ncc, contradictions_n = (
        gather_interleaved(np.concatenate(parts)) for parts in (valid, confusions, contradictions)
    )
    confusions_ncc = confusions_ncc[valid_n]
    confusion_cc = confusions_ncc.sum(0, dtype=np.int64)
    names = ("image", "label", "prediction")
    return Evaluation(
        levels=evaluate_levels(confusions_ncc, hierarchy, batch_size),
        tree=tree_metrics(confusion_cc, int(contradictions_n[valid_n].sum()), hierarchy),
        loss=float(np.mean(losses)),
        num_images=len(confusions_ncc),
        samples={
            name: np.concatenate([sample[i] for sample in samples])
            for i, name in enumerate(names)
            if samples
        },
        confusion_cc=confusion_cc,
        best=extremes.best() if extremes else (),
        worst=extremes.worst() if extremes else (),
    )


def build_model(
    config: Mapping[str, Any], hierarchy: Hierarchy, parallel: Parallel, embedding_size: int = 0
) -> Any:
    """The network that a config describes, for these devices."""
    model = config["model"]
    return create_model(
        model["name"],
        hierarchy.num_nodes if model["hierarchical"] else hierarchy.num_classes,
        backbone=model["backbone"] if model["name"] == "effunet" else None,
        variant=config_variant(config),
        dropout=model["dropout"],
        dtype=model["dtype"],
        axis_name=parallel.axis_name,
        conv_impl=model["conv_impl"],
        embedding_size=embedding_size,
        stochastic_depth=model["stochastic_depth"],
    )


def build_config_loss(
    config: Mapping[str, Any],
    hierarchy: Hierarchy,
    *,
    training: bool = False,
    class_weights: Sequence[Sequence[float]] = (),
) -> TotalLoss:
    """The loss that a config describes, for a class tree.

    Args:
      config: of the run.
      hierarchy: of its classes.
      training: whether smoothed labels, hard pixels and class weights belong to it. They
        help to learn; what is evaluated is the plain loss, whatever helped.
      class_weights: by level, coarse to fine.
    """
    given = config["loss_options"]
    options = LossOptions(given["gamma"], tuple(given["level_weights"]), given["triplets"])
    if training:
        options = dataclasses.replace(
            options,
            label_smoothing=given["label_smoothing"],
            hard_share=given["hard_share"],
            class_weights=tuple(tuple(weights) for weights in class_weights),
        )
    return build_loss(
        config["loss"], hierarchy, hierarchical=config["model"]["hierarchical"], options=options
    )


def config_decoding(config: Mapping[str, Any], decode: str | None = None) -> str:
    """The decoding rule that a config (or `decode`, in its place) names."""
    return choose_decoding(decode or config["decode"], config["model"]["hierarchical"])


def open_config_split(config: Mapping[str, Any], split: str, spec: str | None = None) -> Any:
    """A split of the data set that a config (or `spec`, in its place) names."""
    data = config["data"]
    counts = {name: data[f"figures_{name}"] for name in ("train", "val", "test")}
    figures = {"count": counts, "seed": config["seed"]}
    source = open_split(spec or data["spec"], split, max(network_size(config)), figures)
    skip = data["on_error"] == "skip"
    return SkippingSource(source, replace=split == "train") if skip else source


def check_tree_of_data(
    hierarchy: Hierarchy, config: Mapping[str, Any], spec: str, checkpoint: str
) -> None:
    """Refuses data of other classes, or of another tree unless the run had one of its own.

    Args:
      hierarchy: of the checkpoint.
      config: of the checkpoint.
      spec: the data.
      checkpoint: for the message.

    Raises:
      ValueError: one sentence.
    """
    found = load_hierarchy(spec)
    own_tree = bool(config["data"]["hierarchy"])
    if found.class_names != hierarchy.class_names or (found != hierarchy and not own_tree):
        raise ValueError(
            f"{checkpoint} was trained on the classes {', '.join(hierarchy.class_names)}; {spec} "
            "has another class tree."
        )


def evaluate_checkpoint(
    checkpoint: str,
    *,
    task: str,
    which: str = "best",
    data: str | None = None,
    image_size: tuple[int, int] | None = None,
    batch_size: int = 16,
    decode: str | None = None,
    num_extremes: int = 0,
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluates a checkpoint on a split.

    Args:
      checkpoint: a run's workdir or a checkpoint's folder.
      task: the split, `val` or `test` (or `train`).
      which: of a workdir: `best`, `last`, or an epoch.
      data: another data set with the same class tree; the run's own by default.
      image_size: another (height, width) in pixels, rounded to what the network takes; the
        run's own by default.
      batch_size: over all devices.
      decode: another decoding rule; the run's own by default.
      num_extremes: of the best and of the worst pictures to give back.

    Returns:
      The evaluation, and a description of what was evaluated as plain JSON.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    loaded = open_checkpoint(checkpoint, which)
    folder = loaded.path
    config = loaded.meta["config"]
    if image_size is not None:
        config = {**config, "data": {**config["data"], "image_size": tuple(image_size)}}
    spec = data or config["data"]["spec"]
    if not spec:
        raise ValueError(f"The checkpoint {folder} names no data set; give one with --data.")
    hierarchy = Hierarchy.from_json(loaded.meta["hierarchy"])
    decoding = config_decoding(config, decode)
    check_tree_of_data(hierarchy, config, spec, f"The checkpoint {folder}")
    if batch_size < 1:
        raise ValueError(f"--batch_size is {batch_size}; it must be at least 1.")
    parallel = all_devices()
    parallel.check_batch_size(batch_size)
    model: EfficientUNet | ESNet = build_model(config, hierarchy, parallel)
    settled, note = fitted(ConfigDict(config), model.stride)
    if note and is_main():
        print(f"note: {note}", file=sys.stderr, flush=True)
    config = settled.to_dict()
    step = make_eval_step(model, build_config_loss(config, hierarchy), hierarchy, decoding)
    source = open_config_split(config, task, spec)
    batches = eval_batches(
        source,
        size=network_size(config),
        resize=config["data"]["resize"],
        batch_size=batch_size,
        process_index=parallel.process_index,
        process_count=parallel.process_count,
    )
    extremes = None
    if num_extremes:
        first, stride = parallel.process_index, parallel.process_count
        names = getattr(source, "names", ())
        extremes = Extremes(num_extremes, names, first=first, stride=stride)
    evaluation = evaluate_batches(
        parallel.compile_eval_step(step),
        parallel.put_state(loaded.variables),
        batches,
        hierarchy,
        batch_size,
        parallel,
        extremes=extremes,
    )
    description = {
        "checkpoint": str(folder),
        "step": loaded.meta["step"],
        "epoch": loaded.meta["epoch"],
        "data": spec,
        "task": task,
        "image_size": config["data"]["image_size"],
        "resize": config["data"]["resize"],
        "batch_size": batch_size,
        "model": config["model"]["name"],
        "hierarchical": config["model"]["hierarchical"],
        "decode": decoding,
    }
    return evaluation, description

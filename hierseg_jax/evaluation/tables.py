"""An evaluation as metrics.json has it, and as a table for the screen."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.sizes import as_size, format_size
from hierseg_jax.evaluation.data_sets import DataSetMetrics
from hierseg_jax.evaluation.metrics import LevelMetrics, TreeMetrics, class_numbers, level_number
from hierseg_jax.evaluation.result import Evaluation
from hierseg_jax.settings.metric_choice import METRICS, parse_metrics
from hierseg_jax.system.wording import columns, counted, level_called, listed, padded, printable
from hierseg_jax.tree.hierarchy import Hierarchy

MUCH = 0.01
"""Share of a picture's pixels."""
LARGER = 2.5
"""Times as large as in training, which enlarges things twice, from which on it is told."""


def to_json(evaluation: Evaluation, description: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json; undefined numbers are null."""
    boundary = "boundary_iou" in description.get("metrics", ())
    content = {
        **description,
        "images": evaluation.num_images,
        "loss": plain(evaluation.loss),
        "unseen_pixels": evaluation.unseen,
        "levels": _levels_to_json(evaluation.levels, boundary),
        "tree": {k: plain(v) for k, v in dataclasses.asdict(evaluation.tree).items()},
    }
    if (alone := _background_alone(evaluation.painted_n))["pictures"]:
        content["background_alone"] = alone
    if evaluation.data_sets:
        content["datasets"] = {
            name: {"levels": _levels_to_json(of.levels, boundary), "images": of.num_images}
            for name, of in evaluation.data_sets.items()
        }
    return content


def _levels_to_json(levels: Mapping[str, LevelMetrics], boundary: bool) -> dict[str, Any]:
    content = {}
    for name, level in levels.items():
        numbers: dict[str, float | dict[str, float | None] | None] = {
            field.name: plain(getattr(level, field.name))
            for field in dataclasses.fields(LevelMetrics)
            if isinstance(getattr(level, field.name), float)
        }
        fields = ["iou", "precision", "recall", "f1"]
        if boundary:
            fields.append("boundary_iou")
        else:
            del numbers["mean_boundary_iou"]
        for field in fields:
            values = map(plain, getattr(level, field).tolist())
            numbers[field] = dict(zip(level.class_names, values, strict=True))
        if level.labelled_pixels is not None:
            numbers["labelled_pixels"] = level.labelled_pixels
        content[name] = numbers
    return content


def format_levels(levels: Mapping[str, LevelMetrics], metrics: Sequence[str]) -> str:
    """A table for the screen: every level, and every class of it.

    Where data label groups as well, a last column has the pixels that a level counts.

    Args:
      levels: by name, coarse to fine.
      metrics: of `metric_choice.METRICS`, a column each.

    Raises:
      ValueError: for another metric, with the nearest.
    """
    metrics = parse_metrics(metrics)
    headings = [f"{METRICS[metric].heading:>11}" for metric in metrics]
    if any(level.labelled_pixels is not None for level in levels.values()):
        headings.append(f"{'labelled pixels':>17}")
    names = (f"  {name}" for level in levels.values() for name in level.class_names)
    room = max(24, *map(columns, (*levels, *names)))
    lines = [f"{'':<{room}}{''.join(headings)}"]
    for name, level in levels.items():
        line = _line(name, room, [level_number(level, metric) for metric in metrics])
        if level.labelled_pixels is not None:
            line = f"{padded(line, room + 11 * len(metrics))}{level.labelled_pixels:>17,}"
        lines.append(line)
        of_classes = [class_numbers(level, metric) for metric in metrics]
        for i in level.order or range(len(level.class_names)):
            numbers = [math.nan if column is None else column[i] for column in of_classes]
            lines.append(_line(f"  {level.class_names[i]}", room, numbers))
    return "\n".join(lines)


def format_data_sets(
    data_sets: Mapping[str, DataSetMetrics], level_names: Sequence[str], metrics: Sequence[str]
) -> str:
    """A table for each of several data sets, with its name above it; empty for none.

    Lines end with a line break, here alone.

    Args:
      data_sets: by name.
      level_names: of the tree.
      metrics: as in `format_levels`.
    """
    blocks = []
    for name, of in data_sets.items():
        title = f"{printable(name)}: {counted(of.num_images, 'image')}"
        if missing := unlabelled_levels(of, level_names):
            title += f"; {missing}"
        blocks.append(f"\n{title}\n")
        if of.levels:
            blocks.append(f"{format_levels(of.levels, metrics)}\n")
    return "".join(blocks)


def unlabelled_levels(data_set: DataSetMetrics, level_names: Sequence[str]) -> str:
    """As `labels stop above level part`; empty where every level is labelled."""
    missing = [name for name in level_names if name not in data_set.levels]
    if not missing:
        return ""
    return (
        f"labels stop above {level_called(missing[0])}"
        if data_set.levels
        else "no class is labelled"
    )


def describe_view(description: Mapping[str, Any], images: str = "images") -> str:
    """How the images were looked at, as `images at 320 pixels, decoded by path`.

    The usual decoding, by leaf, is not told.

    Args:
      description: from `evaluate_checkpoint`, or metrics.json.
      images: as which they are told of, such as `150 images`.
    """
    parts = [f"{images} at {format_size(description['image_size'])} pixels"]
    how = [description["resize"]] if description["resize"] != "stretch" else []
    if description.get("sampling") == "reference":
        how.append("sampled as the reference does")
    if description.get("tiles"):
        size = format_size(description["image_size"])
        parts = [f"{images} on their own pixels, in windows of {size} pixels"]
    elif how:
        parts[0] += f" ({', '.join(how)})"
    if description["resolution"] == "original" and not description.get("tiles"):
        parts.append("counted at their own resolution")
    elif description["resolution"] == "refined":
        parts.append("counted at their own resolution, borders along the pictures' edges")
    augmented = ["mirrored"] if description["flip"] else []
    if description["scales"] != [1]:
        scales = ", ".join(f"{scale:g}" for scale in description["scales"])
        augmented.append(f"scales {scales}")
    if augmented:
        parts.append(f"with test-time augmentation ({'; '.join(augmented)})")
    if description["decode"] != "leaf":
        parts.append(f"decoded by {description['decode']}")
    if description.get("unseen_pixels"):
        parts.append(f"without the {description['unseen_pixels']:.2%} of pixels that were cropped")
    return ", ".join(parts)


def lines_beside(
    evaluation: Evaluation, hierarchy: Hierarchy, description: Mapping[str, Any]
) -> tuple[str, ...]:
    """What is to be said beside the tables, a line each.

    Args:
      evaluation: its numbers.
      hierarchy: of the classes.
      description: as of `describe_view`.
    """
    lines = [
        *format_tree(evaluation.tree, hierarchy.num_levels).splitlines(),
        format_false_alarms(evaluation.painted_n),
        format_unlabelled(evaluation.levels, hierarchy),
        _about_windows(evaluation, description) if description.get("tiles") else "",
    ]
    return tuple(filter(None, lines))


def _about_windows(evaluation: Evaluation, description: Mapping[str, Any]) -> str:
    """Where things in windows are far larger than in whole pictures of the network's size."""
    height, width = as_size(description["image_size"])
    pixels = evaluation.confusion_cc.sum() / max(evaluation.num_images, 1)
    times = math.sqrt(pixels / (height * width))
    if times < LARGER:
        return ""
    return (
        f"in windows things are about {times:.0f} times as large as in whole pictures of "
        f"{format_size((height, width))} pixels; a network that was trained on those may not know "
        "them (docs/inference.md)"
    )


def format_unlabelled(levels: Mapping[str, LevelMetrics], hierarchy: Hierarchy) -> str:
    """A line about classes that no mask holds and that are predicted; empty where there is none."""
    names: dict[str, None] = {}
    for level in hierarchy.levels:
        of = levels[level.name]
        counted_l = np.isnan(of.recall) & (of.iou == 0)
        counted_l[[] if level.background is None else level.background] = False
        names |= dict.fromkeys(of.class_names[index] for index in np.flatnonzero(counted_l))
    if not names:
        return ""
    return f"in no mask, but predicted, so that mIoU counts 0 for them: {listed(list(names), 10)}"


def format_tree(tree: TreeMetrics, num_levels: int) -> str:
    """Two lines for the screen, without what is undefined; of one level there is nothing to say."""
    if num_levels == 1:
        return ""
    lines = [
        (
            "inconsistency rate, pixels whose levels contradict one another before decoding",
            tree.contradictions,
            ".2%",
        ),
        ("tree distance of a mistake (edges, mean)", tree.mistake_distance, ".3f"),
    ]
    return "\n".join(f"{text}: {x:{style}}" for text, x, style in lines if not math.isnan(x))


def format_false_alarms(painted_n: np.ndarray | None) -> str:
    """A line for the screen about pictures of background alone; empty where there is none.

    Args:
      painted_n: from `extremes.painted_shares`.
    """
    count, some, much = _background_alone(painted_n).values()
    if not count:
        return ""
    return (
        f"pictures of background alone: {count:,}; something is painted in {some:,}, on more than "
        f"{MUCH:.0%} of the pixels in {much:,}"
    )


def _background_alone(painted_n: np.ndarray | None) -> dict[str, int]:
    bare_n = painted_n[~np.isnan(painted_n)] if painted_n is not None else np.zeros(0)
    some, much = int((bare_n > 0).sum()), int((bare_n > MUCH).sum())
    return {"pictures": len(bare_n), "painted": some, "painted_over_1_percent": much}


def _line(name: str, room: int, numbers: Sequence[float]) -> str:
    cells = [f"{'' if math.isnan(x) else f'{x:.4f}':>11}" for x in numbers]
    return f"{padded(name, room)}{''.join(cells)}".rstrip()


def plain(value: float) -> float | None:
    """A number for JSON, which has no NaN and no infinity: None."""
    return float(value) if math.isfinite(value) else None

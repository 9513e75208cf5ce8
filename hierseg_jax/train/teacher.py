"""The networks that teach a run: opened, fitted to its classes, and what they say of pictures."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.checkpoint.digest import json_digest
from hierseg_jax.checkpoint.same_checkpoint import open_configured
from hierseg_jax.checkpoint.stored_network import checkpoint_network
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sizes import format_size
from hierseg_jax.data.taught import CELL
from hierseg_jax.evaluation.eval_step import scale_image
from hierseg_jax.evaluation.test_time_augmentation import resized
from hierseg_jax.evaluation.view import View, augmented_forward
from hierseg_jax.losses.distillation import in_cells
from hierseg_jax.models import Forward, forward_of
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.fitting import fitted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network, frozen.

    Attributes:
      loaded: its checkpoint.
      size: (height, width) in pixels of what it sees.
      resize: how pictures come to that.
      view: how it looks at them.
      forward: (variables, float image [B, *size, 3]) -> logits of the run's leaf classes or nodes,
        [B, *size, K].
    """

    loaded: Checkpoint
    size: tuple[int, int]
    resize: Resize
    view: View
    forward: Forward

    @property
    def digest(self) -> str:
        """SHA-256 of its weights and settings."""
        return json_digest(self.loaded.meta["sha256"])

    def describe(self) -> str:
        """What it is, and its validation if its checkpoint tells it."""
        text = f"{checkpoint_network(self.loaded)} of {self.loaded.path}"
        if (row := self.loaded.row) is not None:
            level, numbers = list(row["levels"].items())[-1]
            shown = [f"{name} {value:.4f}" for name, value in numbers.items() if value is not None]
            text += f" (validation of {level}: {', '.join(shown[:2]) or 'no number'})"
        scales = " and ".join(f"{scale:g}" for scale in self.view.scales)
        also = f" at the scales {scales}" if self.view.scales != (1.0,) else ""
        return (
            f"{text}, at {format_size(self.size)} pixels{also}{', mirrored too' * self.view.flip}"
        )


def open_teachers(settings: Settings, hierarchy: Hierarchy) -> tuple[Teacher, ...]:
    """Those that settings name.

    Args:
      settings: of the run that they teach.
      hierarchy: of its classes.

    Raises:
      HiersegError: one sentence, for one that can't be read, has other classes or another kind of
        head.
    """
    return tuple(
        fit_teacher(open_configured(named, "teacher"), settings, hierarchy)
        for named in settings.teachers
    )


def fit_teacher(loaded: Checkpoint, settings: Settings, hierarchy: Hierarchy) -> Teacher:
    """A checkpoint as the teacher of a run, which tells the run's own classes in their order.

    Args:
      loaded: the checkpoint.
      settings, hierarchy: as in `open_teachers`.

    Raises:
      HiersegError: one sentence, for other classes or another kind of head.
    """
    options, own = settings.teacher_options, loaded.settings
    channels_k = _channels(loaded, settings, hierarchy)
    if options.size is not None:
        own = own.replace({"data.image_size": options.size})
    model = build_model(own.model, loaded.hierarchy)
    own, _ = fitted(own, model.stride)
    view = View(scales=tuple(map(float, options.scales)), flip=options.flip)
    tree = _with_pairs(loaded.hierarchy, hierarchy)
    averaged = augmented_forward(model, view, tree, own.model.hierarchical)
    of_model = averaged or forward_of(model)

    def reordered(variables: Any, image_bhwc: jax.Array) -> jax.Array:
        return of_model(variables, image_bhwc)[..., channels_k]

    same_order = np.array_equal(channels_k, np.arange(len(channels_k)))
    forward = of_model if same_order else reordered
    return Teacher(loaded, own.data.size, own.data.resizing, view, forward)


def _channels(loaded: Checkpoint, settings: Settings, hierarchy: Hierarchy) -> np.ndarray:
    """The teacher's channel of every channel of the student."""
    theirs, ours = loaded.settings.model, settings.model
    if theirs.hierarchical != ours.hierarchical:
        raise HiersegError(
            f"The config's teacher, {loaded.path}, has a {theirs.head} head, this run a "
            f"{ours.head} one, and their scores can't be compared: flat and conditional heads may "
            "teach each other, hierarchical ones teach hierarchical ones."
        )
    if not ours.hierarchical:
        return _order(loaded, _names(loaded.hierarchy, -1), _names(hierarchy, -1), settings)
    depths = loaded.hierarchy.num_levels, hierarchy.num_levels
    if depths[0] != depths[1]:
        raise HiersegError(
            f"The config's teacher, {loaded.path}, has a tree of {depths[0]} levels, "
            f"{settings.data.named} one of {depths[1]}; with hierarchical heads they must be the "
            "same."
        )
    channels_k = np.empty(hierarchy.num_nodes, int)
    for k, channels in enumerate(hierarchy.level_channels):
        order = _order(loaded, _names(loaded.hierarchy, k), _names(hierarchy, k), settings)
        channels_k[channels] = loaded.hierarchy.level_channels[k].start + order
    return channels_k


def _names(hierarchy: Hierarchy, level: int) -> list[str]:
    """Of a level's classes; the background has none of its own, whatever it is called."""
    names = list(hierarchy.levels[level].class_names)
    if hierarchy.background is not None:
        names[hierarchy.background] = ""
    return names


def _order(
    loaded: Checkpoint, theirs: Sequence[str], ours: Sequence[str], settings: Settings
) -> np.ndarray:
    if sorted(theirs) != sorted(ours):
        lists = (", ".join(name or "a background" for name in names) for names in (theirs, ours))
        raise HiersegError(
            "The config's teacher, {}, knows the classes {}; {} has {}. A teacher has the same "
            "classes, in any order.".format(loaded.path, next(lists), settings.data.named, *lists)
        )
    return np.array([theirs.index(name) for name in ours])


def _with_pairs(theirs: Hierarchy, ours: Hierarchy) -> Hierarchy:
    """The teacher's tree with the pairs of the data that it is to look at, if they name some."""
    names = _names(theirs, -1)
    order = [names.index(name) for name in _names(ours, -1)]
    pairs = tuple((order[left], order[right]) for left, right in ours.pairs)
    return dataclasses.replace(theirs, pairs=pairs or theirs.pairs)


def scores_in_step(
    teachers: Sequence[Teacher], variables: Sequence[Any], image_bhwc: jax.Array
) -> list[jax.Array]:
    """What every teacher says of the images that the student sees: [B, h, w, K] each, in cells."""
    image_bhwc, found = scale_image(image_bhwc), []
    batch, height, width, _ = image_bhwc.shape
    for teacher, own in zip(teachers, variables, strict=True):
        seen_bhwc = resized(image_bhwc, (batch, *teacher.size, 3))
        logits_bhwk = teacher.forward(own, seen_bhwc)
        full_bhwk = resized(logits_bhwk, (batch, height, width, logits_bhwk.shape[-1]))
        found.append(in_cells(full_bhwk, CELL))
    return found


def mean_of(scores: Sequence[jax.Array], hierarchical: bool) -> jax.Array:
    """The logits of the mean of several teachers' probabilities; one's as they are."""
    if len(scores) == 1:
        return scores[0]

    def log_mean(log_probabilities: Sequence[jax.Array]) -> jax.Array:
        return jax.nn.logsumexp(jnp.stack(list(log_probabilities)), axis=0) - np.log(len(scores))

    if not hierarchical:
        return log_mean([jax.nn.log_softmax(x) for x in scores])
    true = log_mean([jax.nn.log_sigmoid(x) for x in scores])
    return true - log_mean([jax.nn.log_sigmoid(-x) for x in scores])

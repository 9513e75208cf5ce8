"""All settings of a run."""

import dataclasses
import functools
import operator
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict

from hierseg_jax.data.augment.choice import augmentation_name
from hierseg_jax.data.augment.modern import SCALES, check_scales
from hierseg_jax.losses import LOSSES, parse_loss
from hierseg_jax.settings.data_section import DataSettings
from hierseg_jax.settings.key import Key, Section, key, keys_of
from hierseg_jax.settings.metric_choice import DEFAULT_METRICS, METRICS, parse_metrics
from hierseg_jax.settings.model_section import ModelSettings
from hierseg_jax.settings.training_sections import (
    LossSettings,
    MixingSettings,
    OptimizerSettings,
    ScheduleSettings,
    TeacherSettings,
)
from hierseg_jax.system.devices.parallel import WAYS
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.tree.decoding import choose_decoding

# 2**32 - 1 is the largest seed that grain takes.
LARGEST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class Settings(Section):
    """What `read_settings` makes of a config: as given, and checked.

    The properties are what single keys mean, for those that can be written in several ways.
    """

    data: DataSettings = dataclasses.field(default_factory=DataSettings)
    model: ModelSettings = dataclasses.field(default_factory=ModelSettings)
    init: str = key(
        "",
        "Workdir or checkpoint folder of the same network and classes. A new run starts from "
        "all of its weights, in place of model.pretrained=imagenet. Empty: fresh weights, or "
        "those of model.pretrained.",
        earlier="",
    )
    loss: str | Mapping[str, float] = key(
        "crossentropy",
        f"A name, a sum such as `tree_min_focal + 0.5*dice`, or {{name: weight}}. With any "
        f"head: {', '.join(LOSSES)}; a hierarchical head takes them at every level. With flat "
        "heads: hierarchical_crossentropy, soft_crossentropy. With hierarchical heads: tree_min, "
        "tree_min_focal. Beside another loss: tree_triplet and, with hierarchical heads, "
        "logic_rules.",
    )
    loss_options: LossSettings = dataclasses.field(default_factory=LossSettings)
    teacher: str | tuple[str, ...] = key(
        "",
        "Workdir or checkpoint folder of a trained network of the same classes, from which the run "
        "learns beside the labels; a list of several, whose probabilities are averaged "
        "(docs/distillation.md). Empty: none.",
        earlier="",
    )
    teacher_options: TeacherSettings = dataclasses.field(default_factory=TeacherSettings)
    decode: str = key(
        "auto",
        "How predictions follow from scores: auto (path for hierarchical heads, leaf for flat "
        "ones), leaf, top_down, path or logic (docs/tree.md).",
        earlier="auto",
    )
    remat: bool = key(
        False,
        "Keep only the outputs of blocks for the backward pass, and compute their insides "
        "again. Takes less memory on GPUs and TPUs, and is slower. Of no use on a CPU, whose "
        "compiler undoes it.",
        free=True,
        earlier=False,
    )
    parallel: str = key(
        "pmap",
        "How a step is spread over several devices: by jax.pmap, or by jit, that is jax.jit over "
        "a mesh of them, with arrays whose NamedSharding says where they lie. Both compute the "
        "same (docs/scaling.md). One device needs neither.",
        choices=WAYS,
        free=True,
        earlier="pmap",
    )
    augment: bool | str | int = key(
        "reference",
        "How training pictures are varied: none, reference (the reference's way; also True), "
        "or modern (scaled and cropped, mirrored, colours jittered). Mirroring exchanges the "
        "classes of the data's `pairs`.",
    )
    augment_scales: tuple[float, ...] = key(
        SCALES,
        "Of augment=modern, the least and the largest factor by which pictures are scaled, from "
        "0.1 to 4. Raise the largest where things will be seen from nearer than in the training "
        "pictures (docs/recipes.md).",
        earlier=SCALES,
    )
    mixing: MixingSettings = dataclasses.field(default_factory=MixingSettings)
    progressive: tuple[float, ...] = key(
        (),
        "Shares of data.image_size, above 0 and at most 1, that the sides of training pictures "
        "have: of several, such as 0.5,0.75,1, one after another for equal numbers of epochs "
        "(progressive resizing). Validation always has data.image_size. Empty: training, too.",
        earlier=(),
    )
    batch_size: int = key(32, "Images a step, over all devices.", least=1)
    epochs: int = key(30, "Epochs at most.", least=1, free=True)
    learning_rate: float = key(
        1e-3,
        "The largest learning rate: a warm-up rises to it, and the schedule falls from it.",
        within="(0, inf)",
    )
    decay: float = key(
        0.9,
        "Of the exponential schedule: factor on the learning rate after every epoch.",
        within="(0, inf)",
    )
    optimizer: OptimizerSettings = dataclasses.field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = dataclasses.field(default_factory=ScheduleSettings)
    freeze_epochs: int = key(
        0,
        "Number of epochs, from the first, in which the backbone keeps its weights and "
        "statistics. For a backbone that starts from pretrained weights.",
        least=0,
        earlier=0,
    )
    ema_decay: float = key(
        0.0,
        "Decay of a moving average of the weights, in [0, 1): the share that the average "
        "keeps of itself in a step, which is smaller in the first steps. The average is what "
        "is validated, evaluated and exported. 0: no average.",
        within="[0, 1)",
        earlier=0.0,
    )
    reestimate_statistics: int = key(
        0,
        "Training batches, before every validation, from which the batch statistics of the "
        "averaged weights are computed anew; some tens are enough. 0: they are averaged, too. "
        "Needs ema_decay.",
        least=0,
        earlier=0,
    )
    metrics: tuple[str, ...] = key(
        DEFAULT_METRICS,
        "Shown of every level, in the table, the curves and metrics.csv. Choose from "
        f"{', '.join(METRICS)}.",
        free=True,
        earlier=("miou", "reference_miou", "pixel_accuracy", "precision", "recall", "f1"),
    )
    best: str = key(
        "miou",
        "The best checkpoint has the highest value of this metric, and early stopping waits "
        "for it: one of `metrics`, of the finest level, or LEVEL.METRIC. Or `loss`, the "
        "lowest validation loss: a mean over batches, which depends on batch_size and, with "
        "dice, on the order of the pictures.",
        earlier="loss",
    )
    patience: int = key(
        5, "Epochs without a better one before the run stops; 0: never.", least=0, free=True
    )
    seed: int = key(
        0, "Of weights, dropout, shuffling and augmentation.", least=0, most=LARGEST_SEED
    )
    save_period: int = key(
        0, "A checkpoint is kept for good every so many epochs; 0: none.", least=0, free=True
    )
    keep_best: int = key(1, "Number of the best checkpoints kept.", least=1, free=True)
    keep_last: int = key(1, "Number of the most recent checkpoints kept.", least=1, free=True)
    samples: int = key(6, "Validation pictures in samples.png.", least=0, free=True)
    tensorboard: bool = key(
        True, "Whether scalars and sample pictures are written for TensorBoard.", free=True
    )

    @functools.cached_property
    def loss_weights(self) -> dict[str, float]:
        """Of the losses, by name."""
        return parse_loss(self.loss)

    @functools.cached_property
    def metric_names(self) -> tuple[str, ...]:
        """Of `metrics`, of METRICS of metric_choice.py."""
        return parse_metrics(self.metrics, "The config's metrics")

    @property
    def teachers(self) -> tuple[str, ...]:
        """Of `teacher`; empty where there is none.

        Raises:
          HiersegError: where it is neither text nor a list of texts.
        """
        if not self.teacher:
            return ()
        given = (self.teacher,) if isinstance(self.teacher, str) else self.teacher
        if not isinstance(given, tuple) or not all(isinstance(of, str) and of for of in given):
            raise HiersegError(
                f"The config's teacher is {self.teacher!r}; it must be the workdir or checkpoint "
                "folder of a run, or a list of such."
            )
        return given

    @property
    def augmentation(self) -> str:
        """Of AUGMENTATIONS."""
        return augmentation_name(self.augment)

    @property
    def scales(self) -> tuple[float, float]:
        """Of modern augmentation, the least and the largest."""
        return check_scales(self.augment_scales)

    @property
    def decoding(self) -> str:
        """The decoding rule, `auto` being one that suits the head."""
        return choose_decoding(self.decode, self.model.hierarchical)

    def flat(self) -> dict[str, Any]:
        """Values by dotted names; lists as tuples, since JSON has lists alone."""
        flat = flatten_dict(self.to_dict(), sep=".")
        return {name: _tuples(of) for name, of in flat.items()}

    def replace(self, values: Mapping[str, Any]) -> "Settings":
        """With other values of some dotted names, as `optimizer.name`; they are not checked.

        Raises:
          ValueError: a sentence, for a name that is no key.
        """
        nested = self.to_dict()
        for name, value in values.items():
            *sections, last = name.split(".")
            # A loss of a sum is no key, and a user has keys of his own.
            own = name in self.flat() or (
                ".".join(sections) in KEYS
                and isinstance(functools.reduce(operator.getitem, sections, nested), dict)
            )
            if name not in KEYS and not own:
                hint = did_you_mean(name, KEYS, "configs/default.py has them all.")
                raise HiersegError(f"The config has no key {name}; {hint}")
            functools.reduce(operator.getitem, sections, nested)[last] = value
        return Settings.from_mapping(nested)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


KEYS: dict[str, Key] = keys_of(Settings)
"""By dotted names, as `data.image_size`, in the order of configs/default.py."""
FREE_KEYS = frozenset(name for name, declared in KEYS.items() if declared.free)
"""Those that a resumed run may change."""

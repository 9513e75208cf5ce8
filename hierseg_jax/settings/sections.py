"""The sections of the config: every key with its default, its meaning and what holds for it."""

import dataclasses
import functools

from hierseg_jax.data.read.skip import ON_ERROR
from hierseg_jax.data.resize import MAX_SIDE, RESIZES
from hierseg_jax.models import Network, Variant, find_network
from hierseg_jax.settings.key import Section, key
from hierseg_jax.system.errors import HiersegError

OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("exponential", "cosine", "polynomial")
# What leaves a key of `model` to the pretrained weights.
AUTO = {"padding": "auto", "norm_epsilon": 0.0, "normalization": "auto"}


@dataclasses.dataclass(frozen=True)
class DataSettings(Section):
    """What is trained on, and how it is read."""

    spec: str = key(
        "",
        "What to train on: the path of a data.yaml, `figures` (drawn on the fly), or "
        "`tfds:pascal_person_part`.",
    )
    hierarchy: str = key(
        "",
        "A YAML file with another tree (`hierarchy`, `level_names`) over the data's classes; "
        "empty: the data's own.",
        earlier="",
    )
    image_size: int | tuple[int, int] = key(
        320,
        "What the network sees of a picture, in pixels: one side of a square, or height,width. "
        "Sides that are no multiples of the network's stride are rounded.",
    )
    resize: str = key(
        "stretch",
        "How pictures come to that size: stretch (the reference's), letterbox (whole, with bars, "
        "which count neither in losses nor in metrics), or crop (the middle).",
        choices=RESIZES,
        earlier="stretch",
    )
    worker_count: int = key(
        0,
        "Processes that read and augment; 0 reads in threads of this process, one a core.",
        least=0,
        free=True,
    )
    on_error: str = key(
        "fail",
        "What to do about an image or mask that can't be read: fail, or skip it and say so.",
        choices=ON_ERROR,
        free=True,
        earlier="fail",
    )
    allow_missing_classes: bool = key(
        False,
        "Whether a run may begin though no training mask has a pixel of some class of the tree.",
        free=True,
        earlier=True,
    )
    allow_changed: bool = key(
        False,
        "Whether a run may be continued though files of its data were added, removed or changed.",
        free=True,
        earlier=False,
    )
    figures_train: int = key(
        600,
        "Training pictures of `figures`; other data sets have their own numbers of pictures.",
        least=1,
    )
    figures_val: int = key(120, "Validation pictures of `figures`.", least=1)
    figures_test: int = key(120, "Test pictures of `figures`.", least=1)

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of what the network sees.

        Raises:
          ValueError: where `image_size` is neither a side nor a height and a width.
        """
        given = self.image_size
        sides = given if isinstance(given, tuple) else (given, given)
        if len(sides) != 2 or not all(type(s) is int and 1 <= s <= MAX_SIDE for s in sides):
            raise HiersegError(
                f"The config's data.image_size is {given!r}; it must be one side in pixels, or "
                f"height,width, each from 1 to {MAX_SIDE}."
            )
        return sides

    def figures(self, split: str) -> int:
        """Pictures of `figures` in a split."""
        return getattr(self, f"figures_{split}")


@dataclasses.dataclass(frozen=True)
class ModelSettings(Section):
    """The network, and what it starts from."""

    name: str = key(
        "effunet", "effunet, esnet, or esnet_mini: a ninth of esnet, to try things out."
    )
    backbone: str | None = key("b0", "b0 to b7, lite0 to lite4; of effunet, not read for esnet.")
    pretrained: str = key(
        "",
        "Weights to start from. imagenet: of an installed package (lite0); a file with an "
        "EfficientNet of torchvision, timm or efficientnet_pytorch; or a workdir or checkpoint "
        "folder of the same network, whose classes may be others. Empty: fresh weights.",
        earlier="",
    )
    padding: str = key(
        "auto",
        "Of the backbone's strided convolutions: symmetric, or same as TensorFlow has it. auto: as "
        "the pretrained weights want it; without any, symmetric, as in the reference.",
        earlier="symmetric",
    )
    norm_epsilon: float = key(
        0.0,
        "Of the backbone's batch norm: 1e-5, or 1e-3 as TensorFlow has it. 0: as the pretrained "
        "weights want it; without any, 1e-5, as in the reference.",
        earlier=1e-5,
    )
    normalization: str = key(
        "auto",
        "Mean and deviation of RGB in [0, 1], taken off inside the network: none; imagenet; half "
        "(0.5, 0.5); lite (127/255, 128/255). auto: as the pretrained weights want it; without "
        "any, none, as in the reference.",
        earlier="none",
    )
    dtype: str = key("float32", "Of the arithmetic: float32 or bfloat16.")
    dropout: bool = key(True, "Whether channels are dropped in residual branches.")
    stochastic_depth: float = key(
        0.0,
        "Rate in [0, 1) that dropping whole residual branches of the backbone rises to with their "
        "depth, in place of channels; 0: none.",
        within="[0, 1)",
        earlier=0.0,
    )
    hierarchical: bool = key(
        False,
        "Channels of its own, and sigmoid scores, for every level of the tree, in place of one "
        "softmax over the leaf classes.",
        earlier=False,
    )
    conv_impl: str = key(
        "auto",
        "auto, xla or tuned: what computes convolutions (docs/performance.md).",
        earlier="auto",
    )

    @property
    def network(self) -> Network:
        """The description of the network.

        Raises:
          ValueError: for an unknown name.
        """
        return find_network(self.name)

    @property
    def chosen_backbone(self) -> str | None:
        """The backbone of a network that has several to choose of; else None."""
        return self.network.own_backbone(self.backbone)

    @property
    def label(self) -> str:
        """As `esnet` or `effunet-b0`."""
        return self.network.label(self.backbone)

    @property
    def variant(self) -> Variant:
        """How the backbone computes, once nothing of it is left to the weights."""
        if not self.network.takes_variant:
            return Variant()
        return Variant(self.padding, self.norm_epsilon, self.normalization)


@dataclasses.dataclass(frozen=True)
class LossSettings(Section):
    """What losses take; smoothing, hard pixels and class weights in training alone."""

    gamma: float = key(
        2.0,
        "Of focal and tree_min_focal: larger looks away from easy pixels.",
        within="[0, inf)",
        earlier=2.0,
    )
    level_weights: tuple[float, ...] = key(
        (),
        "Of hierarchical_crossentropy: one weight a level, coarse to fine; empty: all 1.",
        earlier=(),
    )
    triplets: int = key(
        1000, "That tree_triplet draws in a step, on every device.", least=1, earlier=1000
    )
    embedding_size: int = key(
        64, "Features of tree_triplet's projection head.", least=1, earlier=64
    )
    label_smoothing: float = key(
        0.0,
        "Share of every target, in [0, 1), spread over all classes; of crossentropy. Like the next "
        "two of training alone: what is validated is the plain loss.",
        within="[0, 1)",
        earlier=0.0,
    )
    hard_share: float = key(
        1.0,
        "Share of every picture's pixels that count, in (0, 1], the hardest ones; of crossentropy "
        "and focal.",
        within="(0, 1]",
        earlier=1.0,
    )
    class_weights: str = key(
        "none",
        "Of crossentropy and focal: none; from the training split inverse_sqrt (of a class's share "
        "of the pixels) or median_frequency (inverse, of its share where it occurs), both within "
        "0.1 and 10 times the median class's; or numbers of the leaf classes, `0.3,1,2.5` in their "
        "order or `torso: 1.2, head: 3`, others having 1. A group has the mean of its leaves.",
        earlier="none",
    )


@dataclasses.dataclass(frozen=True)
class OptimizerSettings(Section):
    """How gradients become updates."""

    name: str = key("adam", "adam or adamw.", choices=OPTIMIZERS, earlier="adam")
    weight_decay: float = key(
        0.01,
        "Of adamw: share of a kernel taken off it in a step, times the learning rate; norms and "
        "biases are left alone.",
        within="[0, inf)",
        earlier=0.01,
    )
    clip_norm: float = key(
        0.0, "Largest norm of all gradients together; 0: any.", within="[0, inf)", earlier=0.0
    )
    backbone_rate: float = key(
        1.0, "Factor on the backbone's learning rate.", within="(0, inf)", earlier=1.0
    )
    layer_decay: float = key(
        1.0,
        "Factor, in (0, 1], on the learning rate of every stage of the backbone beside that of the "
        "next one up.",
        within="(0, 1]",
        earlier=1.0,
    )


@dataclasses.dataclass(frozen=True)
class ScheduleSettings(Section):
    """How the learning rate moves over a run."""

    name: str = key(
        "exponential",
        "exponential (by epochs), cosine or polynomial (by steps, over all epochs).",
        choices=SCHEDULES,
        earlier="exponential",
    )
    warmup_epochs: float = key(
        0.0,
        "Epochs in which the rate rises in a line; may be a fraction.",
        within="[0, 1000000]",
        earlier=0.0,
    )
    final: float = key(
        0.0,
        "Share of the rate left at the end, of cosine and polynomial.",
        within="[0, 1]",
        earlier=0.0,
    )
    power: float = key(0.9, "Of polynomial.", within="(0, inf)", earlier=0.9)

"""The sections of the config: every key with its default, its meaning and what holds for it."""

import dataclasses
import functools

from hierseg_jax.data.read.members import spec_text
from hierseg_jax.data.read.skip import ON_ERROR
from hierseg_jax.data.resize import MAX_SIDE, RESIZES, SAMPLINGS, Resize
from hierseg_jax.models import (
    NETWORKS,
    UPSAMPLINGS,
    Network,
    Variant,
    backbone_choices,
    find_network,
)
from hierseg_jax.settings.key import Section, key
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import find_siblings

OPTIMIZERS = ("adam", "adamw")
PRIORS = ("none", "frequency")
SCHEDULES = ("exponential", "cosine", "polynomial")
# What leaves a key of `model` to the pretrained weights.
AUTO = {"padding": "auto", "norm_epsilon": 0.0, "normalization": "auto"}


@dataclasses.dataclass(frozen=True)
class DataSettings(Section):
    """What is trained on, and how it is read."""

    spec: str | tuple[str, ...] = key(
        "",
        "What to train on: the path of a data.yaml, `figures` (drawn on the fly), or "
        "`tfds:pascal_person_part`. Several as a sum, `a.yaml + 0.5*b.yaml`, or a list: a weight "
        "says how often an epoch draws every example, and classes meet by name (docs/data.md).",
    )
    hierarchy: str = key(
        "",
        "A YAML file with another tree (`hierarchy`, `level_names`) over the data's classes; "
        "empty: the data's own, of several data sets the first's.",
        earlier="",
    )
    image_size: int | tuple[int, int] = key(
        320,
        "What the network sees of a picture, in pixels: one side of a square, or height,width. "
        "Sides that are no multiples of the network's stride are rounded.",
    )
    resize: str = key(
        "stretch",
        "How pictures come to that size: stretch, letterbox (whole, with bars, which count "
        "neither in losses nor in metrics), or crop (the middle).",
        choices=RESIZES,
        earlier="stretch",
    )
    sampling: str = key(
        "exact",
        "How pixels are sampled for it: exact (about their centres, averaged where pictures "
        "shrink by more than 2), or reference, as the PyTorch reference does it, which moves "
        "labels by up to half a pixel.",
        choices=SAMPLINGS,
        earlier="reference",
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
        "Whether a run may begin where a class of the tree has no pixel in any training mask.",
        free=True,
        earlier=True,
    )
    allow_changed: bool = key(
        False,
        "Whether a run may go on where files of its data were added, removed or changed.",
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
    figures_inner_share: float = key(
        0.0,
        "Share of the pictures of `figures` that are labelled by upper_body and lower_body alone, "
        "not by parts.",
        within="[0, 1]",
        earlier=0.0,
    )

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

    @property
    def named(self) -> str:
        """`spec` as people read it, and as an argument may give it.

        Raises:
          ValueError: where it is neither text nor a list of texts.
        """
        texts = (self.spec,) if isinstance(self.spec, str) else self.spec
        if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
            raise HiersegError(
                f"The config's data.spec is {self.spec!r}; it must be text, such as a path "
                "(./2024 of one that is a number) or a sum of them, or a list of such texts."
            )
        return spec_text(texts)

    @property
    def resizing(self) -> Resize:
        """How pictures come to `size`."""
        return Resize(self.resize, self.sampling)

    def figures(self, split: str) -> int:
        """Pictures of `figures` in a split."""
        return getattr(self, f"figures_{split}")


@dataclasses.dataclass(frozen=True)
class ModelSettings(Section):
    """The network, and what it starts from."""

    name: str = key(
        "effunet",
        f"The network: {', '.join(NETWORKS)}. esnet_mini is a ninth of esnet, to try things out.",
    )
    backbone: str | None = key(
        "b0", f"Backbone of {backbone_choices()}. Other networks do not read it."
    )
    pretrained: str = key(
        "",
        "Weights to start from: imagenet (of an installed package; lite0), a file with an "
        "EfficientNet of torchvision, timm or efficientnet_pytorch, or a workdir or checkpoint "
        "folder of the same network, whose classes may be others. Empty: fresh weights.",
        earlier="",
    )
    padding: str = key(
        "auto",
        "Padding of the backbone's strided convolutions: symmetric, or same as TensorFlow has "
        "it. auto: as the pretrained weights want it; without any, symmetric, as in the "
        "reference.",
        earlier="symmetric",
    )
    norm_epsilon: float = key(
        0.0,
        "Epsilon of the backbone's batch norm: 1e-5, or 1e-3 as TensorFlow has it. 0: as the "
        "pretrained weights want it; without any, 1e-5, as in the reference.",
        earlier=1e-5,
    )
    normalization: str = key(
        "auto",
        "How the network normalizes pictures, by mean and deviation of RGB in [0, 1]: none; "
        "imagenet; half (0.5, 0.5); lite (127/255, 128/255). auto: as the pretrained weights "
        "want it; without any, none, as in the reference.",
        earlier="none",
    )
    dtype: str = key("float32", "Of the arithmetic: float32 or bfloat16.")
    dropout: bool = key(True, "Whether training drops channels in residual branches.")
    stochastic_depth: float = key(
        0.0,
        "Training drops whole residual branches of the backbone, in place of single channels. "
        "The rate rises from 0 at the first block to nearly this, in [0, 1), at the last. 0: "
        "none.",
        within="[0, 1)",
        earlier=0.0,
    )
    hierarchical: bool = key(
        False,
        "True: every level of the tree has channels of its own, with sigmoid scores. False: "
        "one softmax over the leaf classes.",
        earlier=False,
    )
    sibling_softmax: bool = key(
        False,
        "Of a flat head. True: a class's probability is the product of softmaxes among siblings "
        "along its path from the root. False: one softmax over all leaf classes.",
        earlier=False,
    )
    prior: str = key(
        "none",
        "What the head's biases begin at: none (small random numbers), or frequency (scores are "
        "then the classes' shares of the training pixels). Weights to start from go before it.",
        choices=PRIORS,
        earlier="none",
    )
    upsampling: str = key(
        "bicubic",
        "How logits come to the size of the picture that the network sees: bicubic (to twice "
        "their size, and bilinear from there), bilinear, or nearest, as in the reference. "
        "Networks whose logits have that size anyway do not read it.",
        choices=UPSAMPLINGS,
        earlier="nearest",
    )
    conv_impl: str = key(
        "auto",
        "What computes convolutions: auto, xla or tuned (docs/performance.md).",
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

    @property
    def head(self) -> str:
        """`flat`, `hierarchical` or `conditional`.

        Raises:
          HiersegError: where it is said to be two of them.
        """
        if self.hierarchical and self.sibling_softmax:
            raise HiersegError(
                "The config's model.hierarchical and model.sibling_softmax are both True; a head "
                "is one of them: leave the other False."
            )
        if self.hierarchical:
            return "hierarchical"
        return "conditional" if self.sibling_softmax else "flat"

    def head_channels(self, hierarchy: Hierarchy) -> int:
        """Channels of the head for the classes of a tree."""
        return {
            "flat": hierarchy.num_classes,
            "hierarchical": hierarchy.num_nodes,
            "conditional": find_siblings(hierarchy).num_nodes,
        }[self.head]


@dataclasses.dataclass(frozen=True)
class LossSettings(Section):
    """What losses take; smoothing, hard pixels and class weights in training alone."""

    gamma: float = key(
        2.0,
        "Of focal and tree_min_focal: the larger, the less easy pixels count.",
        within="[0, inf)",
        earlier=2.0,
    )
    level_weights: tuple[float, ...] = key(
        (),
        "Of hierarchical_crossentropy: one weight a level, coarse to fine; empty: all 1.",
        earlier=(),
    )
    beta: float = key(
        10.0,
        "Of soft_crossentropy: how fast targets fall with the distance to the label; the larger, "
        "the harder the labels.",
        within="(0, inf)",
        earlier=10.0,
    )
    triplets: int = key(
        1000, "Triplets that tree_triplet draws in a step on each device.", least=1, earlier=1000
    )
    embedding_size: int = key(
        64, "Features of tree_triplet's projection head.", least=1, earlier=64
    )
    label_smoothing: float = key(
        0.0,
        "Of crossentropy: share of every target, in [0, 1), that is spread over all classes. "
        "Like the next two keys it acts in training alone: validation takes the plain loss.",
        within="[0, 1)",
        earlier=0.0,
    )
    hard_share: float = key(
        1.0,
        "Of crossentropy and focal: share of every picture's pixels, in (0, 1], that count: the "
        "hardest ones.",
        within="(0, 1]",
        earlier=1.0,
    )
    class_weights: str = key(
        "none",
        "Of crossentropy and focal: none, a rule, or numbers. A rule gives rare classes of the "
        "training split more weight: inverse_sqrt by 1 / root of the share of all pixels, "
        "median_frequency by 1 / share in the pictures that show the class. Weights of a rule stay "
        "within 0.1 and 10 times the median class's. "
        "Numbers are those of the leaf classes: `0.3,1,2.5` in their order, or `torso: 1.2, head: "
        "3` with 1 for the others. A group has the mean of its leaves.",
        earlier="none",
    )


@dataclasses.dataclass(frozen=True)
class OptimizerSettings(Section):
    """How gradients become updates."""

    name: str = key("adam", "adam or adamw.", choices=OPTIMIZERS, earlier="adam")
    weight_decay: float = key(
        0.01,
        "Weight decay of adamw: a step takes this share, times the learning rate, off every "
        "kernel. Norms and biases are not decayed.",
        within="[0, inf)",
        earlier=0.01,
    )
    clip_norm: float = key(
        0.0, "Largest norm of all gradients together; 0: any.", within="[0, inf)", earlier=0.0
    )
    backbone_rate: float = key(
        1.0,
        "Factor on the backbone's learning rate; 1: that of the rest.",
        within="(0, inf)",
        earlier=1.0,
    )
    layer_decay: float = key(
        1.0,
        "Factor, in (0, 1], between the learning rates of neighbouring stages of the "
        "backbone. The last stage has the backbone's rate; each earlier stage has this factor "
        "times the rate of the stage after it. 1: one rate for all.",
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
        "Epochs in which the rate rises linearly; may be a fraction.",
        within="[0, 1000000]",
        earlier=0.0,
    )
    final: float = key(
        0.0,
        "Of cosine and polynomial: share of the rate left at the end.",
        within="[0, 1]",
        earlier=0.0,
    )
    power: float = key(0.9, "Exponent of polynomial.", within="(0, inf)", earlier=0.9)

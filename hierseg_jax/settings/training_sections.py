"""The sections of the config about training: every key with its default and its meaning."""

import dataclasses

from hierseg_jax.data.sizes import MAX_SIDE
from hierseg_jax.settings.key import Section, key
from hierseg_jax.system.errors import HiersegError

SCORES = ("once", "each_step")
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("exponential", "cosine", "polynomial")


@dataclasses.dataclass(frozen=True)
class LossSettings(Section):
    """What losses take; smoothing, hard pixels and class weights in training alone."""

    gamma: float = key(
        2.0,
        "Of focal and tree_min_focal: the larger, the less easy pixels count.",
        within="[0, inf)",
        earlier=2.0,
    )
    every_level: bool = key(
        False,
        "Whether a flat head has its losses of classes (crossentropy, dice, ...) at every level of "
        "the tree, on sums of the leaves' probabilities. A hierarchical head always has.",
        earlier=False,
    )
    level_weights: tuple[float, ...] = key(
        (),
        "Of every_level and hierarchical_crossentropy: one weight a level, coarse to fine; empty: "
        "all 1.",
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
class TeacherSettings(Section):
    """How a teacher looks at pictures, and what its word weighs."""

    weight: float = key(
        1.0, "Of the teacher's term, beside the loss of the labels.", within="(0, inf)", earlier=1.0
    )
    temperature: float = key(
        1.0,
        "What the logits of both are divided by; the larger, the more the teacher's less likely "
        "classes count.",
        within="(0, inf)",
        earlier=1.0,
    )
    scores: str = key(
        "once",
        "once: the teacher looks at every whole picture before the first epoch, and its scores "
        "are kept in the cache folder. each_step: it looks at every example as it was augmented.",
        choices=SCORES,
        earlier="once",
    )
    image_size: int | tuple[int, int] = key(
        0,
        "What it sees of a picture, in pixels: one side, or height,width; 0: its own size.",
        earlier=0,
    )
    flip: bool = key(
        False, "Whether its scores are averaged over mirrored pictures too.", earlier=False
    )
    scales: tuple[float, ...] = key(
        (1.0,), "Of the sides, over which its scores are averaged.", earlier=(1.0,)
    )

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels; None for the teacher's own.

        Raises:
          HiersegError: where `image_size` is neither a side nor a height and a width.
        """
        given = self.image_size
        sides = given if isinstance(given, tuple) else (given, given)
        if sides == (0, 0):
            return None
        if len(sides) != 2 or not all(type(s) is int and 1 <= s <= MAX_SIDE for s in sides):
            raise HiersegError(
                f"The config's teacher_options.image_size is {given!r}; it must be 0, one side in "
                f"pixels, or height,width, each from 1 to {MAX_SIDE}."
            )
        return sides


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
        "Epochs in which the rate rises linearly; may be a fraction. Half of a run that is no "
        "longer, but for exponential.",
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


@dataclasses.dataclass(frozen=True)
class MixingSettings(Section):
    """What becomes of a batch's examples after each is augmented, mostly of several of them."""

    backdrop: float = key(
        0.0,
        "Share of the training pictures, in [0, 1], whose background, bars included where they are "
        "taught as that, is painted over with a colour that goes over into another.",
        within="[0, 1]",
        earlier=0.0,
    )
    poor_camera: float = key(
        0.0,
        "Share of the training pictures, in [0, 1], that are made dark and tinted; the same share, "
        "drawn by itself, is blurred, and again the same share gets noise, or loses its colours.",
        within="[0, 1]",
        earlier=0.0,
    )
    mosaic: float = key(
        0.0,
        "Share of the training pictures, in [0, 1], that become four pictures of the batch at half "
        "their sides, two by two; some of them twice where it has fewer.",
        within="[0, 1]",
        earlier=0.0,
    )
    copy_paste: float = key(
        0.0,
        "Share of the training pictures, in [0, 1], onto which the foreground of another one of "
        "the batch is pasted with its labels: all that is labelled and is not the background.",
        within="[0, 1]",
        earlier=0.0,
    )
    cutmix: float = key(
        0.0,
        "Share of the training pictures, in [0, 1], onto which a rectangle of another one is "
        "pasted with its labels.",
        within="[0, 1]",
        earlier=0.0,
    )
    mixup: float = key(
        0.0,
        "Share of the training pictures, in [0, 1], into which another one is blended; the loss is "
        "that of both labels, weighted alike.",
        within="[0, 1]",
        earlier=0.0,
    )
    mixup_alpha: float = key(
        0.2,
        "Of mixup: the weight is drawn from Beta(alpha, alpha), once a step. The smaller, the "
        "nearer it mostly is to 0 or 1; with 1 it is drawn evenly.",
        within="(0, inf)",
        earlier=0.2,
    )

    @property
    def of_several(self) -> tuple[str, ...]:
        """The keys above 0 that make one picture of several."""
        names = ("mosaic", "copy_paste", "cutmix", "mixup")
        return tuple(name for name in names if getattr(self, name))

"""The section `model` of the config: which network, and what it starts from."""

import dataclasses

from hierseg_jax.models import (
    DECODERS,
    MATMUL_PRECISIONS,
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

PRIORS = ("none", "frequency")
# What leaves a key of `model` to the pretrained weights.
AUTO = {"padding": "auto", "norm_epsilon": 0.0, "normalization": "auto"}


@dataclasses.dataclass(frozen=True)
class ModelSettings(Section):
    """The network, and what it starts from."""

    name: str = key(
        "effunet",
        f"The network: {', '.join(NETWORKS)}. esnet_small has a quarter of esnet's weights and "
        "takes less than half of its time; esnet_mini is a ninth, to try things out.",
    )
    backbone: str | None = key(
        "b0", f"Backbone of {backbone_choices()}. Other networks do not read it."
    )
    decoder: str = key(
        "reference",
        "Decoder of effunet: the reference's, or fine, which has one step more, to half of the "
        "picture's size, and interpolates between steps (docs/training.md).",
        choices=DECODERS,
        earlier="reference",
    )
    pretrained: str = key(
        "",
        "Weights to start from: imagenet (of the extra pretrained; lite0 to lite2), a file with an "
        "EfficientNet of torchvision, timm or efficientnet_pytorch, or the same network with any "
        "classes: a workdir, a checkpoint's folder, an .onnx file of hierseg export, or "
        "street_photographs, the one in the package. Empty: fresh weights.",
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
    dtype: str = key(
        "float32",
        "Of the arithmetic: float32 or bfloat16 (less memory, faster on accelerators and on CPUs "
        "with AMX).",
    )
    matmul_precision: str = key(
        "default",
        "Of convolutions and matrix products in float32: default (TF32 on GPUs, bfloat16 on TPUs), "
        "high (TF32 on GPUs, three passes of bfloat16 on TPUs) or highest (float32). A CPU has "
        "float32 anyway.",
        choices=MATMUL_PRECISIONS,
        earlier="default",
    )
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
        "What computes convolutions: auto, xla or tuned (docs/kernels.md).",
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

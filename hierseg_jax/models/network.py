"""What describes a network: all that the rest of the project knows of it."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hierseg_jax.models.segmentation_model import SegmentationModel
from hierseg_jax.models.variant import Variant
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError

ModulePath = tuple[str, ...]
ModuleNames = Iterable[tuple[ModulePath, str]]
"""Path of a module of ours, and the name of PyTorch's."""
StateDict = Mapping[str, np.ndarray]
GraphFunction = Callable[[Any, Mapping[str, Any], jax.Array, bool], jax.Array]
"""(model, variables, image_nchw in [0, 1], integers) -> logits [N, C, h, w], not enlarged.

Written in `models/graph/ops.py`, so that the graph takes any size. `integers`: as 8-bit
integers want it; the same function.
"""


@dataclasses.dataclass(frozen=True)
class StateDictLayout:
    """How a PyTorch class names the modules of a network in its state_dicts.

    Attributes:
      first_layer: name of a weight by which a state_dict is known.
      last_layer: name of the weight whose axis `class_axis` is the classes.
      class_axis: of that weight, as PyTorch lays it out.
      modules: model -> names of its modules with weights, in the class's order.
      recognise: state_dict -> name of the network and its backbone; None for a backbone where
        there is none to choose, or it is none of `backbones`.
      backbones: that the class can have.
    """

    first_layer: str
    last_layer: str
    class_axis: int
    modules: Callable[[Any], ModuleNames]
    recognise: Callable[[StateDict], tuple[str, str | None]]
    backbones: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class BackboneLayout:
    """How a package names the modules of a backbone in its state_dicts.

    Attributes:
      package: its name.
      first_layer: name of a weight by which a state_dict is known.
      modules: backbone -> names of its modules with weights.
      recognise: state_dict -> the backbone, None where it is of none.
      variant: (backbone, path of the file, `model.padding`) -> how the package computes.
    """

    package: str
    first_layer: str
    modules: Callable[[str], ModuleNames]
    recognise: Callable[[StateDict], str | None]
    variant: Callable[[str, str, str], Variant]


@dataclasses.dataclass(frozen=True)
class Backbone:
    """The part of a network that may keep its weights, or learn more slowly.

    Attributes:
      title: its name in messages.
      module: its name among the modules of the network.
      stages_below: path of one of its parameters -> how many of its stages lie between that one
        and the decoder; 0 for the last stage.
      choices: names of those that the network can be built on, the default first; empty where
        there is one alone.
      cut_from: those of them that are the first blocks of another, whose weights they can have.
      layouts: in which pretrained weights of it can be read. A network with such a backbone
        has a field `variant`.
      imagenet_file: backbone -> file of ImageNet weights in an installed package.
    """

    title: str
    module: str
    stages_below: Callable[[ModulePath], int]
    choices: tuple[str, ...] = ()
    cut_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    layouts: tuple[BackboneLayout, ...] = ()
    imagenet_file: Callable[[str], Path] | None = None


@dataclasses.dataclass(frozen=True)
class TrainingMemory:
    """What training takes at its peak on a CPU in float32, estimated from measured runs.

    Attributes:
      rest_gb: whatever the batch: the program, compiling and validating included; 1e9 bytes.
      bytes_per_pixel: of a batch's images.
    """

    rest_gb: float
    bytes_per_pixel: float

    def peak_gb(self, image_size: int, batch_size: int) -> float:
        """Of square images of that side, in 1e9 bytes."""
        return self.rest_gb + batch_size * image_size**2 * self.bytes_per_pixel / 1e9


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network that can be chosen by its name.

    Attributes:
      name: as `model.name` of the settings has it.
      architecture: the Flax module.
      heads: paths of the modules whose channels are the classes, as `decoder/output_conv`, and
        the axis of their kernels that these are.
      training_memory: estimate of what a run takes.
      fields: of the architecture, that this name stands for.
      backbone: None for a network whose parameters are all of one kind.
      graph: what is exported, with batch norms folded. Without one the architecture
        itself is exported, for one size.
      state_dict: layout of its weights in PyTorch; None where there is no such class.
    """

    name: str
    architecture: type[SegmentationModel]
    heads: Mapping[str, int]
    training_memory: TrainingMemory
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    backbone: Backbone | None = None
    graph: GraphFunction | None = None
    state_dict: StateDictLayout | None = None

    @property
    def stride(self) -> int:
        """Sides of its images are multiples of it."""
        return self.architecture.stride

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names to choose from, the default first; empty where there is nothing to choose."""
        return self.backbone.choices if self.backbone else ()

    @property
    def takes_variant(self) -> bool:
        """Whether its backbone can have weights from elsewhere."""
        return bool(self.backbone and self.backbone.layouts)

    def own_backbone(self, configured: str | None) -> str | None:
        """The configured backbone, where there is one to choose."""
        return configured if self.backbones else None

    def label(self, backbone: str | None) -> str:
        """As `esnet` or `effunet-b0`."""
        chosen = self.own_backbone(backbone)
        return f"{self.name}-{chosen}" if chosen else self.name

    def build(
        self, num_classes: int, backbone: str | None, variant: Variant | None, **settings: Any
    ) -> SegmentationModel:
        """The Flax module; `create_model` says what of, and checks what all networks share.

        Raises:
          ValueError: for a backbone, a variant or a setting that it has not.
        """
        chosen = dict(self.fields)
        if self.backbones:
            chosen["backbone"] = self.backbones[0] if backbone is None else backbone
            check_choice("backbone", chosen["backbone"], self.backbones)
        elif backbone is not None:
            raise HiersegError(
                f"{self.name} has no backbone to choose; got {backbone!r}. Leave it out."
            )
        if self.takes_variant:
            chosen["variant"] = variant or Variant()
        elif variant not in (None, Variant()):
            raise HiersegError(
                f"{self.name} has no backbone with weights from elsewhere, hence no padding, "
                "norm_epsilon or normalization to choose; leave them out."
            )
        known = {field.name for field in dataclasses.fields(self.architecture)}
        for setting in sorted(settings.keys() - known):
            if settings.pop(setting):
                raise HiersegError(f"{self.name} has no {setting}; leave it at its default.")
        return self.architecture(num_classes=num_classes, **settings, **chosen)

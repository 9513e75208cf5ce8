"""Which network a checkpoint describes, and whether it holds it."""

import dataclasses

from hierseg_jax.checkpoint import Checkpoint, check_arrays
from hierseg_jax.models import find_network
from hierseg_jax.models.initialize import variable_shapes


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """What a checkpoint or a state_dict shows of its network.

    Attributes:
      name: of `NETWORKS`.
      num_classes: channels of the head.
      backbone: of a network with several; None where it is none that we know.
    """

    name: str
    num_classes: int
    backbone: str | None

    def __str__(self) -> str:
        return find_network(self.name).label(self.backbone)


def checkpoint_network(loaded: Checkpoint) -> StoredNetwork:
    """The network that a checkpoint describes."""
    model = loaded.settings.model
    return StoredNetwork(model.name, model.head_channels(loaded.hierarchy), model.chosen_backbone)


def check_own_arrays(loaded: Checkpoint) -> None:
    """Refuses a checkpoint whose arrays are not those of the network in its settings.

    Their hashes tell that nothing has changed since they were written; whoever wrote them may
    have written anything.
    """
    network = checkpoint_network(loaded)
    what = f"{network} with {network.num_classes} channels, which it describes"
    check_arrays(loaded.path, what, loaded.variables, variable_shapes(loaded.model))

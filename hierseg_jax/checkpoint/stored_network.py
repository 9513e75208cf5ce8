"""Whether a checkpoint holds the network that it describes."""

from hierseg_jax.checkpoint import Checkpoint, check_arrays
from hierseg_jax.models import create_model
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.pytorch.recognise import checkpoint_network


def check_own_arrays(loaded: Checkpoint) -> None:
    """Refuses a checkpoint whose arrays are not those of the network in its config.

    Their hashes tell that nothing has changed since they were written; whoever wrote them may
    have written anything.

    Raises:
      ValueError: one sentence with what was found and what was expected.
    """
    network = checkpoint_network(loaded.meta)
    model = create_model(network.name, network.num_classes, backbone=network.backbone)
    what = f"{network} with {network.num_classes} channels, which it describes"
    check_arrays(loaded.path, what, loaded.variables, variable_shapes(model))

"""A step's state takes the place of the one before, in the compiled program and in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.losses import dice
from hierseg_jax.models import create_model
from hierseg_jax.settings import OptimizerSettings
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.train.optimizer import make_optimizer
from hierseg_jax.train.state import create_state
from hierseg_jax.train.step import make_train_step
from tests.tiny_network import TinyNet

BATCH = {
    "image": np.zeros((2, 32, 32, 3), np.uint8),
    "label": np.zeros((2, 32, 32), np.uint8),
    "valid": np.ones(2, bool),
}


@pytest.mark.parametrize(
    "model",
    [
        TinyNet(num_classes=4, conv_impl="xla"),
        pytest.param(create_model("esnet_mini", 4), marks=pytest.mark.slow),
    ],
    ids=lambda model: model.title,
)
def test_all_of_a_state_is_given_up_to_the_next(model):
    parallel = all_devices()
    optimizer = make_optimizer(OptimizerSettings(), lambda step: jnp.float32(1e-3), None)
    state = parallel.put_state(create_state(model, optimizer, seed=0, averaged=True))
    step = parallel.compile_train_step(make_train_step(model, dice, optimizer, average_decay=0.9))
    batch = parallel.put_batch(BATCH)

    compiled = step.lower(state, batch).compile()
    before = jax.tree.leaves(state)
    size = sum(array.nbytes for array in before)
    # What the program writes beside the state is the loss.
    assert compiled.memory_analysis().alias_size_in_bytes >= size

    # The first state may lie in NumPy's memory, which is not the device's to give away.
    state, _ = step(state, batch)
    before = jax.tree.leaves(state)
    places = [array.unsafe_buffer_pointer() for array in before]
    after, _ = jax.block_until_ready(step(state, batch))
    assert all(array.is_deleted() for array in before)
    assert not any(array.is_deleted() for array in batch.values())
    # Each array of the next state lies where one of the last did.
    assert {array.unsafe_buffer_pointer() for array in jax.tree.leaves(after)} == set(places)

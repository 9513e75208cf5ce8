"""One process of first_step.py: NETWORK SIZE BATCH. Prints a line after the first step."""

import contextlib
import inspect
import json
import statistics
import sys
import time

# What `hierseg train` begins with; older checkouts don't.
with contextlib.suppress(ImportError):
    from hierseg_jax.system.kernel_sources import compile_ahead

    compile_ahead()
quick = contextlib.nullcontext
with contextlib.suppress(ImportError):
    from hierseg_jax.system.imports import without_garbage_collection as quick

with quick():
    import jax
    import numpy as np
    import optax

    from hierseg_jax.losses import dice
    from hierseg_jax.models import create_model, find_network
    from hierseg_jax.settings import OptimizerSettings
    from hierseg_jax.system.process import set_up_process
    from hierseg_jax.train.optimizer import make_optimizer
    from hierseg_jax.train.state import create_state
    from hierseg_jax.train.step import make_train_step

CLASSES = 7


def main(network: str, size: int, batch_size: int) -> None:
    """A first step and three more."""
    set_up_process()
    model = create_model(network, CLASSES)
    schedule = optax.exponential_decay(1e-3, 100, 0.97, staircase=True)
    optimizer = make_optimizer(OptimizerSettings(), schedule, find_network(network).backbone)
    train_step = jax.jit(make_train_step(model, dice, optimizer), donate_argnums=0)
    with contextlib.suppress(ImportError):  # as `hierseg train` has it; older checkouts don't
        from hierseg_jax.train.kept_step import keep

        train_step = keep(train_step, [repr(model), "benchmark"])
    has_kept = "kept" in inspect.signature(create_state).parameters
    state = create_state(model, optimizer, seed=0, **({"kept": True} if has_kept else {}))
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (batch_size, size, size, 3), np.uint8),
        "label": rng.integers(0, CLASSES, (batch_size, size, size), np.uint8),
        "valid": np.ones(batch_size, bool),
    }
    seconds = []
    for i in range(4):
        began = time.perf_counter()
        state, _ = jax.block_until_ready(train_step(state, batch))
        seconds.append(time.perf_counter() - began)
        if i == 0:
            print("first step", flush=True)
    print(json.dumps({"step": statistics.median(seconds[1:])}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))

"""One process of train_step.py: NETWORK SIZE BATCH STEPS. Prints its numbers as JSON.

For accelerators up to five more may follow: DTYPE MATMUL_PRECISION CONV_IMPL REMAT, as in the
config, and GROUP: only after so many steps is the device waited for, as in training.
"""

import time

STARTED = time.perf_counter()

import json  # noqa: E402
import re  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from hierseg_jax.evaluation.eval_step import scale_image  # noqa: E402
from hierseg_jax.losses import build_loss  # noqa: E402
from hierseg_jax.models import create_model, find_network, forward_of  # noqa: E402
from hierseg_jax.settings import OptimizerSettings  # noqa: E402
from hierseg_jax.settings.building import counters_of_cpu  # noqa: E402
from hierseg_jax.system.process import set_up_process  # noqa: E402
from hierseg_jax.train.optimizer import make_optimizer  # noqa: E402
from hierseg_jax.train.state import create_state  # noqa: E402
from hierseg_jax.train.step import make_train_step  # noqa: E402
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART  # noqa: E402

CLASSES = PASCAL_PERSON_PART.num_classes


def main(
    network: str,
    size: int,
    batch_size: int,
    steps: int,
    dtype: str = "float32",
    matmul_precision: str = "default",
    conv_impl: str = "auto",
    remat: str = "false",
    group: str = "1",
) -> dict[str, float]:
    """Median seconds of a step and of a forward pass; seconds to the first; peak memory.

    The peak is the process's, or the device's where it says what it gave out.
    """
    set_up_process()
    model = create_model(
        network, CLASSES, dtype=dtype, matmul_precision=matmul_precision, conv_impl=conv_impl
    )
    schedule = optax.exponential_decay(1e-3, 100, 0.97, staircase=True)
    optimizer = make_optimizer(OptimizerSettings(), schedule, find_network(network).backbone)
    state = create_state(model, optimizer, seed=0)
    # As in training.
    counters = None if conv_impl == "xla" else counters_of_cpu()
    loss = build_loss("dice", PASCAL_PERSON_PART, counters=counters)
    train_step = jax.jit(
        make_train_step(model, loss, optimizer, remat=remat == "true"), donate_argnums=0
    )
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (batch_size, size, size, 3), np.uint8),
        "label": rng.integers(0, CLASSES, (batch_size, size, size), np.uint8),
        "valid": np.ones(batch_size, bool),
    }
    # As in training, which copies the next batch while a step computes.
    batch = jax.block_until_ready(jax.device_put(arrays))
    seconds = []
    for i in range(steps + 1):
        began = time.perf_counter()
        for _ in range(int(group) if i else 1):
            state, metrics = train_step(state, batch)
        jax.block_until_ready((state, metrics))
        seconds.append((time.perf_counter() - began) / int(group))
        if i == 0:
            first = time.perf_counter() - STARTED
    peak = int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e6
    if memory := jax.local_devices()[0].memory_stats():
        peak = memory["peak_bytes_in_use"] / 1e9
    if not np.isfinite(metrics["loss"]):
        sys.exit("The loss is not finite.")
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    of_model = forward_of(model)
    forward = jax.jit(lambda variables, image: of_model(variables, scale_image(image)))
    forward_seconds = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        for _ in range(int(group)):
            logits = forward(variables, batch["image"])
        jax.block_until_ready(logits)
        forward_seconds.append((time.perf_counter() - began) / int(group))
    return {
        "first_step": first,
        "step": statistics.median(seconds[1:]),
        "forward": statistics.median(forward_seconds[1:]),
        "peak_gb": peak,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:10])))

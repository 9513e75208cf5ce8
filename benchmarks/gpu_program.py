"""What XLA makes of a training step for a GPU: its convolutions, without a GPU.

python benchmarks/gpu_program.py --network=esnet --dtype=bfloat16

It takes the packages jax-cuda13-plugin and jax-cuda13-pjrt, of jax's version, which hold XLA's
compiler for GPUs; JAX_PLATFORMS=cpu where there is no GPU.

The compiler is asked for the program of an H100. Nothing runs, so that nothing is measured, and
the compiler can't try which of cuDNN's algorithms is fastest. What can be seen is which calls of
cuDNN a step consists of, and whether pictures change their layout on the way.
"""

import collections
import math
import re

import jax
import numpy as np
import optax
from absl import flags
from jax.experimental import topologies

from hierseg_jax.losses import dice
from hierseg_jax.models import NETWORKS, create_model, find_network
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.settings import OptimizerSettings
from hierseg_jax.system.command_line import run
from hierseg_jax.train.optimizer import make_optimizer
from hierseg_jax.train.state import TrainState
from hierseg_jax.train.step import make_train_step

_NETWORK = flags.DEFINE_enum("network", "esnet", list(NETWORKS), "The network.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the arithmetic.")
_CONV_IMPL = flags.DEFINE_enum("conv_impl", "auto", ["auto", "xla"], "As in the config.")
_SIZE = flags.DEFINE_integer("size", 320, "Sides of the pictures.")
_BATCH = flags.DEFINE_integer("batch", 32, "Pictures a step.")
_HLO = flags.DEFINE_string("hlo", "", "A file for the whole program.")

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""What the compiler wants to know of one."""
LARGE = 2_000_000
"""Numbers of an array that is a batch of pictures, and no kernel."""


def compile_step() -> jax.stages.Compiled:
    """The step of `benchmarks/train_step_jax.py`, compiled."""
    if _CONV_IMPL.value == "auto":
        jax.default_backend = lambda: "gpu"  # what networks ask when they are traced
    model = create_model(_NETWORK.value, 7, dtype=_DTYPE.value, conv_impl=_CONV_IMPL.value)
    schedule = optax.exponential_decay(1e-3, 100, 0.97, staircase=True)
    backbone = find_network(_NETWORK.value).backbone
    optimizer = make_optimizer(OptimizerSettings(), schedule, backbone)
    variables = variable_shapes(model)
    state = TrainState(
        step=jax.ShapeDtypeStruct((), np.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=jax.eval_shape(optimizer.init, variables["params"]),
        key=jax.ShapeDtypeStruct((2,), np.uint32),
    )
    count, size = _BATCH.value, _SIZE.value
    batch = {
        "image": jax.ShapeDtypeStruct((count, size, size, 3), np.uint8),
        "label": jax.ShapeDtypeStruct((count, size, size), np.uint8),
        "valid": jax.ShapeDtypeStruct((count,), bool),
    }
    topology = topologies.get_topology_desc(
        "1x1x1", platform="cuda", target_config=H100, topology="1x1x1"
    )
    there = jax.sharding.SingleDeviceSharding(topology.devices[0])
    state, batch = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), (state, batch)
    )
    step = jax.jit(make_train_step(model, dice, optimizer), donate_argnums=0)
    lowered = step.trace(state, batch).lower(lowering_platforms=("cuda",))
    # Trying algorithms needs a device.
    return lowered.compile(compiler_options={"xla_gpu_autotune_level": "0"})


def main() -> None:
    """Prints the counts."""
    compiled = compile_step()
    text = compiled.as_text()
    if _HLO.value:
        with open(_HLO.value, "w") as file:
            file.write(text)
    calls = collections.Counter(re.findall(r'custom_call_target="(__\w+\$\w+)"', text))
    for name, count in calls.most_common():
        print(f"{name:40} {count}")
    windows = re.findall(r'window={size=(\d+)x(\d+).*custom_call_target="__cudnn\$convF', text)
    whole = [window for window in windows if min(map(int, window)) > 9]
    print(f"{'forward, of a window like a picture':40} {len(whole)}")
    print(f"{'matrix products':40} {len(re.findall(r' dot[(]', text))}")
    print(f"{'layouts':40} {', '.join(set(re.findall(r'dim_labels=(.*?),', text)))}")
    transposed = re.findall(r"= \w+\[([\d,]+)\]\S* transpose\(", text)
    sizes = [math.prod(map(int, shape.split(","))) for shape in transposed]
    print(f"{'transposes of pictures':40} {sum(size > LARGE for size in sizes)}")
    memory = compiled.memory_analysis()
    print(f"{'memory beside arguments, GB':40} {memory.temp_size_in_bytes / 1e9:.2f}")
    print(f"{'of the arguments given up, MB':40} {memory.alias_size_in_bytes / 1e6:.1f}")


if __name__ == "__main__":
    run(main)

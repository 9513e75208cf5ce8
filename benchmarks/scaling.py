"""What a training step computes, moves and reduces, counted in its traced program.

python benchmarks/scaling.py

Prints the tables of docs/scaling.md: for each network the parameters, operations, bytes that
convolutions read and write, and all-reduces of a step; and lower bounds of the time of a step
on 1, 8, 64 and 512 devices, from the makers' figures. Nothing is run, so no device is needed.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from absl import flags

from hierseg_jax.losses import dice
from hierseg_jax.models import create_model
from hierseg_jax.system.command_line import run
from hierseg_jax.train.state import create_state
from hierseg_jax.train.step import make_train_step

_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Side in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images on each device.")
_CLASSES = flags.DEFINE_integer("classes", 7, "Leaf classes.")


@dataclasses.dataclass(frozen=True)
class Device:
    """A maker's figures.

    Attributes:
      operations: floating point, a second, in bfloat16.
      memory: bytes a second.
      near, far: bytes a second in one direction, to devices of the same `group` and others.
      group: devices joined by the near network.
      latency_near, latency_far: seconds of one hop of a collective; an assumption of ours.
    """

    name: str
    operations: float
    memory: float
    near: float
    far: float
    group: int
    latency_near: float
    latency_far: float


DEVICES = (
    # cloud.google.com/tpu/docs/v5p
    Device("TPU v5p", 459e12, 2765e9, 600e9, 600e9, 8960, 1e-6, 1e-6),
    # NVIDIA H100 SXM data sheet, NVLink; InfiniBand NDR, one port of 400 Gbit/s a GPU.
    Device("H100", 989e12, 3350e9, 450e9, 50e9, 8, 2e-6, 5e-6),
)


@dataclasses.dataclass(frozen=True)
class Step:
    """What one device does in a step.

    Attributes:
      parameters: of the network.
      operations: of convolutions.
      bytes_moved: that convolutions read and write, were all else free.
      gradients: bytes that are reduced at the step's end.
      in_sequence: bytes of each reduction that the next one waits for.
    """

    parameters: int
    operations: float
    bytes_moved: float
    gradients: int
    in_sequence: tuple[int, ...]


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a program, those of its inner programs too."""
    for equation in jaxpr.eqns:
        inner = [
            getattr(value, "jaxpr", value)
            for parameter in equation.params.values()
            for value in (parameter if isinstance(parameter, (tuple, list)) else (parameter,))
            if hasattr(getattr(value, "jaxpr", value), "eqns")
        ]
        for program in inner:
            yield from equations(program)
        if not inner:
            yield equation


def size_of(variables: Any) -> int:
    """Bytes of the arrays of an equation."""
    return sum(
        math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in variables if hasattr(v, "aval")
    )


def count(name: str) -> Step:
    """Counts a step in bfloat16 with the layers that accelerators are given."""
    model = create_model(name, _CLASSES.value, dtype="bfloat16", axis_name="data", conv_impl="xla")
    optimizer = optax.flatten(optax.adam(1e-3))
    step = make_train_step(model, dice, optimizer)
    side, images = _IMAGE_SIZE.value, _BATCH_SIZE.value
    batch = {
        "image": jax.ShapeDtypeStruct((images, side, side, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((images, side, side), jnp.uint8),
        "valid": jax.ShapeDtypeStruct((images,), jnp.bool_),
    }
    state = create_state(model, optimizer, seed=0)
    program = jax.make_jaxpr(step, axis_env=[("data", 8)])(state, batch)
    operations, moved, reductions = 0.0, 0.0, []
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    for equation in equations(program.jaxpr):
        kind = equation.primitive.name
        if kind == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            numbers = equation.params["dimension_numbers"].rhs_spec
            taps = math.prod(kernel) // kernel[numbers[0]]
            operations += 2.0 * math.prod(equation.outvars[0].aval.shape) * taps
            moved += size_of([*equation.invars, *equation.outvars])
        elif kind == "dot_general":
            moved += size_of([*equation.invars, *equation.outvars])
        elif kind.startswith("psum"):
            reductions.append(size_of(equation.outvars))
    # Those of the gradients stand last, one for each array.
    arrays = len(jax.tree.leaves(state.params))
    gradients = sum(reductions[-arrays:])
    assert gradients == 4 * parameters
    return Step(parameters, operations, moved, gradients, tuple(reductions[:-arrays]))


def reduction_seconds(size: int, devices: int, device: Device) -> float:
    """Of an all-reduce: rings for what it sends, a tree's depth for how long it waits."""
    near = min(devices, device.group)
    groups = devices // near
    seconds = 2 * (near - 1) / near * size / device.near
    seconds += 2 * (groups - 1) / groups * size / near / device.far
    hops_near, hops_far = (2 * math.ceil(math.log2(n)) for n in (near, groups))
    return seconds + hops_near * device.latency_near + hops_far * device.latency_far


def main() -> None:
    """Prints the tables."""
    images = _BATCH_SIZE.value
    for name in ("esnet", "effunet"):
        step = count(name)
        reduced = step.gradients + sum(step.in_sequence)
        print(
            f"{name}: {step.parameters / 1e6:.2f} M parameters; a step of {images} images: "
            f"{step.operations / 1e9:.0f} Gop, {step.bytes_moved / 1e9:.1f} GB through "
            f"convolutions; {reduced / 1e6:.1f} MB reduced, of which "
            f"{step.gradients / 1e6:.1f} MB gradients; {len(step.in_sequence)} reductions that "
            "wait for one another"
        )
        print("| device | devices | sent by each, MB | step, ms | waiting | images/s |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for device in DEVICES:
            alone = max(step.operations / device.operations, step.bytes_moved / device.memory)
            for devices in (1, 8, 64, 512):
                # The compiler joins the gradients' reductions; the others need one another.
                sent = 2 * (devices - 1) / devices * reduced
                waiting = reduction_seconds(step.gradients, devices, device) + sum(
                    reduction_seconds(size, devices, device) for size in step.in_sequence
                )
                seconds = alone + waiting
                print(
                    f"| {device.name} | {devices} | {sent / 1e6:.1f} | {seconds * 1e3:.2f} "
                    f"| {waiting / seconds:.0%} | {devices * images / seconds:,.0f} |"
                )


if __name__ == "__main__":
    run(main)

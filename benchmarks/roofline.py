"""How near the kernels of a network's forward pass come to what the processor can do, by layer.

taskset -c 0 python benchmarks/roofline.py --network=esnet

A sum over taps can't take less than its products at the pace of a large matrix product, nor less
than its bytes at the pace of a large copy; both are measured first. Convolutions that need fewer
products than that sum may have more than 1 of this bound. Times are processor time, the least of
some calls, of one core (hence taskset), each kernel with the shapes and strides that the network
calls it with. Layers alike are one line: how many, their milliseconds together, the bound's, and
its share.
"""

import collections
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from hierseg_jax.models import create_model
from hierseg_jax.system.command_line import run
from hierseg_jax.system.process import set_up_process

_NETWORK = flags.DEFINE_string("network", "esnet", "Of hierseg models.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 320, "Side in pixels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in a batch.")
_CALLS = flags.DEFINE_integer("calls", 9, "Of every kernel; the fastest counts.")

CLASSES = 7


def fastest(work: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    seconds = []
    for _ in range(_CALLS.value):
        began = time.process_time()
        jax.block_until_ready(work())
        seconds.append(time.process_time() - began)
    return min(seconds)


def machine() -> tuple[float, float]:
    """Products and sums, and bytes moved, in a second."""
    matrix = np.ones((2048, 2048), np.float32)
    numbers = np.ones(1 << 26, np.float32)
    target = np.zeros_like(numbers)
    flops = 2 * len(matrix) ** 3 / fastest(lambda: matrix @ matrix)
    return flops, 2 * numbers.nbytes / fastest(lambda: np.copyto(target, numbers))


def kernel_calls(jaxpr: Any) -> Iterator[Any]:
    """Equations of a program, and of the programs within it, that call a kernel of ours."""
    for equation in jaxpr.eqns:
        if str(equation.params.get("target_name", "")).startswith("hierseg_"):
            yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from kernel_calls(inner)


def kernel_of(equation: Any) -> str:
    """Its name, without those of precision and library that follow."""
    return re.sub("_(float32|bfloat16)_.*", "", equation.params["target_name"][len("hierseg_") :])


def operations(equation: Any) -> int:
    """Products and sums of a convolution; 0 of what is not bound by them."""
    if kernel_of(equation) not in ("convolve", "depthwise"):
        return 0
    given, kernel = (variable.aval for variable in equation.invars[:2])
    result = equation.outvars[0].aval
    # Every number of a kernel meets every pixel: of the input, where that is the smaller one.
    pixels = min(np.prod(given.shape[:3]), np.prod(result.shape[:3]))
    return int(2 * pixels * np.prod(kernel.shape))


def bytes_moved(equation: Any) -> int:
    """Of all that is read and written, once each."""
    return sum(
        variable.aval.size * variable.aval.dtype.itemsize
        for variable in (*equation.invars, *equation.outvars)
    )


def main() -> None:
    """Prints the machine's limits and the table."""
    set_up_process()
    flops, bandwidth = machine()
    print(f"one core: {flops / 1e9:.0f} GF/s, {bandwidth / 1e9:.1f} GB/s")
    model = create_model(_NETWORK.value, CLASSES)
    side = _IMAGE_SIZE.value
    image = jnp.zeros((_BATCH_SIZE.value, side, side, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    # All images together, as `forward_of` has them only where they are few.
    jaxpr = jax.make_jaxpr(model.apply)(variables, image).jaxpr
    layers: dict[tuple, list[Any]] = collections.defaultdict(list)
    for equation in kernel_calls(jaxpr):
        shapes = tuple(variable.aval.shape for variable in equation.invars)
        layers[kernel_of(equation), shapes, str(equation.params)].append(equation)
    random = np.random.default_rng(0)
    total = bound_total = 0.0
    print("kernel     input               weights          n       ms    bound  share")
    for (name, shapes, _), equations in layers.items():
        first = equations[0]
        inputs = [
            jnp.asarray(random.uniform(0.1, 1, variable.aval.shape), variable.aval.dtype)
            for variable in first.invars
        ]
        call = jax.jit(lambda *given, first=first: first.primitive.bind(*given, **first.params))
        jax.block_until_ready(call(*inputs))
        seconds = len(equations) * fastest(lambda call=call, inputs=inputs: call(*inputs))
        bound = max(operations(first) / flops, bytes_moved(first) / bandwidth) * len(equations)
        total, bound_total = total + seconds, bound_total + bound
        sides = ["x".join(map(str, shape)) for shape in shapes[:2]]
        print(
            f"{name:10} {sides[0]:19} {sides[1]:14} {len(equations):3} "
            f"{1e3 * seconds:8.2f} {1e3 * bound:8.2f} {bound / seconds:6.2f}"
        )
    print(
        f"together {1e3 * total:.1f} ms, bound {1e3 * bound_total:.1f}, {bound_total / total:.2f}"
    )


if __name__ == "__main__":
    run(main)

"""A table of a network's layers, parameters and multiply-adds."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.layers import Conv, ConvTranspose
from hierseg_jax.models.segmentation_model import SegmentationModel
from hierseg_jax.system.wording import aligned


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer or block.

    Attributes:
      name: path of the module.
      output: shape without the batch; None for one that the forward pass leaves out.
      parameters: trainable numbers.
      multiply_adds: of convolutions, for one image.
    """

    name: str
    output: tuple[int, ...] | None
    parameters: int
    multiply_adds: int


def summarize(
    model: SegmentationModel, image_size: tuple[int, int], depth: int = 2
) -> tuple[Row, ...]:
    """Counts layer by layer, by tracing the network without computing it.

    Args:
      model: from `create_model`.
      image_size: (height, width).
      depth: how many names of a module's path tell rows apart; deeper modules are
        summed into them. 1 gives the network's main parts, 9 every layer.

    Returns:
      Rows in the order of the forward pass, layers it leaves out last.

    Raises:
      ValueError: for a size the network does not take.
    """
    outputs: dict[str, tuple[int, ...]] = {}
    multiply_adds: dict[str, int] = {}

    def record(
        call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        result = call(*args, **kwargs)
        module = context.module
        if context.method_name == "__call__" and module.path:
            name = "/".join(module.path[:depth])
            multiply_adds.setdefault(name, 0)
            if isinstance(module, Conv | ConvTranspose):
                multiply_adds[name] += _multiply_adds(module, args[0].shape, result.shape)
            if isinstance(result, jax.Array):
                outputs[name] = tuple(result.shape[1:])
        return result

    # Layer by layer, as every machine can compute it.
    model = model.clone(conv_impl="xla")
    shapes = variable_shapes(model)
    image = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(model.apply, shapes, image)

    parameters: dict[str, int] = dict.fromkeys(multiply_adds, 0)
    for path, shape in traverse_util.flatten_dict(shapes["params"]).items():
        name = "/".join(path[:-1][:depth])
        parameters[name] = parameters.get(name, 0) + shape.size
    # A module that only hands over to the rows below it is no row of its own.
    return tuple(
        Row(name, outputs.get(name), count, multiply_adds.get(name, 0))
        for name, count in parameters.items()
        if count or multiply_adds.get(name)
    )


def format_summary(model: SegmentationModel, image_size: tuple[int, int], depth: int = 2) -> str:
    """The rows of `summarize` as a text table with a line of totals."""
    rows = summarize(model, image_size, depth)
    cells = [("layer", "output (H, W, C)", "parameters", "multiply-adds")]
    for row in rows:
        output = "not used" if row.output is None else " x ".join(map(str, row.output))
        cells.append((row.name, output, f"{row.parameters:,}", f"{row.multiply_adds:,}"))
    parameters = sum(row.parameters for row in rows)
    multiply_adds = sum(row.multiply_adds for row in rows)
    cells.append(("total", "", f"{parameters:,}", f"{multiply_adds:,}"))
    lines = aligned(cells, "<<>>")
    rule = "-" * len(lines[0])
    height, width = image_size
    title = f"{model.title}, {model.num_classes} classes, {height} x {width}"
    return "\n".join([title, rule, lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _multiply_adds(
    layer: Conv | ConvTranspose, input_bhwc: tuple[int, ...], output_bhwc: tuple[int, ...]
) -> int:
    """For one image. A transposed convolution uses its whole kernel at every input pixel."""
    _, height, width, channels = input_bhwc
    if isinstance(layer, ConvTranspose):
        return height * width * channels * layer.features * layer.kernel_size**2
    _, height, width, features = output_bhwc
    area = layer.kernel_size[0] * layer.kernel_size[1]
    return height * width * features * area * (channels // layer.groups)

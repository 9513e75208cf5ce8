"""The layers networks are built from, with PyTorch's arithmetic and initial distributions.

NHWC throughout. Kernels are stored so that one permutation, (2, 3, 1, 0), turns
every PyTorch weight into ours: OIHW into HWIO, and a transposed convolution's
IOHW into HWOI. Parameters and running statistics are float32; `Compute.dtype` is
that of the computation.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.errors import ScopeParamShapeError
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from hierseg_jax.models import gpu_gradients
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.batch_norm import NormArrays, NormOptions
from hierseg_jax.models.kernels.convolution import (
    Geometry,
    convolve,
    convolve_and_normalize,
    convolve_depthwise,
    convolve_transposed,
)
from hierseg_jax.models.products import (
    conv_as_products,
    conv_transpose_as_product,
    depthwise_as_products,
)
from hierseg_jax.system.errors import HiersegError

DType = Any
CONV_IMPLS = ("auto", "xla", "tuned")
MATMUL_PRECISIONS = ("default", "high", "highest")
PADDINGS = ("symmetric", "same")
BLOCK_OUTPUT = "block_output"
"""What `name_block_output` calls its values, for policies of `jax.checkpoint`."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """How layers compute; parameters and, up to rounding, results do not depend on it.

    Attributes:
      dtype: of the arithmetic.
      axis_name: mapped axis over which batch statistics are shared, if any.
      conv_impl: `xla` leaves convolutions to XLA; `tuned` takes this project's kernels for
        float32 and bfloat16 on a CPU, and where those can't be compiled, or elsewhere, writes what
        XLA is slow at on CPUs (depthwise, transposed) in other terms. On a GPU it writes the
        gradients that XLA is slow at there in other terms. `auto` is `tuned` on a CPU or GPU.
    """

    dtype: DType = jnp.float32
    axis_name: str | None = None
    conv_impl: str = "auto"

    @property
    def formulation(self) -> str:
        """How convolutions are computed here: `xla`, `gpu`, `kernels` or `products`."""
        backend = jax.default_backend()
        on_cpu = backend == "cpu"
        if self.conv_impl != "xla" and backend == "gpu":
            return "gpu"
        if self.conv_impl == "xla" or (self.conv_impl == "auto" and not on_cpu):
            return "xla"
        if on_cpu and library.problem(self.dtype) is None:
            return "kernels"
        return "products"


def name_block_output(x_bhwc: jax.Array) -> jax.Array:
    """The same values, which training with `remat` keeps for the backward pass."""
    return checkpoint_name(x_bhwc, BLOCK_OUTPUT)


def parameter(
    layer: nn.Module, name: str, initialize: Callable[..., jax.Array], shape: tuple[int, ...]
) -> jax.Array:
    """`layer.param(name, initialize, shape, float32)`.

    Flax traces `initialize` at every look at a parameter that is there, to compare shapes, which
    took half of the tracing of a forward pass.

    Raises:
      ScopeParamShapeError: if the parameter has another shape.
    """
    if not layer.has_variable("params", name):
        return layer.param(name, initialize, shape, jnp.float32)
    value: jax.Array = layer.get_variable("params", name)
    if value.shape != shape:
        raise ScopeParamShapeError(name, "/".join(layer.path), value.shape, shape)
    return value


def torch_kernel_init(key: jax.Array, shape: tuple[int, ...], dtype: DType) -> jax.Array:
    """PyTorch's default for convolutions: U(-b, b) with b = 1 / sqrt(fan in).

    The fan in is taken from axis -2, as `torch.nn.init.kaiming_uniform_(a=sqrt(5))`
    takes it from axis 1 of its own layout; for a transposed convolution that is
    the number of *outputs* times the kernel's area.
    """
    bound = torch_bound(shape)
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def torch_bound(kernel_shape: tuple[int, ...]) -> float:
    """b of PyTorch's U(-b, b), for the kernel and the bias of a convolution alike."""
    height, width, channels, _ = kernel_shape
    return (height * width * channels) ** -0.5


class Conv(nn.Module):
    """2-D convolution.

    Attributes:
      features: output channels.
      kernel_size: (height, width).
      stride: the same in both directions.
      dilation: (along height, along width).
      groups: input channels are split into as many groups; `features` of them make
        a depthwise convolution.
      use_bias: whether a bias is added.
      relu: whether negative results become 0.
      padding: `symmetric`: by dilation * (kernel // 2) on every side; `same`: as TensorFlow's
        SAME, which pads the least that keeps ceil(side / stride), of an odd total more at the
        end. With stride 1 and odd kernels they are one.
    """

    features: int
    kernel_size: tuple[int, int]
    stride: int = 1
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    use_bias: bool = True
    relu: bool = False
    padding: str = "symmetric"
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x_bhwc: jax.Array, norm: tuple[NormOptions, NormArrays] | None = None
    ) -> jax.Array:
        """[B, h, w, C] -> [B, ceil(h / stride), ceil(w / stride), features] for odd kernels.

        Args:
          norm: of the result, with its activation and shortcut, where `can_normalize`.
        """
        shape = (*self.kernel_size, x_bhwc.shape[-1] // self.groups, self.features)
        kernel = parameter(self, "kernel", torch_kernel_init, shape)
        x_bhwc, kernel_hwio = x_bhwc.astype(self.compute.dtype), kernel.astype(self.compute.dtype)
        depthwise = self._is_depthwise(x_bhwc.shape[-1])
        padding = [
            pad_sides(self.padding, side, k, self.stride, d)
            for side, k, d in zip(x_bhwc.shape[1:3], self.kernel_size, self.dilation, strict=True)
        ]
        before, after = zip(*padding, strict=True)
        formulation = self.compute.formulation
        if norm is not None:
            if not self.can_normalize(x_bhwc.shape[-1]):
                raise HiersegError(f"{'/'.join(self.path)} can't have a norm of its own here.")
            bias = _bias(self, shape, jnp.float32) if self.use_bias else None
            geometry = Geometry(self.stride, self.dilation, before, after)
            weights = kernel[:, :, 0] if depthwise else kernel
            return convolve_and_normalize(geometry, norm[0], x_bhwc, weights, bias, norm[1])
        if formulation == "kernels" and self.groups == 1:
            bias = _bias(self, shape, jnp.float32) if self.use_bias else None
            geometry = Geometry(self.stride, self.dilation, before, after)
            return convolve(x_bhwc, kernel, bias, geometry, self.relu)
        if formulation == "kernels" and depthwise:
            y_bhwc = convolve_depthwise(x_bhwc, kernel[:, :, 0], self.stride, before, after)
        elif formulation == "products" and depthwise:
            y_bhwc = depthwise_as_products(x_bhwc, kernel_hwio[:, :, 0], self.stride, padding)
        elif formulation == "products" and self._is_slow_in_xla(x_bhwc.shape[-1]):
            y_bhwc = conv_as_products(x_bhwc, kernel_hwio, self.dilation)
        elif formulation == "gpu" and self._has_slow_gradient_on_gpus:
            sides = (padding[0], padding[1])
            y_bhwc = gpu_gradients.convolve_dilated(x_bhwc, kernel_hwio, self.dilation, sides)
        else:
            y_bhwc = lax.conv_general_dilated(
                x_bhwc,
                kernel_hwio,
                (self.stride, self.stride),
                padding,
                rhs_dilation=self.dilation,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=self.groups,
            )
        if self.use_bias:
            y_bhwc += _bias(self, shape)
        return nn.relu(y_bhwc) if self.relu else y_bhwc

    def can_normalize(self, channels: int) -> bool:
        """Whether a batch norm behind it costs no pass of its own, of so many input channels."""
        by_kernels = self.compute.formulation == "kernels" and not self.relu
        return by_kernels and (self.groups == 1 or self._is_depthwise(channels))

    def _is_depthwise(self, channels: int) -> bool:
        return self.groups == self.features == channels > 1 and self.dilation == (1, 1)

    @property
    def _has_slow_gradient_on_gpus(self) -> bool:
        return self.dilation != (1, 1) and self.stride == 1 and self.groups == 1

    def _is_slow_in_xla(self, channels: int) -> bool:
        """Wide k x 1 and dilated 1-D kernels, on a CPU."""
        one_dimensional = 1 in self.kernel_size and self.kernel_size != (1, 1)
        vertical_or_dilated = self.kernel_size[0] > 1 or self.dilation != (1, 1)
        plain = self.stride == 1 and self.groups == 1
        return one_dimensional and vertical_or_dilated and plain and channels >= 32


class PointwiseWeights(nn.Module):
    """The parameters of a 1x1 `Conv` of `features` channels, for what computes it otherwise."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, channels: int) -> tuple[jax.Array, jax.Array]:
        """Kernel [1, 1, channels, features] and bias [features], float32."""
        shape = (1, 1, channels, self.features)
        kernel = parameter(self, "kernel", torch_kernel_init, shape)
        return kernel, _bias(self, shape)


def pad_sides(padding: str, side: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after one axis of length `side`, under one of `PADDINGS`."""
    if padding == "symmetric":
        return (dilation * (kernel // 2),) * 2
    total = max((-(-side // stride) - 1) * stride + dilation * (kernel - 1) + 1 - side, 0)
    return total // 2, total - total // 2


class ConvTranspose(nn.Module):
    """Transposed convolution with stride 2 that doubles both sides; biased.

    Equals `torch.nn.ConvTranspose2d` with kernel 3, padding 1, output padding 1,
    or with kernel 2 and no padding.
    """

    features: int
    kernel_size: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x_bhwc: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, 2h, 2w, features]."""
        if self.kernel_size not in (2, 3):
            raise HiersegError(f"The kernel size is 2 or 3; got {self.kernel_size}.")
        shape = (self.kernel_size, self.kernel_size, self.features, x_bhwc.shape[-1])
        kernel = parameter(self, "kernel", torch_kernel_init, shape)
        x_bhwc, kernel_hwoi = x_bhwc.astype(self.compute.dtype), kernel.astype(self.compute.dtype)
        formulation = self.compute.formulation
        if formulation == "kernels":
            h, w = x_bhwc.shape[1:3]
            padding = (self.kernel_size - 2,) * 2
            return convolve_transposed(
                x_bhwc,
                kernel,
                _bias(self, shape, jnp.float32),
                Geometry(stride=2, padding=padding),
                (2 * h, 2 * w),
            )
        if formulation == "products":
            y_bhwc = conv_transpose_as_product(x_bhwc, kernel_hwoi)
        elif formulation == "gpu":
            y_bhwc = gpu_gradients.convolve_transposed(x_bhwc, kernel_hwoi)
        else:
            y_bhwc = gpu_gradients.transposed(x_bhwc, kernel_hwoi)
        return y_bhwc + _bias(self, shape)


def _bias(
    layer: Conv | ConvTranspose | PointwiseWeights,
    kernel_shape: tuple[int, ...],
    dtype: DType = None,
) -> jax.Array:
    """The layer's `bias`, whose initial distribution is that of its kernel.

    Args:
      dtype: by default that of the computation.
    """
    bound = torch_bound(kernel_shape)

    def initialize(key: jax.Array, shape: tuple[int, ...], dtype: DType) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    bias = parameter(layer, "bias", initialize, (layer.features,))
    return bias.astype(dtype or layer.compute.dtype)


def max_pool_2x2(x_bhwc: jax.Array) -> jax.Array:
    """Largest of each 2x2 block; sides must be even."""
    b, h, w, c = x_bhwc.shape
    return x_bhwc.reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))

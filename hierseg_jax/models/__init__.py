"""The networks, by name."""

from typing import Any

import jax.numpy as jnp

from hierseg_jax.models.efficient_unet.architecture import EfficientUNet
from hierseg_jax.models.efficient_unet.backbone import Variant, scaled_stages
from hierseg_jax.models.esnet.architecture import SIZES, ESNet
from hierseg_jax.models.initialize import init_variables
from hierseg_jax.models.layers import CONV_IMPLS
from hierseg_jax.models.summary import format_summary, summarize
from hierseg_jax.system.errors import HiersegError

MODEL_NAMES = ("effunet", *SIZES)

__all__ = [
    "MODEL_NAMES",
    "ESNet",
    "EfficientUNet",
    "Variant",
    "create_model",
    "format_summary",
    "init_variables",
    "summarize",
]


def create_model(
    name: str,
    num_classes: int,
    *,
    backbone: str | None = None,
    dropout: bool = True,
    dtype: Any = jnp.float32,
    axis_name: str | None = None,
    conv_impl: str = "auto",
    embedding_size: int = 0,
    stochastic_depth: float = 0.0,
    variant: Variant | None = None,
) -> EfficientUNet | ESNet:
    """A network that maps images to per-pixel logits.

    `init_variables(model, key)` gives its variables and
    `model.apply(variables, image_bhwc, train=...)` its logits.

    Args:
      name: `effunet` (sides in multiples of 32) or `esnet` and its small
        `esnet_mini` (of 8).
      num_classes: output channels, at least 2: the leaf classes, background included, or
        the nodes of a hierarchical head.
      backbone: `b0`..`b7` or `lite0`..`lite4`, of `effunet` alone; by default `b0`.
      dropout: whether training drops channels.
      dtype: of the computation: float32, bfloat16, or float64 (with
        `jax_enable_x64`). Parameters, statistics and logits are float32 at least.
      axis_name: mapped axis (of `jax.pmap`) over which batch statistics are shared.
      conv_impl: `xla`, `tuned` (faster on a CPU) or `auto`, which is `tuned` on a CPU;
        same parameters, same results up to rounding.
      embedding_size: of the pixel embeddings that training leaves in the collection
        `intermediates` (see `EmbeddingHead`); 0 for none.
      stochastic_depth: rate, in [0, 1), that dropping whole residual branches of the backbone
        rises to with their depth, in place of channels; 0 for none.
      variant: what the backbone's weights want to be computed with, of `effunet` alone; by
        default what the reference does.

    Raises:
      ValueError: for an unknown name, backbone, dtype, conv_impl or rate, or too few classes.
    """
    if name not in MODEL_NAMES:
        raise HiersegError(f"There is no model {name!r}; choose one of {', '.join(MODEL_NAMES)}.")
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 2:
        raise HiersegError(
            "A model needs a whole number of classes, at least 2 (the background and one more); "
            f"got {num_classes!r}."
        )
    allowed = ("float32", "bfloat16", "float64")
    try:
        dtype_name = jnp.dtype(dtype).name
    except TypeError:
        dtype_name = repr(dtype)
    if dtype_name not in allowed:
        raise HiersegError(f"A model computes in {', '.join(allowed)}; got {dtype_name}.")
    if conv_impl not in CONV_IMPLS:
        raise HiersegError(
            f"There is no conv_impl {conv_impl!r}; choose one of {', '.join(CONV_IMPLS)}."
        )
    if not 0 <= stochastic_depth < 1:
        raise HiersegError(
            f"The rate of stochastic_depth is {stochastic_depth}; it must be 0 or more, below 1."
        )
    shared = {"dropout": dropout, "dtype": jnp.dtype(dtype), "axis_name": axis_name}
    shared |= {"conv_impl": conv_impl, "embedding_size": embedding_size}
    shared |= {"stochastic_depth": stochastic_depth}
    if name in SIZES:
        if backbone is not None:
            raise HiersegError(f"{name} has no backbone to choose; got {backbone!r}. Leave it out.")
        if variant not in (None, Variant()):
            raise HiersegError(
                f"{name} has no backbone with weights from elsewhere, hence no padding, "
                "norm_epsilon or normalization to choose; leave them out."
            )
        return ESNet(num_classes, name, **shared)
    backbone = "b0" if backbone is None else backbone
    scaled_stages(backbone)  # refuses an unknown name here rather than in the first call
    return EfficientUNet(num_classes, backbone, **shared, variant=variant or Variant())

"""The optimizer: Adam or AdamW, clipping, rates by depth, a backbone that waits."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hierseg_jax.models.kernels.many_arrays import flattened
from hierseg_jax.models.network import Backbone
from hierseg_jax.settings import OptimizerSettings
from hierseg_jax.train.parameter_groups import (
    BACKBONE,
    DECODER,
    decayed,
    group_labels,
    rate_factors,
)


def make_optimizer(
    chosen: OptimizerSettings,
    schedule: optax.Schedule,
    backbone: Backbone | None,
    *,
    waits: bool = False,
    frozen: bool = False,
) -> optax.GradientTransformation:
    """The optimizer that settings describe.

    Adam has PyTorch's defaults. In order: gradients are clipped by their global norm; Adam;
    the decay of AdamW (Loshchilov and Hutter, arXiv 1711.05101) is added, of kernels alone;
    updates are scaled by depth and by the learning rate.

    A backbone that waits has moments and a step count of its own, which begin
    when it thaws: Adam's bias correction is then that of its first step. The schedule counts
    all steps.

    Whatever is chosen, its state is zeros in the beginning.

    Args:
      waits: whether the backbone is frozen in the first epochs.
      frozen: for the frozen epochs: the backbone's updates are 0 and its moments stay. The
        state is the same.
    """
    scaled = chosen.backbone_rate != 1 or chosen.layer_decay != 1
    if chosen.name == "adam" and not (waits or scaled or chosen.clip_norm):
        # One vector of all parameters is one update to compile rather than one for each.
        return flattened(optax.adam(schedule))
    steps = []
    if chosen.clip_norm:
        steps.append(flattened(optax.clip_by_global_norm(chosen.clip_norm)))
    direction = flattened(optax.scale_by_adam())
    if chosen.name == "adamw":
        direction = optax.chain(direction, optax.add_decayed_weights(chosen.weight_decay, decayed))
    if waits:
        label = functools.partial(group_labels, backbone=backbone)
        groups = {BACKBONE: hold(direction) if frozen else direction, DECODER: direction}
        direction = optax.multi_transform(groups, label)
    steps.append(direction)
    if scaled:
        steps.append(scale_by_depth(backbone, chosen.backbone_rate, chosen.layer_decay))
    return optax.chain(*steps, optax.scale_by_learning_rate(schedule))


def hold(transform: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same state, which stays as it is; all updates are 0."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return jax.tree.map(jnp.zeros_like, updates), state

    return optax.GradientTransformation(transform.init, update)


def scale_by_depth(
    backbone: Backbone | None, backbone_rate: float, layer_decay: float
) -> optax.GradientTransformation:
    """Updates times `rate_factors`; without a state."""
    return optax.stateless(
        lambda updates, _: jax.tree.map(
            operator.mul, updates, rate_factors(updates, backbone, backbone_rate, layer_decay)
        )
    )

"""A head that knows the run's classes before training begins.

A network that was trained on other classes has features that tell most of what a run asks for, and
a fresh head that knows nothing of it. Trained together from there, the head spoils the features
before it is any good. So the head learns first, alone (Kumar et al., Fine-Tuning can Distort
Pretrained Features, ICLR 2022, arXiv 2202.10054).
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util

from hierseg_jax.losses import LossOptions, build_loss
from hierseg_jax.models import SegmentationModel
from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.models.network import ModulePath
from hierseg_jax.settings import ModelSettings
from hierseg_jax.system.devices.hosts import as_on_main
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import find_siblings

PLACES = 32_768
"""About as many of the head's input: many for tens of channels, few enough to take seconds."""
STEPS = 50
RIDGE = 1e-4
"""Factor on the squares of its weights: classes that can be told apart wholly have no end."""


def fitted_head(
    model: SegmentationModel,
    variables: Mapping[ModulePath, np.ndarray],
    images_bhwc: np.ndarray,
    labels_bhw: np.ndarray,
    chosen: ModelSettings,
    hierarchy: Hierarchy,
    fresh_k: np.ndarray,
) -> dict[ModulePath, np.ndarray]:
    """Parameters of the head that gives the logits, after some steps on crossentropy.

    None of a head that looks at more than one place of its input for a logit.

    Args:
      model: the network of the run.
      variables: all of them, by path.
      images_bhwc: float32 RGB in [0, 1], of the network's size.
      labels_bhw: uint8, as of `hierarchy.labels`.
      chosen: settings of `model`.
      fresh_k: bool, of the head's channels, those that learn. The others stay, for few pictures
        may show nothing of what they know.
    """
    found: list[nn.Module] = []
    model = model.clone(axis_name=None, dtype=jnp.float32)
    into_head = jax.jit(functools.partial(_into_head, model, chosen.network.heads, found))
    everything = traverse_util.unflatten_dict(dict(variables))
    places = []
    for image_hwc, label_hw in zip(images_bhwc, labels_bhw, strict=True):
        x_1hwc = np.asarray(into_head(everything, image_hwc[None]))
        own = ("params", *found[0].path)
        head = found[0].clone(parent=None, name=None)
        params = {path[-1]: value for path, value in variables.items() if path[:-1] == own}
        if not _sees_one_place(head, params, x_1hwc):
            return {}
        most = PLACES // len(images_bhwc)
        places.append(places_of(x_1hwc, label_hw[None], head, params, most))
    x_1n1c, labels_1nf = (np.concatenate(each, axis=1) for each in zip(*places, strict=True))
    axes = {"kernel": chosen.network.heads["/".join(own[1:])], "bias": 0}
    learn = {
        name: np.expand_dims(fresh_k, [a for a in range(array.ndim) if a != axes[name]])
        for name, array in params.items()
    }
    params = _fit(head, params, learn, x_1n1c, labels_1nf, chosen, hierarchy)
    return as_on_main({(*own, name): np.asarray(array) for name, array in params.items()})


def _into_head(
    model: SegmentationModel,
    heads: Mapping[str, int],
    found: list[nn.Module],
    variables: Any,
    image_bhwc: jax.Array,
) -> jax.Array:
    """What goes into the head of the logits, [B, h, w, C]; traced, it adds that head to `found`."""
    into: list[jax.Array] = []

    def look(following: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name == "__call__" and "/".join(context.module.path) in heads:
            found.append(context.module)
            into.append(args[0])
        return following(*args, **kwargs)

    with nn.intercept_methods(look):
        model.apply(variables, image_bhwc, train=False)
    return into[0]


def _sees_one_place(head: nn.Module, params: Any, x_1hwc: np.ndarray) -> bool:
    """As kernels of 1 x 1 do, and of 2 x 2 that double both sides."""
    out_1hwk = jax.eval_shape(lambda x: head.apply({"params": params}, x), x_1hwc)
    f = out_1hwk.shape[1] // x_1hwc.shape[1]
    return params.keys() == {"kernel", "bias"} and params["kernel"].shape[:2] == (f, f)


def places_of(
    x_bhwc: np.ndarray, labels_bhw: np.ndarray, head: nn.Module, params: Any, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places of a head's input, in a column, [1, N, 1, C], and the labels there, [1, N f, f].

    A head that doubles both sides, as ESNet's, has f = 2 logits along each side of a place. `most`
    is about how many there are, evenly spread.
    """
    batch, height, width, channels = x_bhwc.shape
    out_bhwk = jax.eval_shape(lambda x: head.apply({"params": params}, x), x_bhwc)
    f = out_bhwk.shape[1] // height
    stride = labels_bhw.shape[1] // (height * f)
    labels_bhw = labels_bhw[:, stride // 2 :: stride, stride // 2 :: stride]
    labels_bhfwf = labels_bhw.reshape(batch, height, f, width, f)
    every = max(1, math.ceil(math.sqrt(batch * height * width / most)))
    x_bhwc = x_bhwc[:, ::every, ::every]
    labels_bhwff = labels_bhfwf[:, ::every, :, ::every].swapaxes(2, 3)
    return x_bhwc.reshape(1, -1, 1, channels), labels_bhwff.reshape(1, -1, f)


def _fit(
    head: nn.Module,
    params: Any,
    learn: Any,
    x_1n1c: np.ndarray,
    labels_1nf: np.ndarray,
    chosen: ModelSettings,
    hierarchy: Hierarchy,
) -> Any:
    # Whatever the run's loss is, crossentropy brings scores near to where it wants them.
    options = LossOptions(every_level=not chosen.hierarchical and hierarchy.num_levels > 1)
    loss = build_loss("crossentropy", hierarchy, hierarchical=chosen.hierarchical, options=options)
    siblings = find_siblings(hierarchy) if chosen.sibling_softmax else None
    optimizer = optax.lbfgs()

    @jax.jit
    def descend(params: Any, x_1n1c: jax.Array, labels_1nf: jax.Array) -> Any:
        start = params

        def value_of(params: Any) -> jax.Array:
            params = jax.tree.map(jnp.where, learn, params, start)
            logits_1nfk: Any = head.apply({"params": params}, x_1n1c)
            squares = jnp.sum(jnp.square(params["kernel"]))
            logits_1nfc = leaf_log_probabilities(logits_1nfk, siblings)
            return loss(logits_1nfc, labels_1nf) + RIDGE * squares

        value_and_grad = optax.value_and_grad_from_state(value_of)

        def step(_: int, carried: tuple[Any, Any]) -> tuple[Any, Any]:
            params, state = carried
            value, grad = value_and_grad(params, state=state)
            given = {"value": value, "grad": grad, "value_fn": value_of}
            updates, state = optimizer.update(grad, state, params, **given)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, STEPS, step, (params, optimizer.init(params)))[0]

    return descend(params, x_1n1c, labels_1nf)

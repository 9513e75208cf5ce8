"""What an exported network takes and gives: the reference's contract, and `deploy`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.bridge.scores import classify, leaf_log_probabilities, log_planes, scores
from hierseg_jax.models import SegmentationModel, network_of
from hierseg_jax.models.graph import ops
from hierseg_jax.models.graph.fold import Tree
from hierseg_jax.runtime.metadata import CONFIDENCE, SCORES
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True)
class Graph:
    """A function to be exported, with the names of what goes in and out.

    Attributes:
      function: arrays to a tuple of arrays.
      input_name, input_dtype: of its only argument.
      channels_last: whether that is [N, H, W, 3] rather than [N, 3, H, W].
      output_names: one per result.
      any_size: whether it is written in `ops`, whose nodes hold no size and no batch.
      score_stride: pixels of the image along each side that one score stands for.
    """

    function: Callable[[jax.Array], tuple[jax.Array, ...]]
    input_name: str
    input_dtype: type
    channels_last: bool
    output_names: tuple[str, ...]
    any_size: bool = True
    score_stride: int = 1

    def input_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Of the argument."""
        return (batch, height, width, 3) if self.channels_last else (batch, 3, height, width)


def build_graph(
    contract: str,
    network: SegmentationModel,
    variables: Tree,
    hierarchy: Hierarchy,
    integers: bool = False,
    decoding: str = "leaf",
    plain: bool = False,
) -> Graph:
    """The graph of a network under a contract.

    Args:
      contract: `reference`: `image` float32 [N, 3, H, W], RGB in [0, 1] -> `mask` float32
        [N, C, H, W], scores of the leaf classes: softmax probabilities or, of a hierarchical head,
        the mean of the scores on each leaf's path. `deploy`: `frame` uint8 [N, H, W, 3], RGB ->
        a uint8 label map [N, H, W] per level, under the level's name, and `confidence`
        float32 [N, H, W], the score of the leaf class; and `scores`, uint16
        [N, C, H / s, W / s], the scores of all of them as `picture_labels.log_planes` has them,
        of the logits before they come to the image's size, s being the network's
        `grid_stride`.
      network: of `NETWORKS`; its `dtype` and `conv_impl` are those of training, and not read.
      variables: of the network.
      hierarchy: of the classes.
      integers: written for `precision.with_integers`; the same function.
      decoding: of `decoding.DECODINGS`: `path` or `logic` of a hierarchical head, else of a flat
        one.
      plain: `deploy` without `scores`.

    Raises:
      ValueError: for an unknown contract, or a level that is called as another tensor is.
    """
    siblings = getattr(network, "conditional_head", None)
    # The graph takes logits, and makes log-probabilities of them itself.
    bare: dict[str, Any] = {"conditional_head": None} if siblings else {}
    network = network.clone(dtype=jnp.float32, conv_impl="xla", **bare)
    own_graph = network_of(network).graph
    apply, any_size = own_graph or _apply, own_graph is not None
    stride = network.grid_stride
    smooth = stride > 1 and network.upsampling != "nearest"

    def logits(image_nchw: jax.Array) -> jax.Array:
        x_nchw = apply(network, variables, image_nchw, integers)
        x_nchw = ops.as_logits(x_nchw) if integers else x_nchw
        x_nchw = leaf_log_probabilities(x_nchw, siblings) if siblings else x_nchw
        return ops.double_bicubic(x_nchw) if network.doubles else x_nchw

    def interpolate(x_nchw: jax.Array) -> jax.Array:
        return ops.upsample_bilinear(x_nchw, stride) if smooth else x_nchw

    def repeat(x_nchw: jax.Array) -> jax.Array:
        # A nearest upsampling commutes with all that is done per pixel.
        return x_nchw if smooth or stride == 1 else ops.upsample_nearest(x_nchw, stride)

    if contract == "reference":
        return Graph(
            lambda image: (repeat(scores(interpolate(logits(image)), hierarchy, decoding)),),
            "image",
            np.float32,
            False,
            ("mask",),
            any_size,
            1 if smooth else stride,
        )
    if contract != "deploy":
        raise HiersegError(f"There is no contract {contract!r}; choose reference or deploy.")
    names = tuple(level.name for level in hierarchy.levels)
    others = (CONFIDENCE,) if plain else (CONFIDENCE, SCORES)
    taken = {*others, "frame"} & set(names)
    if taken:
        raise HiersegError(
            f"A level is called {min(taken)!r}, as a tensor of the contract deploy is; rename it"
            + (", or export with --plain." if taken == {SCORES} else ".")
        )

    def deploy(frame_nhwc: jax.Array) -> tuple[jax.Array, ...]:
        image_nchw = jnp.transpose(frame_nhwc, (0, 3, 1, 2)).astype(jnp.float32) * (1 / 255)
        logits_nchw = logits(image_nchw)
        leaf_n1hw, confidence_n1hw = classify(interpolate(logits_nchw), hierarchy, decoding)
        maps = [
            ops.lookup(level.leaf_to_class, leaf_n1hw).astype(jnp.uint8)
            for level in hierarchy.levels[:-1]
        ]
        maps += [leaf_n1hw.astype(jnp.uint8), confidence_n1hw]
        results = tuple(ops.drop_channel(repeat(x)) for x in maps)
        return results if plain else (*results, log_planes(logits_nchw, hierarchy, decoding))

    return Graph(deploy, "frame", np.uint8, True, (*names, *others), any_size, stride)


def _apply(
    model: SegmentationModel, variables: Tree, image_nchw: jax.Array, integers: bool
) -> jax.Array:
    """The Flax network itself, for those without a graph of their own."""
    del integers
    own = model.clone(full_size=False, upsampling="nearest")
    logits_nhwc: Any = own.apply(variables, jnp.transpose(image_nchw, (0, 2, 3, 1)))
    return jnp.transpose(logits_nhwc, (0, 3, 1, 2))

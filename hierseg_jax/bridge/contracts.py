"""What an exported network takes and gives: the reference's contract, and `deploy`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.bridge.scores import classify, leaf_log_probabilities, log_planes, scores
from hierseg_jax.models import SegmentationModel, Variant, create_model, find_network
from hierseg_jax.models.graph import ops
from hierseg_jax.models.graph.fold import Tree
from hierseg_jax.runtime.metadata import CONFIDENCE, SCORES
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import OF_HIERARCHICAL
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import find_siblings


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
    model: str,
    backbone: str | None,
    variables: Tree,
    hierarchy: Hierarchy,
    integers: bool = False,
    decoding: str = "leaf",
    variant: Variant | None = None,
    upsampling: str = "nearest",
    plain: bool = False,
    conditional: bool = False,
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
      model, backbone: name of a network, and of its backbone where it has several.
      variables: of the Flax network.
      hierarchy: of the classes.
      integers: written for `precision.with_integers`; the same function.
      decoding: of `decoding.DECODINGS`: `path` or `logic` of a hierarchical head, else of a flat
        one.
      variant: of a backbone with weights from elsewhere; by default the reference's.
      upsampling: of `layers.UPSAMPLINGS`; how logits come to the image's size.
      plain: `deploy` without `scores`.
      conditional: whether the head is conditional; a flat one by its decoding.

    Raises:
      ValueError: for an unknown contract, or a level that is called as another tensor is.
    """
    network, siblings = find_network(model), find_siblings(hierarchy) if conditional else None
    wide = decoding in OF_HIERARCHICAL
    channels = hierarchy.num_nodes if wide else hierarchy.num_classes
    built = create_model(
        model,
        siblings.num_nodes if siblings else channels,
        backbone=network.own_backbone(backbone),
        conv_impl="xla",
        variant=variant,
        upsampling=upsampling,
    )
    apply = network.graph or _apply
    any_size = network.graph is not None
    stride = built.grid_stride
    smooth = stride > 1 and upsampling != "nearest"

    def logits(image_nchw: jax.Array) -> jax.Array:
        x_nchw = apply(built, variables, image_nchw, integers)
        x_nchw = ops.as_logits(x_nchw) if integers else x_nchw
        x_nchw = leaf_log_probabilities(x_nchw, siblings) if siblings else x_nchw
        return ops.double_bicubic(x_nchw) if built.doubles else x_nchw

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
            ops.lookup(level.leaf_to_class.astype(np.uint8), leaf_n1hw)
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

"""The network of a run in place of an exported file: the same results, computed by JAX."""

import time

import jax
import numpy as np

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.data.picture_labels import Workspace
from hierseg_jax.evaluation.eval_step import scale_image
from hierseg_jax.evaluation.predictions import leaf_confidence, score_planes
from hierseg_jax.models import grid_forward_of
from hierseg_jax.runtime.prediction import Predictor
from hierseg_jax.runtime.segmentation import NetworkOutput, Segmentation, maps_by_level
from hierseg_jax.settings.fitting import fitted
from hierseg_jax.system.devices.hosts import note_once


def predictor_of_run(
    run: Checkpoint, image_size: tuple[int, int] | None = None, refine: bool = False
) -> Predictor:
    """A run's network, whose label maps are those that an evaluation counts on original pixels.

    It computes on JAX's first device.

    Args:
      run: from `open_checkpoint`, with the arrays of its network.
      image_size: (height, width) that pictures are brought to, as the network's stride lets them
        be; by default that of the training.
      refine: whether borders between classes follow the picture's edges; an evaluation counts them
        as `refined` then.
    """
    model, hierarchy = run.model, run.hierarchy
    settings = run.settings
    if image_size is not None:
        settings = settings.replace({"data.image_size": image_size})
    settings, rounded = fitted(settings, model.stride)
    note_once(rounded)
    size, resize, decoding = settings.data.size, settings.data.resizing, settings.decoding
    grid_of, variables = grid_forward_of(model), jax.device_put(run.variables)
    workspace = Workspace()

    @jax.jit
    def outputs(variables: dict, image_bhwc: jax.Array) -> tuple[jax.Array, jax.Array]:
        grid_bhwk = grid_of(variables, scale_image(image_bhwc))
        return (
            leaf_confidence(model.from_grid(grid_bhwk), hierarchy, decoding),
            score_planes(grid_bhwk, hierarchy, decoding),
        )

    def segment(image_hwc: np.ndarray) -> Segmentation:
        started = time.perf_counter()
        placement = resize.place(image_hwc.shape[:2], size)
        given = placement.fit_image(image_hwc)[None]
        prepared = time.perf_counter()
        confidence_hw, scores_chw = (np.asarray(x)[0] for x in outputs(variables, given))
        output = NetworkOutput(confidence_hw, scores_chw)
        inferred = time.perf_counter()
        maps = maps_by_level(
            output.planes,
            placement,
            hierarchy,
            decoding,
            workspace,
            image_hwc=image_hwc if refine else None,
        )
        seconds = {
            "preprocess": prepared - started,
            "inference": inferred - prepared,
            "postprocess": time.perf_counter() - inferred,
        }
        return Segmentation(maps, output, placement, seconds)

    return Predictor(hierarchy, segment)

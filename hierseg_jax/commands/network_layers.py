"""The layers of networks, each built and run once on an image."""

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models import create_model, find_network, format_summary, init_variables


def print_layers(
    names: Sequence[str],
    backbone: str | None,
    num_classes: int,
    image_hwc: np.ndarray,
    depth: int,
) -> None:
    """One table for each network, and how it ran with fresh weights.

    Args:
      names: of `models.NETWORKS`.
      backbone: of those that have several; None for the first.
      num_classes: background included.
      image_hwc: RGB float32 in [0, 1].
      depth: see `summarize`.
    """
    height, width = image_hwc.shape[:2]
    for name in names:
        own = find_network(name).own_backbone(backbone)
        model = create_model(name, num_classes, backbone=own)
        print(format_summary(model, (height, width), depth))
        variables = init_variables(model, jax.random.key(0))
        start = time.perf_counter()
        labels_hw = jax.jit(lambda v, x, m=model: jnp.argmax(m.apply(v, x), -1))(
            variables, image_hwc[None]
        )[0]
        seconds = time.perf_counter() - start
        present = len(np.unique(labels_hw))
        print(
            f"Segmented {height} x {width} in {seconds:.1f} s, compilation included, on "
            f"{jax.devices()[0].device_kind}; the untrained network sees {present} of "
            f"{model.num_classes} classes.\n"
        )

"""Several data sets that are evaluated as one: each of them by itself as well."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hierseg_jax.data.read.mixture import Part
from hierseg_jax.evaluation.metrics import LevelMetrics, evaluate_levels
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class DataSetMetrics:
    """What a data set alone gives.

    Attributes:
      levels: metrics by level name, coarse to fine, without those that its labels stop above.
      num_images: evaluated.
    """

    levels: Mapping[str, LevelMetrics]
    num_images: int


def evaluate_parts(
    parts: Sequence[Part],
    valid_m: np.ndarray,
    confusions_nlc: np.ndarray,
    hierarchy: Hierarchy,
    batch_size: int,
    boundaries_n3k: np.ndarray | None = None,
) -> dict[str, DataSetMetrics]:
    """Metrics of every part, as an evaluation of it alone would give them.

    Args:
      parts: of the source.
      valid_m: bool [M], of the source's examples in order and what fills them up: which of
        them were evaluated.
      confusions_nlc: integer [N, L, C], of those alone.
      hierarchy, batch_size: as in `evaluate_levels`.
      boundaries_n3k: integer [N, 3, nodes] from `boundary_counts`; None leaves boundary IoU
        out.

    Returns:
      name -> metrics, in the order of the parts.
    """
    index_n = np.flatnonzero(valid_m)
    metrics = {}
    for part in parts:
        own = slice(*np.searchsorted(index_n, (part.start, part.stop)))
        boundary_3k = None
        if boundaries_n3k is not None:
            boundary_3k = boundaries_n3k[own].sum(0, dtype=np.int64)
        matrices = confusions_nlc[own]
        levels = evaluate_levels(matrices, hierarchy, batch_size, boundary_3k)
        labelled = {name: of for name, of in levels.items() if of.labelled_pixels != 0}
        metrics[part.name] = DataSetMetrics(labelled, len(matrices))
    return metrics

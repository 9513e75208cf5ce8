"""Biases of a head that begins where it knows how frequent classes are, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hierseg_jax.checkpoint import checkpoint_steps
from hierseg_jax.data.class_weights import Frequencies, count_frequencies
from hierseg_jax.data.read.source import Source
from hierseg_jax.models.network import ModulePath
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.hosts import say
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import find_siblings


def initial_biases(
    settings: Settings, workdir: Path, hierarchy: Hierarchy, train_source: Source
) -> dict[ModulePath, np.ndarray]:
    """Of the network's heads, by path; none unless `model.prior` asks for them in a new run.

    Args:
      train_source: the training split, all of whose masks are read.
    """
    if settings.model.prior == "none" or checkpoint_steps(workdir):
        return {}
    say(f"Reading {counted(len(train_source), 'training mask')} for the head's biases.")
    bias_k = biases_of(count_frequencies(train_source, hierarchy), hierarchy, settings.model.head)
    heads = settings.model.network.heads
    return {("params", *head.split("/"), "bias"): bias_k for head in heads}


def biases_of(frequencies: Sequence[Frequencies], hierarchy: Hierarchy, head: str) -> np.ndarray:
    """Logits whose probabilities are the shares of the pixels: float32 [channels of the head].

    The log-odds of sigmoids are the prior of Lin et al., Focal Loss for Dense Object Detection,
    ICCV 2017 (arXiv 1708.02002), section 4.1, for every node its own. Softmaxes take logarithms.
    Every class counts one pixel more than it has, so that one without any is rare, not impossible.

    Args:
      frequencies: of every level, coarse to fine.
      hierarchy: of the classes.
      head: `flat`, `hierarchical` or `conditional`.
    """
    pixels = _spread(frequencies, hierarchy)
    if head == "hierarchical":
        bias_k = np.zeros(hierarchy.num_nodes)
        for pixels_c, channels in zip(pixels, hierarchy.level_channels, strict=True):
            share_c = _shares(pixels_c)
            bias_k[channels] = np.log(share_c) - np.log1p(-share_c)
    elif head == "flat":
        bias_k = np.log(_shares(pixels[-1]))
    else:
        siblings = find_siblings(hierarchy)
        share_k = siblings.on_path_kc @ _shares(pixels[-1])
        of_family_f = siblings.in_family_kf.T @ share_k
        bias_k = np.log(share_k / (siblings.in_family_kf @ of_family_f))
    return bias_k.astype(np.float32)


def _spread(frequencies: Sequence[Frequencies], hierarchy: Hierarchy) -> list[np.ndarray]:
    """Pixels of the classes of every level, those that are known less far among them.

    A class's pixels go to its children as those do that are known; evenly where none is.
    """
    spread = [frequencies[0].pixels_c.astype(np.float64)]
    for k in range(1, hierarchy.num_levels):
        parent_c, known_c = hierarchy.parents(k), frequencies[k].pixels_c
        of_parent_c = np.bincount(parent_c, known_c)[parent_c]
        evenly_c = 1 / np.bincount(parent_c)[parent_c]
        share_c = np.where(of_parent_c > 0, known_c / np.maximum(of_parent_c, 1), evenly_c)
        spread.append(spread[-1][parent_c] * share_c)
    return spread


def _shares(pixels_c: np.ndarray) -> np.ndarray:
    return (pixels_c + 1) / (pixels_c.sum() + len(pixels_c))

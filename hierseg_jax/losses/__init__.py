"""Losses on logits: of classes, and of the tree; sums of them.

May import: tree, system.
"""

from hierseg_jax.losses.boundary_loss import boundary
from hierseg_jax.losses.counted_losses import Counters
from hierseg_jax.losses.flat import LOSSES, Loss, crossentropy, dice, focal, get_loss, iou, tversky
from hierseg_jax.losses.levels import hierarchical_crossentropy
from hierseg_jax.losses.logic_rules import logic_rules
from hierseg_jax.losses.lovasz_softmax import lovasz
from hierseg_jax.losses.soft_labels import soft_crossentropy
from hierseg_jax.losses.sum_of_names import TREE_LOSSES, parse_loss
from hierseg_jax.losses.total import LossOptions, TotalLoss, build_loss
from hierseg_jax.losses.tree_min_loss import tree_min
from hierseg_jax.losses.tree_triplet_loss import tree_triplet, triplet_weight

__all__ = [
    "LOSSES",
    "TREE_LOSSES",
    "Counters",
    "Loss",
    "LossOptions",
    "TotalLoss",
    "boundary",
    "build_loss",
    "crossentropy",
    "dice",
    "focal",
    "get_loss",
    "hierarchical_crossentropy",
    "iou",
    "logic_rules",
    "lovasz",
    "parse_loss",
    "soft_crossentropy",
    "tree_min",
    "tree_triplet",
    "triplet_weight",
    "tversky",
]

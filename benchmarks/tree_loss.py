"""Time of losses beside cross-entropy's, forward and backward, compiled.

python benchmarks/tree_loss.py

8 pictures of 320x320 pixels with PASCAL-Person-Part's tree: 7 channels for flat losses, 12 for
those of a hierarchical head. Labels are classes, or any nodes where a line says groups. Those
called `counted` are made of counts by the kernel for CPUs, as in training there. Every run has one
of cross-entropy before it, with which it is compared; medians count.
"""

import dataclasses
import functools
import time

import jax
import numpy as np
from absl import flags

from hierseg_jax.losses import (
    LOSSES,
    Counters,
    LossOptions,
    build_loss,
    hierarchical_crossentropy,
    tree_min,
)
from hierseg_jax.losses.flat import Loss
from hierseg_jax.settings.building import counters_of_cpu
from hierseg_jax.system.command_line import run
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

WITH_GROUPS = dataclasses.replace(PASCAL_PERSON_PART, inner_labels=True)

_ROUNDS = flags.DEFINE_integer("rounds", 31, "Times that each is run.", lower_bound=1)
_SIDE = flags.DEFINE_integer("side", 320, "Of the pictures, in pixels.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 8, "Pictures.", lower_bound=1)


def of_recipes(suffix: str, counters: Counters | None) -> dict[str, Loss]:
    """The losses of the published recipe and of the default one, and Lovász-softmax."""
    every = LossOptions(every_level=True)
    weights = tuple(tuple(1.0 + np.arange(of.num_classes)) for of in PASCAL_PERSON_PART.levels)
    weighted = dataclasses.replace(every, class_weights=weights)
    build = functools.partial(build_loss, hierarchy=PASCAL_PERSON_PART, counters=counters)
    of_groups = functools.partial(build_loss, hierarchy=WITH_GROUPS, counters=counters)
    recipe = "crossentropy + dice + lovasz"
    return {
        f"dice{suffix}": build("dice"),
        f"crossentropy + dice, every level{suffix}": build("crossentropy + dice", options=every),
        f"lovasz, every level{suffix}": build("lovasz", options=every),
        f"{recipe}, every level{suffix}": build(recipe, options=every),
        f"the same with class weights{suffix}": build(recipe, options=weighted),
        f"the same of groups{suffix}": of_groups(recipe, options=every),
    }


def main() -> None:
    """Prints a line for every loss."""
    tree, counters = PASCAL_PERSON_PART, counters_of_cpu()
    rng = np.random.default_rng(0)
    shape = (_BATCH.value, _SIDE.value, _SIDE.value)
    labels, of_groups = (
        jax.device_put(rng.integers(0, len(of.labels.names), shape).astype(np.uint8))
        for of in (tree, WITH_GROUPS)
    )
    flat, wide = (
        jax.device_put(rng.normal(0, 3, (*shape, channels)).astype(np.float32))
        for channels in (tree.num_classes, tree.num_nodes)
    )
    losses = {
        **{name: (LOSSES[name], flat) for name in ("crossentropy", "dice", "lovasz", "boundary")},
        "hierarchical_crossentropy": (
            functools.partial(hierarchical_crossentropy, hierarchy=tree),
            flat,
        ),
        **of_recipes("", None),
        **(of_recipes(", counted", counters) if counters else {}),
        "tree_min": (functools.partial(tree_min, hierarchy=tree), wide),
        "tree_min_focal": (functools.partial(tree_min, hierarchy=tree, gamma=2.0), wide),
    }
    losses = {name: (of, flat) if callable(of) else of for name, of in losses.items()}
    compiled = {name: jax.jit(jax.value_and_grad(loss)) for name, (loss, _) in losses.items()}

    def measure(name: str) -> float:
        started = time.perf_counter()
        given = of_groups if "of groups" in name else labels
        jax.block_until_ready(compiled[name](losses[name][1], given))
        return time.perf_counter() - started

    for name in losses:
        # Two pairs to compile and to warm up.
        pairs = [(measure("crossentropy"), measure(name)) for _ in range(_ROUNDS.value + 2)][2:]
        before, after = np.array(pairs).T
        print(
            f"{name}: {1e3 * np.median(after):.1f} ms, {np.median(after / before):.2f} of "
            f"cross-entropy's {1e3 * np.median(before):.1f}"
        )


if __name__ == "__main__":
    run(main)

"""Arithmetic of whole trees of float32 arrays by one kernel each.

XLA compiles a program for every array of a tree, a hundredth of a second each: of a network's
parameters as long as all of its layers. Where there are no kernels, for other dtypes and on other
devices, the same is left to XLA.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hierseg_jax.models.kernels import library


def flattened(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """As `optax.flatten`, whose states it has: all gradients as one vector.

    Args:
      inner: whose first state depends on the shapes of parameters alone.
    """
    plain = optax.flatten(inner)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if not _fit(updates, params):
            return plain.update(updates, state, params)
        of_params = None if params is None else _join(params)
        vector, state = inner.update(_join(updates), state, of_params)
        return _split(vector, updates), state

    def init(params: Any) -> Any:
        # What optimizers begin with is made like the parameters, not of them.
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        return inner.init(jnp.zeros(size, jnp.float32)) if _fit(params) else plain.init(params)

    return optax.GradientTransformation(init, update)


def apply_updates(params: Any, updates: Any) -> Any:
    """As `optax.apply_updates`."""
    if not _fit(params, updates):
        return optax.apply_updates(params, updates)
    return _combine(jnp.ones(2, jnp.float32), params, updates, 0)


def incremental_update(new: Any, old: Any, weight_of_new: jax.Array) -> Any:
    """As `optax.incremental_update`."""
    if not _fit(new, old):
        return optax.incremental_update(new, old, weight_of_new)
    factors = jnp.stack([weight_of_new, 1 - weight_of_new]).astype(jnp.float32)
    return _combine(factors, new, old, 1)


def _fit(*trees: Any) -> bool:
    """Whether they are for the kernels: float32 alone, and as many arrays in each."""
    leaves = [jax.tree.leaves(tree) for tree in trees if tree is not None]
    return (
        library.usable()
        and len({len(arrays) for arrays in leaves}) == 1
        and all(leaf.dtype == jnp.float32 for leaf in itertools.chain(*leaves))
        and bool(leaves[0])
    )


def _join(tree: Any) -> jax.Array:
    leaves = jax.tree.leaves(tree)
    return library.call("hierseg_join", (sum(leaf.size for leaf in leaves),))(*leaves)


def _split(vector: jax.Array, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    parts = library.call("hierseg_split", *(leaf.shape for leaf in leaves))(vector)
    return jax.tree.unflatten(structure, parts if len(leaves) > 1 else [parts])


def _combine(factors: jax.Array, left: Any, right: Any, reused: int) -> Any:
    """factors[0] left + factors[1] right; where it can, in the memory of one, 0 or 1."""
    leaves, structure = jax.tree.flatten(left)
    before = 1 + reused * len(leaves)
    shapes = (leaf.shape for leaf in leaves)
    memory = {before + i: i for i in range(len(leaves))}
    combine = library.call("hierseg_combine", *shapes, reused=memory)
    result = combine(factors, *leaves, *jax.tree.leaves(right))
    return jax.tree.unflatten(structure, result if len(leaves) > 1 else [result])

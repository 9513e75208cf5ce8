"""What every loss keeps to, whatever it counts."""

import jax
import jax.numpy as jnp
import numpy as np


def assert_nothing_else_counts(graded, logits, labels, outside):
    """Ignored pixels, labels outside the tree and examples that fill a batch up add nothing.

    Args:
      graded: a compiled loss's value and gradient, of logits, labels and which examples count.
      logits, labels: of two examples or more; the last will fill the batch up.
      outside: a label that is none of the tree's.
    """
    logits, labels = logits.copy(), labels.copy()
    labels[0, -1, 0], labels[0, -1, 1] = 255, outside
    valid = np.arange(len(labels)) < len(labels) - 1
    value, gradient = graded(logits, labels, valid)
    assert value > 0
    assert np.isfinite(gradient).all()
    nowhere = (labels == 255) | (labels == outside) | ~valid[:, None, None]
    spoiled = logits.copy()
    spoiled[nowhere], spoiled[0, -1, 0], labels[-1] = np.nan, np.inf, 0
    same, same_gradient = graded(spoiled, labels, valid)
    assert same == value
    np.testing.assert_array_equal(same_gradient, gradient)
    assert not np.any(gradient[nowhere])
    for ignored in (255, outside):
        nothing, none = graded(spoiled, np.full_like(labels, ignored), valid)
        assert nothing == 0
        assert not np.any(none)


def assert_same_over_devices(loss, logits, labels, rtol=1e-6):
    """The halves of a batch on two devices have the loss and the gradient of the whole.

    Args:
      loss: of logits and labels, and of the `axis_name` of devices.
      logits, labels: of an even number of examples.
      rtol: of the value.
    """
    scale = jnp.ones(logits.shape[-1])  # stands for a network's parameters

    def of(scale, x, y, axis_name=None):
        return loss(x * scale, y, axis_name=axis_name)

    def on_a_device(x, y):
        value, gradient = jax.value_and_grad(of)(scale, x, y, axis_name="data")
        return value, jax.lax.pmean(gradient, "data")

    value, gradient = jax.jit(jax.value_and_grad(of))(scale, logits, labels)
    halves = [x.reshape(2, len(x) // 2, *x.shape[1:]) for x in (logits, labels)]
    values, gradients = jax.jit(jax.vmap(on_a_device, axis_name="data"))(*halves)
    np.testing.assert_allclose(values, [value] * 2, rtol=rtol)
    np.testing.assert_allclose(gradients, [gradient] * 2, rtol=1e-4, atol=1e-7)

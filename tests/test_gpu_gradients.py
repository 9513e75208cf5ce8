"""What is written for GPUs equals what it replaces, and has a form that their libraries know."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core

from hierseg_jax.losses import dice
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.models.efficient_unet.backbone import excite_by_sums
from hierseg_jax.models.gpu_gradients import convolve_dilated, convolve_transposed, transposed
from tests.other_devices import on_platform


def assert_equal_to_rounding(ours, plain, *shapes):
    """Results and gradients, in float64."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        arguments = [jnp.asarray(rng.normal(size=shape)) for shape in shapes]

        def both(function):
            y, backward = jax.vjp(function, *arguments)
            return y, *backward(jnp.sin(y))

        for found, wanted in zip(both(ours), both(plain), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "dilation"), [((3, 1), (2, 1)), ((1, 3), (1, 9)), ((3, 3), (2, 3)), ((2, 1), (3, 1))]
)
def test_dilated_convolutions_and_their_gradients(kernel, dilation):
    padding = tuple((d * (k // 2), d * (k // 2)) for k, d in zip(kernel, dilation, strict=True))

    def plain(x, kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (1, 1), padding, rhs_dilation=dilation, dimension_numbers=dimensions
        )

    def ours(x, kernel):
        return convolve_dilated(x, kernel, dilation, padding)

    assert_equal_to_rounding(ours, plain, (2, 11, 7, 3), (*kernel, 3, 4))


@pytest.mark.parametrize("size", [2, 3])
def test_transposed_convolutions_and_their_gradients(size):
    assert_equal_to_rounding(convolve_transposed, transposed, (2, 5, 4, 3), (size, size, 6, 3))


def test_squeeze_excite_and_its_gradients():
    def plain(x, w1, b1, w2, b2):
        dense = functools.partial(lax.conv_general_dilated, window_strides=(1, 1), padding="SAME")
        names = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
        hidden = jax.nn.silu(dense(x.mean((1, 2), keepdims=True), w1, **names) + b1)
        return x * jax.nn.sigmoid(dense(hidden, w2, **names) + b2)

    shapes = (2, 4, 5, 12), (1, 1, 12, 3), (3,), (1, 1, 3, 12), (12,)
    assert_equal_to_rounding(excite_by_sums, plain, *shapes)


def unknown_to_cudnn(jaxpr):
    """Convolutions of the form of a kernel's gradient that XLA does not recognise as one.

    The rule is that of XLA's MatchBackwardFilter: a window that is larger than the result, with a
    stride, or over an input with zeros in between.
    """
    found = []
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: isinstance(x, core.ClosedJaxpr)
        ):
            if isinstance(inner, core.ClosedJaxpr | core.Jaxpr):
                found += unknown_to_cudnn(getattr(inner, "jaxpr", inner))
        if equation.primitive.name != "conv_general_dilated":
            continue
        numbers, told = equation.params["dimension_numbers"], equation.params
        window = [equation.invars[1].aval.shape[i] for i in numbers.rhs_spec[2:]]
        result = [equation.outvars[0].aval.shape[i] for i in numbers.out_spec[2:]]
        larger = all(w > r for w, r in zip(window, result, strict=True))
        if larger and {*told["window_strides"], *told["lhs_dilation"]} != {1}:
            found.append(equation)
    return found


@pytest.mark.parametrize(
    ("conv_impl", "count"), [("auto", 0), pytest.param("xla", 9, marks=pytest.mark.slow)]
)
def test_every_gradient_has_a_form_that_cudnn_knows(monkeypatch, conv_impl, count):
    """Of ESNet's parts: 6 dilated convolutions, and 3 transposed ones."""
    variables = init_variables(create_model("esnet_mini", 4), jax.random.key(0))
    on_platform(monkeypatch, "gpu")
    model = create_model("esnet_mini", 4, conv_impl=conv_impl)

    def loss(params, image, label):
        told = {"params": params, "batch_stats": variables["batch_stats"]}
        logits, _ = model.apply(
            told, image, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
        )
        return dice(logits, label)

    arguments = variables["params"], jnp.zeros((2, 64, 64, 3)), jnp.zeros((2, 64, 64), "uint8")
    assert len(unknown_to_cudnn(jax.make_jaxpr(jax.grad(loss))(*arguments).jaxpr)) == count

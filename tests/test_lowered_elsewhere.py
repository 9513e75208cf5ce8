"""Programs for GPUs and TPUs, written without one: what they consist of."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.evaluation.eval_step import make_scores
from hierseg_jax.models import MATMUL_PRECISIONS, create_model, forward_of, init_variables
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.kernels import library
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.other_devices import exported, on_platform, step_of
from tests.tiny_network import TinyNet

PLATFORMS = {"gpu": "cuda", "tpu": "tpu"}
SMALL = {"esnet_mini": {}, "effunet": {"backbone": "lite0_short"}}


def convolutions(text):
    """The dimension numbers of input, kernel and result of every convolution."""
    return re.findall(r"dim_numbers = \[(.*?)\]x\[(.*?)\]->\[(.*?)\]", text)


def transposed_pictures(text):
    """Transposes of what has four axes and is larger than any kernel of a convolution."""
    found = re.findall(r"stablehlo\.transpose .*?: \(tensor<(\d+)x(\d+)x(\d+)x(\d+)x", text)
    return [sides for sides in found if min(int(sides[1]), int(sides[2])) > 7]


def assert_for_others(text):
    """Nothing of CPUs alone is in it."""
    calls = set(re.findall(r"custom_call @(\w+)", text))
    assert not [name for name in calls if "hierseg" in name or "cpu" in name], calls
    assert convolutions(text)


EVERY = itertools.product(
    [*SMALL.items(), ("esnet", {}), ("effunet", {"backbone": "b0"})],
    ["float32", "bfloat16"],
    PLATFORMS,
)
QUICK = [("esnet_mini", "float32", "gpu"), ("effunet", "bfloat16", "gpu")]


@pytest.mark.parametrize(
    ("network", "dtype", "backend"),
    [
        pytest.param(
            *case,
            marks=()
            if case[0] in SMALL.items() and (case[0][0], *case[1:]) in QUICK
            else pytest.mark.slow,
        )
        for case in EVERY
    ],
)
def test_a_training_step_can_be_exported(monkeypatch, network, dtype, backend):
    on_platform(monkeypatch, backend)
    name, told = network
    step, state, batch = step_of(name, dtype=dtype, **told)
    text = exported(step, PLATFORMS[backend], state, batch)
    assert_for_others(text)
    assert not transposed_pictures(text)


@pytest.mark.slow
@pytest.mark.parametrize("backend", PLATFORMS)
@pytest.mark.parametrize("conv_impl", ["xla", "tuned"])
def test_every_way_to_convolve_can_be_exported(monkeypatch, conv_impl, backend):
    on_platform(monkeypatch, backend)
    step, state, batch = step_of("esnet_mini", conv_impl=conv_impl)
    assert_for_others(exported(step, PLATFORMS[backend], state, batch))


@pytest.mark.skipif(bool(library.problem()), reason="there are no kernels")
def test_kernels_for_cpus_would_be_noticed():
    model = TinyNet(num_classes=4, conv_impl="tuned")
    image = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match="hierseg_conv"):
        exported(forward_of(model), "cuda", variable_shapes(model), image)


@pytest.mark.parametrize(("name", "told"), SMALL.items())
def test_pictures_keep_channels_last_in_inference(monkeypatch, name, told):
    on_platform(monkeypatch, "gpu")
    model = create_model(name, 7, **told)
    scores = make_scores(model, PASCAL_PERSON_PART)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)
    text = exported(scores, "cuda", variable_shapes(model), image)
    assert {numbers[::2] for numbers in convolutions(text)} == {("b, 0, 1, f", "b, 0, 1, f")}
    # The scores that come back have their classes first, once they are computed.
    assert len(transposed_pictures(text)) <= 1


@pytest.mark.parametrize(
    ("told", "word"),
    [
        pytest.param("default", "DEFAULT", marks=pytest.mark.slow),
        pytest.param("high", "HIGH", marks=pytest.mark.slow),
        ("highest", "HIGHEST"),
    ],
)
def test_every_product_has_the_precision_that_is_asked_for(monkeypatch, told, word):
    """Gradients, too; matrix products of GPUs' gradients among them."""
    on_platform(monkeypatch, "gpu")
    step, state, batch = step_of("esnet_mini", matmul_precision=told)
    text = exported(step, "cuda", state, batch)
    found = re.findall(r"stablehlo\.(?:convolution|dot_general).*", text)
    assert any("dot_general" in line for line in found)
    for line in found:
        precision = re.search(r"precision(?:_config)? = \[(.*?)\]", line)
        words = set(re.findall(r"[A-Z]+", precision[1] if precision else "DEFAULT"))
        assert words == {word}, line


def test_on_a_cpu_every_precision_is_float32():
    model = TinyNet(num_classes=4, conv_impl="xla")
    variables = init_variables(model, jax.random.key(0))
    image = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))
    results = (
        jax.jit(forward_of(model.clone(matmul_precision=each)))(variables, image)
        for each in MATMUL_PRECISIONS
    )
    assert len({np.asarray(result).tobytes() for result in results}) == 1


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="no matmul_precision 'tf32'; choose one of default, high"):
        create_model("esnet", 4, matmul_precision="tf32")

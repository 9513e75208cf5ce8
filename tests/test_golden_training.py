"""Three training steps of both networks, with both losses, equal the reference's (golden files)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from hierseg_jax.losses import dice, iou
from hierseg_jax.models import create_model
from hierseg_jax.models.kernels import library
from hierseg_jax.pytorch.weights import torch_names, variables_from_state_dict
from tests.conftest import FULL
from tests.reference_weights import load_golden, reference_state_dict

# A sixth of the time to compile, in one piece; in float64 rounding is far below what is asked.
DOUBLE = FULL | {"xla_backend_optimization_level": 1, "xla_cpu_parallel_codegen_split_count": 1}
FIRST_PROBABILITIES = {"effunet": 1e-5, "esnet": 2e-4}
LATER_LOSSES = {"effunet": 1e-4, "esnet": 3e-3}


@functools.cache
def compiled_step(name, dtype, conv_impl="auto"):
    """The network, and its step by arguments; one compilation serves both losses."""
    model = create_model(name, 7, dropout=False, dtype=dtype, conv_impl=conv_impl)

    def loss_fn(params, batch_stats, image, labels, loss_index):
        variables = {"params": params, "batch_stats": batch_stats}
        logits, updates = model.apply(variables, image, train=True, mutable=["batch_stats"])
        loss = jax.lax.switch(loss_index, [dice, iou], logits, labels)
        return loss, (logits, updates["batch_stats"])

    @jax.jit
    def step(params, batch_stats, opt_state, image, labels, loss_index):
        (loss, (logits, batch_stats)), grads = jax.value_and_grad(loss_fn, has_aux=True)(
            params, batch_stats, image, labels, loss_index
        )
        updates, opt_state = optax.adam(1e-3).update(grads, opt_state)
        norms = jax.tree.map(jnp.linalg.norm, jax.tree.map(jnp.ravel, grads))
        probabilities = jax.nn.softmax(logits)[:, ::8, ::8]
        params = optax.apply_updates(params, updates)
        return params, batch_stats, opt_state, loss, probabilities, norms

    programs = []

    def compiled(*arguments):
        if not programs:
            options = FULL if dtype == jnp.float32 else DOUBLE
            programs.append(step.lower(*arguments).compile(compiler_options=options))
        return programs[0](*arguments)

    return model, compiled


def run_three_steps(name, loss, dtype, conv_impl="auto"):
    golden, meta = load_golden(f"{name}_train_{loss}")
    model, step = compiled_step(name, dtype, conv_impl)
    variables = variables_from_state_dict(model, reference_state_dict(meta))
    params, batch_stats = jax.tree.map(
        lambda x: jnp.asarray(x, dtype), (variables["params"], variables["batch_stats"])
    )
    opt_state = optax.adam(1e-3).init(params)
    image = np.random.RandomState(2).rand(4, 3, 64, 96).astype(np.float32)
    image = jnp.asarray(image.transpose(0, 2, 3, 1), dtype)
    labels = np.random.RandomState(3).randint(0, 6, (4, 64, 96))

    losses, first = [], None
    for _ in range(3):
        params, batch_stats, opt_state, value, probabilities, norms = step(
            params, batch_stats, opt_state, image, labels, ["dice", "iou"].index(loss)
        )
        losses.append(float(value))
        first = first or (probabilities, norms, batch_stats)
    names = torch_names(model)

    def by_torch_name(collection, tree):
        flat = traverse_util.flatten_dict({collection: tree})
        return {names[path]: np.asarray(value) for path, value in flat.items()}

    return (
        golden,
        np.array(losses),
        np.moveaxis(np.asarray(first[0]), -1, 1),
        by_torch_name("params", first[1]),
        by_torch_name("batch_stats", first[2]),
    )


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("effunet", "dice"),
        pytest.param("effunet", "iou", marks=pytest.mark.slow),
        ("esnet", "dice"),
        pytest.param("esnet", "iou", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("conv_impl", ["tuned", pytest.param("xla", marks=pytest.mark.slow)])
def test_float32_steps_equal_the_reference(name, loss, conv_impl):
    golden, losses, probabilities, _, statistics = run_three_steps(
        name, loss, jnp.float32, conv_impl
    )
    np.testing.assert_allclose(losses[0], golden["losses"][0], rtol=1e-5)
    np.testing.assert_allclose(losses[1:], golden["losses"][1:], rtol=LATER_LOSSES[name])
    np.testing.assert_allclose(
        probabilities,
        golden["probabilities_step0_strided8"],
        rtol=0,
        atol=FIRST_PROBABILITIES[name],
    )
    recorded = [key for key in golden if key.startswith("stat_after_step0:")]
    assert len(recorded) == 6
    for key in recorded:
        name_in_torch = key.removeprefix("stat_after_step0:")
        np.testing.assert_allclose(statistics[name_in_torch], golden[key], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", ["dice", pytest.param("iou", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [pytest.param("effunet", marks=pytest.mark.slow), "esnet"])
@pytest.mark.parametrize("conv_impl", ["xla", pytest.param("auto", marks=pytest.mark.slow)])
def test_float64_steps_equal_the_reference(name, loss, conv_impl):
    with jax.enable_x64(True):
        golden, losses, _, norms, _ = run_three_steps(name, loss, jnp.float64, conv_impl)
    np.testing.assert_allclose(losses, golden["losses"], rtol=1e-7)
    expected = golden["grad_norms"]
    actual = np.array([norms[n] for n in golden["grad_norm_names"]])
    floor = 1e-5 * expected.max()
    assert np.max(np.abs(actual - expected) / np.maximum(expected, floor)) < 1e-6
    # The auxiliary head takes no part in training, so the reference gives it no gradient.
    silent = set(norms) - set(golden["grad_norm_names"])
    assert silent == ({"encoder_output_conv.weight", "encoder_output_conv.bias"} & set(norms))
    assert all(norms[n] == 0 for n in silent)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["effunet", "esnet"])
def test_float32_steps_equal_the_reference_without_a_compiler(name, monkeypatch):
    monkeypatch.setattr(library, "problem", lambda *_: "no C++ compiler was found")
    compiled_step.cache_clear()
    test_float32_steps_equal_the_reference(name, "dice", "tuned")
    compiled_step.cache_clear()

"""Schedules, optimizer and average on arrays small enough to follow by hand."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from hierseg_jax.losses import crossentropy
from hierseg_jax.models import NETWORKS, create_model
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.layers import Conv
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.settings import Settings
from hierseg_jax.train.average import update_average
from hierseg_jax.train.optimizer import make_optimizer
from hierseg_jax.train.parameter_groups import decayed, group_labels, rate_factors
from hierseg_jax.train.schedule import make_schedule
from hierseg_jax.train.state import create_state
from hierseg_jax.train.step import make_train_step


def settings(**changes):
    values = {key.replace("__", "."): value for key, value in changes.items()}
    return Settings().replace({"epochs": 5, "learning_rate": 0.1} | values)


def rates(steps_per_epoch=4, **changes):
    chosen = settings(**changes)
    schedule = make_schedule(chosen, steps_per_epoch)
    return np.array([schedule(step) for step in range(chosen.epochs * steps_per_epoch + 1)])


def test_schedules_equal_their_formulas():
    steps = np.arange(21)
    np.testing.assert_allclose(rates(decay=0.5), 0.1 * 0.5 ** (steps // 4), rtol=1e-6)
    cosine = 0.1 * (0.01 + 0.99 * (1 + np.cos(np.pi * steps / 20)) / 2)
    found = rates(schedule__name="cosine", schedule__final=0.01)
    np.testing.assert_allclose(found, cosine, rtol=1e-5)
    falling = rates(schedule__name="polynomial", schedule__power=0.9)
    np.testing.assert_allclose(falling, 0.1 * (1 - steps / 20) ** 0.9, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["exponential", "cosine", "polynomial"])
def test_a_warm_up_rises_in_a_line_and_the_schedule_follows(name):
    found = rates(schedule__name=name, schedule__warmup_epochs=1.25, decay=0.5)
    np.testing.assert_allclose(found[:6], 0.1 * np.arange(1, 7) / 6, rtol=1e-6)
    if name == "exponential":
        np.testing.assert_allclose(found[5:], 0.1 * 0.5 ** (np.arange(16) // 4), rtol=1e-6)
    else:
        assert (np.diff(found[5:]) < 0).all()
        np.testing.assert_allclose(found[-1], 0, atol=1e-8)


@pytest.mark.parametrize("name", ["cosine", "polynomial"])
@pytest.mark.parametrize(("epochs", "warmup"), [(1, 2), (2, 4), (3, 8), (4, 8)])
def test_a_warm_up_takes_half_of_a_short_run(name, epochs, warmup):
    found = rates(schedule__name=name, schedule__warmup_epochs=2.0, epochs=epochs)
    np.testing.assert_allclose(
        found[: warmup + 1], 0.1 * np.arange(1, warmup + 2) / (warmup + 1), rtol=1e-6
    )
    assert (np.diff(found[warmup:]) < 0).all()
    np.testing.assert_allclose(found[-1], 0, atol=1e-8)


def test_a_run_of_a_single_step_has_no_warm_up():
    found = rates(1, schedule__name="cosine", schedule__warmup_epochs=2.0, epochs=1)
    np.testing.assert_allclose(found, [0.1, 0], atol=1e-8)


PARAMS = {
    "efficientnet": {
        "stem_conv": {"kernel": jnp.array([1.0, -2.0])},
        "stage7_block1": {"norm": {"scale": jnp.array([3.0]), "bias": jnp.array([-0.0])}},
    },
    "head": {"kernel": jnp.array([0.5]), "bias": jnp.array([0.25])},
}
EFFUNET = NETWORKS["effunet"]
GRADS = [
    jax.tree.map(lambda x, scale=scale: scale * (x + 0.1), PARAMS) for scale in (1.0, -0.3, 2.0)
]


def follow(optimizer, params=PARAMS, state=None, grads=GRADS):
    """Parameters after every step, and the last state."""

    @jax.jit
    def step(grad, state, params):
        updates, state = optimizer.update(grad, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params) if state is None else state
    path = []
    for grad in grads:
        params, state = step(grad, state, params)
        path.append(params)
    return path, state


def made(frozen=False, **changes):
    chosen = settings(**changes)
    schedule, waits = make_schedule(chosen, 2), bool(chosen.freeze_epochs)
    return make_optimizer(chosen.optimizer, schedule, EFFUNET.backbone, waits=waits, frozen=frozen)


def assert_close(a, b, rtol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-8), a, b)


def assert_same_bits(a, b):
    """Zeros of either sign included."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_the_default_is_the_optimizer_of_before():
    path, state = follow(made())
    schedule = optax.exponential_decay(0.1, 2, 0.9, staircase=True)
    before, before_state = follow(optax.flatten(optax.adam(schedule)))
    assert_same_bits(path, before)
    assert jax.tree.structure(state) == jax.tree.structure(before_state)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer__name": "adamw", "optimizer__clip_norm": 1.0},
        {"optimizer__backbone_rate": 0.1},
        {"optimizer__layer_decay": 0.8},
        {"freeze_epochs": 2, "optimizer__name": "adamw"},
    ],
)
def test_every_optimizer_begins_with_zeros(changes, frozen):
    """A fresh training state has them without asking it."""
    state = made(frozen and "freeze_epochs" in changes, **changes).init(PARAMS)
    assert jax.tree.leaves(state)
    assert not any(np.any(array) for array in jax.tree.leaves(state))


def test_a_fresh_state_has_its_optimizer_s_arrays():
    model, optimizer = Tiny(), made()
    state = create_state(model, optimizer, seed=0)
    expected = jax.jit(optimizer.init)(state.params)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(expected)
    assert_same_bits(state.opt_state, expected)
    kinds = (
        [(x.shape, x.dtype, x.weak_type, x.sharding) for x in jax.tree.leaves(each)]
        for each in (state.opt_state, expected)
    )
    assert next(kinds) == next(kinds)


def test_adamw_decays_kernels_alone():
    """After Loshchilov and Hutter: beside Adam's step, learning rate x decay x kernel."""
    plain, _ = follow(made(), grads=GRADS[:1])
    decayed_path, _ = follow(
        made(optimizer__name="adamw", optimizer__weight_decay=0.5), grads=GRADS[:1]
    )
    difference = jax.tree.map(lambda a, b: a - b, plain[0], decayed_path[0])
    expected = jax.tree.map(lambda x, applies: 0.1 * 0.5 * x * applies, PARAMS, decayed(PARAMS))
    assert_close(difference, expected, rtol=1e-4)
    np.testing.assert_array_equal(difference["head"]["bias"], 0)
    assert np.all(difference["head"]["kernel"] != 0)


def test_clipping_bounds_the_norm_of_all_gradients_together():
    """Adam forgets a common factor, so the first moments are looked at."""
    _, state = follow(made(optimizer__clip_norm=0.5), grads=GRADS[2:])
    _, free = follow(made(optimizer__clip_norm=1e6), grads=GRADS[2:])
    mu, free_mu = (s[1].mu for s in (state, free))
    norm = np.linalg.norm(np.concatenate([np.ravel(x) for x in jax.tree.leaves(GRADS[2])]))
    assert norm > 0.5
    np.testing.assert_allclose(jnp.linalg.norm(mu), 0.1 * 0.5, rtol=1e-5)
    np.testing.assert_allclose(mu * norm / 0.5, free_mu, rtol=1e-5)


def test_rates_differ_by_depth():
    plain, _ = follow(made())
    scaled, _ = follow(made(optimizer__backbone_rate=0.5, optimizer__layer_decay=0.9))
    moved, moved_scaled = (
        jax.tree.map(lambda a, b: a - b, path[0], PARAMS) for path in (plain, scaled)
    )
    factors = rate_factors(PARAMS, EFFUNET.backbone, 0.5, 0.9)
    assert_close(moved_scaled, jax.tree.map(lambda x, f: x * f, moved, factors), rtol=1e-4)
    assert factors["head"]["kernel"] == 1
    assert factors["efficientnet"]["stage7_block1"]["norm"]["scale"] == 0.5
    np.testing.assert_allclose(factors["efficientnet"]["stem_conv"]["kernel"], 0.5 * 0.9**7)


FREEZING = {
    "freeze_epochs": 1,
    "optimizer__name": "adamw",
    "optimizer__weight_decay": 0.5,
    "optimizer__clip_norm": 1.0,
    "optimizer__layer_decay": 0.9,
}


def test_a_frozen_backbone_stays_bit_equal_and_thaws_as_if_new():
    frozen = jax.tree.map(jnp.zeros_like, GRADS[0]["efficientnet"])
    grads = [grad | {"efficientnet": frozen} for grad in GRADS]
    cold, cold_state = follow(made(frozen=True, **FREEZING), grads=grads)
    assert_same_bits(cold[-1]["efficientnet"], PARAMS["efficientnet"])
    assert np.all(cold[-1]["head"]["kernel"] != PARAMS["head"]["kernel"])
    # Even with gradients, which the network does not give.
    forced, forced_state = follow(made(frozen=True, **FREEZING))
    assert_same_bits(forced[-1]["efficientnet"], PARAMS["efficientnet"])

    # Its first step afterwards is a first step of Adam: +-rate, but for the decay.
    changes = FREEZING | {"optimizer__weight_decay": 0.0, "decay": 1.0, "optimizer__clip_norm": 0.0}
    _, state = follow(made(frozen=True, **changes), grads=grads)
    warm, warm_state = follow(made(**changes), cold[-1], state, GRADS[:1])
    moved = jax.tree.map(lambda a, b: a - b, warm[0]["efficientnet"], PARAMS["efficientnet"])
    signs = jax.tree.map(jnp.sign, GRADS[0]["efficientnet"])
    factors = rate_factors(PARAMS, EFFUNET.backbone, 1.0, 0.9)["efficientnet"]
    assert_close(moved, jax.tree.map(lambda s, f: -0.1 * s * f, signs, factors), rtol=1e-4)
    structures = {jax.tree.structure(s) for s in (cold_state, forced_state)}
    assert structures == {jax.tree.structure(made(**FREEZING).init(PARAMS))}
    assert jax.tree.structure(warm_state) == jax.tree.structure(state)


@pytest.mark.parametrize(("name", "backbone"), [("effunet", "b0"), ("esnet", None)])
def test_every_parameter_of_the_networks_has_its_place(name, backbone):
    params = variable_shapes(create_model(name, 4, backbone=backbone))["params"]
    own = NETWORKS[name].backbone
    labels, applies = group_labels(params, own), decayed(params)
    factors = rate_factors(params, own, 0.5, 0.5)
    (root,) = {key for key in params if set(jax.tree.leaves(labels[key])) == {"backbone"}}
    assert root == {"effunet": "efficientnet", "esnet": "encoder"}[name]
    others = [labels[key] for key in params if key != root]
    assert set(jax.tree.leaves(others)) == {"decoder"}
    stages = {"effunet": 8, "esnet": 3}[name]
    found = sorted(set(jax.tree.leaves(factors[root])))
    assert found == [0.5**depth for depth in range(stages, 0, -1)]
    shapes = jax.tree.map(lambda x: len(x.shape), params)
    # Kernels have four axes; norms and biases one.
    assert applies == jax.tree.map(lambda axes: axes == 4, shapes)


def test_the_average_equals_the_recursion():
    rng = np.random.RandomState(0)
    path = rng.randn(40, 5).astype(np.float32)
    average = {"params": jnp.asarray(path[0])}
    expected = path[0].astype(np.float64)
    update = jax.jit(update_average, static_argnames="decay")
    weights = []
    for t in range(1, len(path)):
        variables = {"params": jnp.asarray(path[t])}
        average = update(average, variables, jnp.int32(t - 1), decay=0.75)
        past = min(0.75, t / (9 + t))
        weights.append(past)
        expected = past * expected + (1 - past) * path[t]
        np.testing.assert_allclose(average["params"], expected, rtol=1e-5, atol=1e-6)
    assert weights[0] == 0.1
    assert weights[-1] == 0.75


class Tiny(nn.Module):
    """As much of a network as a training step asks for."""

    stride: ClassVar[int] = 4
    axis_name: str | None = None
    matmul_precision: str = "default"

    @nn.compact
    def __call__(self, image, *, train=False):
        x = Conv(4, (1, 1), name="conv")(image)
        return BatchNorm(1e-5, name="norm")(x, train=train)


def test_the_average_of_a_run_equals_the_recursion_over_its_weights_and_statistics():
    chosen = settings(learning_rate=0.03)
    optimizer = make_optimizer(chosen.optimizer, make_schedule(chosen, 4), None)
    model, rng = Tiny(), np.random.RandomState(0)
    state = create_state(model, optimizer, seed=0, averaged=True)
    step = jax.jit(make_train_step(model, crossentropy, optimizer, average_decay=0.5))
    expected = jax.tree.map(np.float64, state.evaluated)
    for t in range(1, 13):
        batch = {
            "image": rng.rand(2, 8, 8, 3).astype(np.float32),
            "label": rng.randint(0, 4, (2, 8, 8)).astype(np.uint8),
            "valid": np.ones(2, bool),
        }
        state, _ = step(state, batch)
        past = min(0.5, t / (9 + t))
        latest = {"params": state.params, "batch_stats": state.batch_stats}
        expected = jax.tree.map(lambda a, b, w=past: w * a + (1 - w) * b, expected, latest)
        assert_close(state.evaluated, expected, rtol=1e-5)
    difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), expected, latest)
    assert min(jax.tree.leaves(difference)) > 1e-6

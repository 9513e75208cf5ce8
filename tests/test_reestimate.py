"""Batch statistics of averaged weights, computed anew: of which batches, and what they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from hierseg_jax.models import NETWORKS, create_model, init_variables
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.layers import Conv
from hierseg_jax.models.normalization import OF_BATCH
from hierseg_jax.system.stop import Stopped, StopSignals
from hierseg_jax.train.loop import reestimate, validate
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.reestimate import make_statistics_step
from hierseg_jax.train.set_up import set_up
from tests.runs import small_settings
from tests.tiny_network import TINY, TinyNet

MODEL = TinyNet(num_classes=7)


def statistics_of(params, images):
    """Slowly: mean and unbiased variance of what the norm sees, by batch, and their mean."""
    conv = Conv(8, (3, 3), stride=2)
    means, variances = [], []
    for image in images:
        scaled = image.astype(np.float32) / 255
        seen = np.asarray(conv.apply({"params": params["conv"]}, scaled), np.float64)
        pixels = seen.reshape(-1, seen.shape[-1])
        means.append(pixels.mean(0))
        variances.append(((pixels - means[-1]) ** 2).sum(0) / (len(pixels) - 1))
    return {"mean": np.mean(means, 0), "var": np.mean(variances, 0)}


def assert_close(found, expected):
    for name in ("mean", "var"):
        np.testing.assert_allclose(found["norm"][name], expected[name], rtol=1e-4, atol=1e-6)


def test_they_are_the_mean_of_those_of_the_batches():
    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (2, 8, 12, 3)).astype(np.uint8) // n for n in (1, 2, 5)]
    variables = init_variables(MODEL, jax.random.key(0))
    step = jax.jit(make_statistics_step(MODEL))
    counted = jnp.zeros((), jnp.int32), variables
    for count, image in enumerate(images, start=1):
        counted, metrics = step(counted, {"image": image})
        assert metrics == {}
        assert_close(counted[1]["batch_stats"], statistics_of(variables["params"], images[:count]))
    jax.tree.map(np.testing.assert_array_equal, counted[1]["params"], variables["params"])
    assert counted[0] == 3


@pytest.mark.parametrize(("name", "backbone"), [("effunet", "lite0"), ("esnet_mini", None)])
def test_every_norm_of_the_networks_tells_those_of_a_batch(name, backbone):
    """But for a frozen backbone's, whose statistics stay; and nothing is drawn."""
    model = create_model(name, 4, backbone=backbone, dropout=False)
    variables = variable_shapes(model)
    image = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    everything = {path: x.shape for path, x in flatten_dict(variables["batch_stats"]).items()}
    root = NETWORKS[name].backbone.module
    for frozen in (False, True):

        def forward(variables, image, frozen=frozen):
            return model.clone(frozen_backbone=frozen).apply(
                variables, image, train=True, mutable=["batch_stats", OF_BATCH]
            )[1][OF_BATCH]

        found = flatten_dict(jax.eval_shape(forward, variables, image))
        expected = {p: shape for p, shape in everything.items() if not frozen or p[0] != root}
        assert {path: x.shape for path, x in found.items()} == expected


@pytest.fixture
def run(tmp_path):
    """Before its first step."""
    NETWORKS["tiny"] = TINY
    changes = {"model__name": "tiny", "ema_decay": 0.9, "reestimate_statistics": 3}
    yield set_up(small_settings(**changes), tmp_path / "run")
    del NETWORKS["tiny"]


def test_a_run_takes_the_batches_that_follow_an_epoch_and_leaves_the_rest_alone(run):
    state = run.parallel.put_state(run.initial_state())
    before = jax.tree.map(np.array, state)
    batches = run.train_batches(start_step=8)
    images = [next(batches)["image"] for _ in range(3)]
    batches.close()
    after = reestimate(run, state, Progress(rows=({},)), StopSignals())
    assert_close(after.evaluated["batch_stats"], statistics_of(before.params, images))
    after = after.replace(average=before.average)
    jax.tree.map(np.testing.assert_array_equal, after, before)


def test_a_signal_ends_it_and_the_state_can_be_saved(run):
    state = run.parallel.put_state(run.initial_state())
    stop = StopSignals()
    stop.received = 15
    state = reestimate(run, state, Progress(), stop)
    with pytest.raises(Stopped):
        validate(run, state, stop)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run.parallel.fetch_state(state)))


def test_without_an_average_there_is_nothing_to_estimate(tmp_path):
    with pytest.raises(ValueError, match="reestimate_statistics is 5, and there are no averaged"):
        set_up(small_settings(reestimate_statistics=5), tmp_path / "run")

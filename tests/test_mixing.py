"""Examples mixed with one another: which, how, and what is trained on then."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hierseg_jax.losses import dice
from hierseg_jax.settings import MixingSettings
from hierseg_jax.train import mixing
from hierseg_jax.train.mixing import (
    Mixed,
    check_mixing,
    choose_mixing,
    draw_rectangles,
    foreground,
    keep,
)
from hierseg_jax.train.set_up import set_up
from hierseg_jax.train.state import create_state
from hierseg_jax.train.step import make_train_step
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.programs import program
from tests.runs import small_settings
from tests.tiny_network import TinyNet

blend, paste = program(mixing.blend), program(mixing.paste)
draw_partners = program(mixing.draw_partners, static_argnums=2)
KEYS = [jax.random.key(seed) for seed in range(12)]
COUNT, HEIGHT, WIDTH = 5, 6, 9
IGNORE, GROUP = 255, 4


def batch_of(seed=0):
    """Pixels and labels all tell which picture they are of; the last picture is not valid."""
    rng = np.random.RandomState(seed)
    number_b = np.arange(COUNT, dtype=np.uint8)[:, None, None]
    label = rng.choice(np.array([0, 1, 2, GROUP, IGNORE], np.uint8), (COUNT, HEIGHT, WIDTH))
    image = np.stack(np.broadcast_arrays(40 * number_b, label, 7 + 0 * label), -1)
    return {"image": image, "label": label, "valid": np.arange(COUNT) < COUNT - 1}


@functools.cache
def mixing_by(**shares):
    of = {"axis_name": None, "chosen": MixingSettings(**shares), "background": 0}
    return program(functools.partial(mixing.mix, **of))


def mixed(key, batch, **shares):
    return mixing_by(**shares)(key, batch)


def sources_of(batch):
    """Number of the picture that every pixel is of."""
    return batch["image"][..., 0] // 40


def test_every_example_has_another_as_its_partner_and_is_the_partner_of_one():
    seen = set()
    for key in KEYS:
        partner_b, mixed_b = draw_partners(key, np.ones(COUNT, bool), 1.0)
        assert sorted(partner_b.tolist()) == list(range(COUNT))
        assert (partner_b != np.arange(COUNT)).all()
        assert mixed_b.all()
        seen.add(tuple(partner_b.tolist()))
    assert len(seen) > 3
    share = [draw_partners(key, np.ones(100, bool), 0.25)[1].mean() for key in KEYS]
    assert 0.2 < np.mean(share) < 0.3


def test_what_is_not_valid_is_mixed_into_nothing():
    batch = batch_of()
    for key in KEYS:
        result = mixed(key, batch, copy_paste=1.0, cutmix=1.0)
        others = sources_of(result.batch)[: COUNT - 1]
        assert (others != COUNT - 1).all()
        np.testing.assert_array_equal(result.batch["valid"], batch["valid"])
        result = mixed(key, batch | {"label": 0 * batch["label"]}, mixup=1.0)
        partners = {p for p in range(COUNT) if is_partner_of_any(result, batch, p)}
        assert COUNT - 1 not in partners


def is_partner_of_any(result, batch, partner):
    """Whether a picture was blended into a valid one, by the first channel alone."""
    weight = float(result.weight)
    blended = weight * 40 * np.arange(COUNT) + (1 - weight) * 40 * partner
    found = result.batch["image"][:, 0, 0, 0] * 255
    close = np.abs(found - blended) < 1e-3
    return bool((close & (np.abs(blended - 40 * np.arange(COUNT)) > 1e-2))[: COUNT - 1].any())


def test_every_pasted_pixel_carries_its_label():
    batch = batch_of()
    moved = 0
    for key in KEYS:
        for shares in ({"copy_paste": 1.0}, {"cutmix": 1.0}, {"copy_paste": 0.5, "cutmix": 0.5}):
            after = mixed(key, batch, **shares).batch
            np.testing.assert_array_equal(after["image"][..., 1], after["label"])
            source_bhw = sources_of(after)
            rows, columns = np.mgrid[:HEIGHT, :WIDTH]
            np.testing.assert_array_equal(after["label"], batch["label"][source_bhw, rows, columns])
            moved += (source_bhw != np.arange(COUNT)[:, None, None]).sum()
    assert moved > 1000


def test_copy_paste_takes_the_foreground_and_nothing_else():
    batch = batch_of()
    for key in KEYS:
        after = mixed(key, batch, copy_paste=1.0).batch
        for number in range(COUNT - 1):
            others = sources_of(after)[number] != number
            assert set(after["label"][number][others]) <= {1, 2, GROUP}
            partners = set(sources_of(after)[number][others])
            assert len(partners) <= 1
            for partner in partners:
                # All of it, but for nothing.
                labels = batch["label"][partner]
                np.testing.assert_array_equal(others, (labels != 0) & (labels != IGNORE))


def test_a_paste_equals_a_slow_one():
    batch, rng = batch_of(1), np.random.RandomState(2)
    partner_b, mask_bhw = rng.permutation(COUNT), rng.rand(COUNT, HEIGHT, WIDTH) < 0.5
    after = paste(batch, partner_b, mask_bhw)
    for b, y, x in np.ndindex(mask_bhw.shape):
        source = partner_b[b] if mask_bhw[b, y, x] else b
        np.testing.assert_array_equal(after["image"][b, y, x], batch["image"][source, y, x])
        assert after["label"][b, y, x] == batch["label"][source, y, x]
    assert after["image"].dtype == after["label"].dtype == jnp.uint8


def test_cells_teach_where_all_that_they_show_does():
    """By hand: a pixel of every cell, and of both pictures where they are blended."""
    rng = np.random.RandomState(3)
    label = rng.randint(0, 3, (COUNT, 8, 12)).astype(np.uint8)
    batch = {"image": np.stack([label] * 3, -1), "label": label, "valid": np.ones(COUNT, bool)}
    batch["taught"] = rng.rand(COUNT, 4, 6) < 0.6
    taught_bhw = batch["taught"].repeat(2, 1).repeat(2, 2)
    partner_b = np.array([1, 2, 3, 4, 0])
    # Some cells whole, some in part.
    mask_bhw = (rng.rand(COUNT, 4, 6) < 0.5).repeat(2, 1).repeat(2, 2) ^ (
        rng.rand(COUNT, 8, 12) < 0.1
    )
    shown_bhw = np.where(mask_bhw, taught_bhw[partner_b], taught_bhw)
    after = paste(batch, partner_b, mask_bhw)
    expected_bhw = shown_bhw.reshape(COUNT, 4, 2, 6, 2).all((2, 4))
    np.testing.assert_array_equal(after["taught"], expected_bhw)
    assert (expected_bhw != batch["taught"]).any()
    mixed_b = np.array([True, False, True, False, True])
    after = blend(batch, partner_b, mixed_b, np.float32(0.4)).batch
    both_bhw = batch["taught"] & batch["taught"][partner_b]
    expected_bhw = np.where(mixed_b[:, None, None], both_bhw, batch["taught"])
    np.testing.assert_array_equal(after["taught"], expected_bhw)


def test_rectangles_are_of_all_sizes_and_lie_anywhere():
    mask_bhw = np.asarray(draw_rectangles(KEYS[0], (400, 12, 18)))
    for mask_hw in mask_bhw:
        rows, columns = mask_hw.any(1), mask_hw.any(0)
        np.testing.assert_array_equal(mask_hw, rows[:, None] & columns)
        for side in (rows, columns):
            assert np.abs(np.diff(np.pad(side, 1).astype(int))).sum() in (0, 2)
    # Half of the picture before the border cuts some off.
    assert 0.2 < mask_bhw.mean() < 0.5
    assert mask_bhw.any(0).all()
    assert not mask_bhw.all(0).any()


def test_a_blend_is_the_sum_of_pictures_and_of_losses():
    batch, weight = batch_of(), 0.3
    labels = np.minimum(batch["label"], 3)
    batch |= {"label": labels}
    partner_b = np.array([1, 2, 3, 0, 4])
    mixed_b = np.array([True, False, True, True, False])
    result = blend(batch, partner_b, mixed_b, np.float32(weight))
    image = np.asarray(batch["image"], np.float64) / 255
    for b in range(COUNT):
        other = int(partner_b[b]) if mixed_b[b] else b
        expected = weight * image[b] + (1 - weight) * image[other]
        np.testing.assert_allclose(result.batch["image"][b], expected, atol=1e-6)
        np.testing.assert_array_equal(result.other_label_bhw[b], labels[other])
    np.testing.assert_array_equal(result.batch["label"], labels)
    logits = jax.random.normal(KEYS[0], (COUNT, HEIGHT, WIDTH, 4))
    found = result.loss(lambda of: dice(logits, of, valid_b=batch["valid"]))
    own, others = (
        dice(logits, of, valid_b=batch["valid"]) for of in (labels, result.other_label_bhw)
    )
    np.testing.assert_allclose(found, weight * own + (1 - weight) * others, rtol=1e-6)
    assert own != others


def test_the_weight_of_a_blend_follows_its_alpha():
    batch = batch_of()
    weights = {
        alpha: [float(mixed(key, batch, mixup=1.0, mixup_alpha=alpha).weight) for key in KEYS]
        for alpha in (0.01, 1000.0)
    }
    near = {a: np.minimum(w, 1 - np.array(w)).max() for a, w in weights.items()}
    assert near[0.01] < 0.2 < 0.4 < near[1000.0]
    assert all(0 <= w <= 1 for of in weights.values() for w in of)


def test_a_step_trains_on_what_was_mixed():
    model, optimizer = TinyNet(num_classes=4), optax.sgd(0.0)
    batch = {
        "image": np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3)).astype(np.uint8),
        "label": np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8),
        "valid": np.ones(4, bool),
    }
    partner_b, everywhere = np.array([1, 2, 3, 0]), np.ones(4, bool)

    def blended(key, batch, axis_name):
        assert axis_name is None
        return mixing.blend(batch, partner_b, everywhere, jnp.float32(0.75))

    state = create_state(model, optimizer, seed=0)
    _, metrics = jax.jit(make_train_step(model, dice, optimizer, mix=blended))(state, batch)
    expected = blended(None, batch, None)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    logits, _ = model.apply(variables, expected.batch["image"], train=True, mutable=["batch_stats"])
    own, others = (dice(logits, of) for of in (batch["label"], batch["label"][partner_b]))
    np.testing.assert_allclose(metrics["loss"], 0.75 * own + 0.25 * others, rtol=1e-5)
    assert abs(own - others) > 1e-4


def test_devices_weigh_alike_and_mix_each_their_own():
    chosen = MixingSettings(mixup=1.0)
    batches = jax.tree.map(lambda x: np.stack([x] * 3), batch_of())

    def on_device(batch):
        return mixing.mix(KEYS[0], batch, "data", chosen=chosen, background=0)

    result = program(jax.vmap(on_device, axis_name="data"))(batches)
    assert len(set(result.weight.tolist())) == 1
    assert len({image.tobytes() for image in result.batch["image"]}) == 3


def test_shares_of_none_change_nothing():
    assert choose_mixing(MixingSettings(), 0) is keep
    batch = batch_of()
    assert keep(KEYS[0], batch, None) == Mixed(batch)
    assert keep(KEYS[0], batch, None).loss(lambda labels: labels) is batch["label"]


def test_a_tree_without_background_has_foreground_alone():
    labels = jnp.array([[[0, 1, IGNORE]]])
    np.testing.assert_array_equal(foreground(labels, None), [[[True, True, False]]])
    np.testing.assert_array_equal(foreground(labels, 0), [[[False, True, False]]])


def test_without_a_background_nothing_is_foreground_to_be_pasted():
    tree = Hierarchy.from_mapping([0, 1], ["road", "car"])
    check_mixing(small_settings(mixing__cutmix=0.5), tree, devices=4)
    with pytest.raises(ValueError, match="the classes of figures have none; set it to 0"):
        check_mixing(small_settings(mixing__copy_paste=0.5), tree, devices=4)
    with pytest.raises(ValueError, match=r"each of 8 devices has one alone; .* at least 16, or"):
        check_mixing(small_settings(mixing__cutmix=0.5), tree, devices=8)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mixing__cutmix": 1.5}, "mixing.cutmix is 1.5; it must be 0 or more and at most 1."),
        ({"mixing__mixup_alpha": 0.0}, "mixing.mixup_alpha is 0.0; it must be above 0."),
        (
            {"mixing__mixup": 0.5, "batch_size": 1},
            "mixing.mixup takes another picture of the same batch, and a batch has one alone; "
            "choose a batch_size of at least 2, or set mixing.mixup to 0.",
        ),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match="The config's") as error:
        set_up(small_settings(**changes), tmp_path / "run")
    assert sentence in str(error.value)

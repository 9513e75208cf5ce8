"""Pictures in bad light, grey, out of focus or shaken, and noisy: what changes, what stays."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.settings import MixingSettings
from hierseg_jax.train import poor_cameras
from hierseg_jax.train.mixing import choose_mixing, mix
from hierseg_jax.train.poor_cameras import BLURS, DARKEST, GREY_RGB, NOISE, blur


def _grey(key, image, share):
    return poor_cameras._grey(jax.random.uniform(key, (len(image),)), image, share)


def _lit(key, image, share):
    return poor_cameras._lit(jax.random.uniform(key, (len(image), 5)), image, share)


def _blurred(key, image, share):
    return poor_cameras._blurred(jax.random.uniform(key, (len(image), 4)), image, share)


def _noisy(key, image, share):
    return poor_cameras._noisy(key, jax.random.uniform(key, (len(image), 2)), image, share)


# Compiled once for every shape; eagerly, each call would compile its loop anew.
_grey, _lit, _blurred, _noisy, take_with_poor_cameras = (
    jax.jit(fault, static_argnums=2)
    for fault in (_grey, _lit, _blurred, _noisy, poor_cameras.take_with_poor_cameras)
)
KEYS = [jax.random.key(seed) for seed in range(12)]
COUNT, HEIGHT, WIDTH = 6, 32, 48


def batch_of(dtype=np.uint8):
    rng = np.random.RandomState(0)
    image = rng.randint(0, 256, (COUNT, HEIGHT, WIDTH, 3)).astype(np.uint8)
    if dtype != np.uint8:
        image = image.astype(dtype) / 255
    return {
        "image": jnp.asarray(image),
        "label": jnp.asarray(rng.randint(0, 5, (COUNT, HEIGHT, WIDTH)).astype(np.uint8)),
        "valid": jnp.ones(COUNT, bool),
    }


def changed(before, after):
    """Of each picture, whether anything of it is another."""
    return np.asarray((before != after).any((1, 2, 3)))


def test_labels_stay_and_pictures_keep_their_type_and_range():
    for dtype in (np.uint8, np.float32):
        batch = batch_of(dtype)
        after = take_with_poor_cameras(KEYS[0], batch, 1.0)
        assert changed(batch["image"], after["image"]).all()
        assert after["image"].dtype == batch["image"].dtype
        assert float(after["image"].min()) >= 0
        assert float(after["image"].max()) <= (255 if dtype == np.uint8 else 1)
        for name in ("label", "valid"):
            np.testing.assert_array_equal(after[name], batch[name])


def test_bytes_and_fractions_become_the_same_picture():
    of_bytes, of_fractions = (
        take_with_poor_cameras(KEYS[1], batch_of(dtype), 0.5)["image"]
        for dtype in (np.uint8, np.float32)
    )
    np.testing.assert_allclose(of_bytes / 255, of_fractions, atol=0.51 / 255)


def test_a_share_of_nothing_changes_nothing():
    batch = batch_of()
    same = take_with_poor_cameras(KEYS[0], batch, 0.0)["image"]
    np.testing.assert_array_equal(same, batch["image"])
    assert choose_mixing(MixingSettings(), 0) is choose_mixing(MixingSettings(), None)


@pytest.mark.parametrize("fault", [_grey, _lit, _blurred, _noisy])
def test_each_fault_is_of_a_share_of_the_pictures_drawn_by_itself(fault):
    image = batch_of(np.float32)["image"]
    of_keys = [changed(image, fault(key, image, 0.4)) for key in map(jax.random.key, range(60))]
    assert 0.3 < np.mean(of_keys) < 0.5
    assert changed(image, fault(KEYS[0], image, 1.0)).all()
    assert not changed(image, fault(KEYS[0], image, 0.0)).any()


@pytest.mark.slow
def test_a_picture_has_the_four_faults_independently(monkeypatch):
    faults, drawn = ("_grey", "_lit", "_blurred", "_noisy"), []
    image = batch_of(np.float32)["image"]
    image = jnp.tile(image, (1, 6, 4, 1))  # of a size that every blur can be seen at
    for alone in faults:
        with monkeypatch.context() as others:
            for name in set(faults) - {alone}:
                others.setattr(poor_cameras, name, lambda *given: given[-2])
            take = jax.jit(
                lambda key: poor_cameras.take_with_poor_cameras(key, {"image": image}, 0.5)
            )
            keys = map(jax.random.key, range(100))
            drawn.append(np.concatenate([changed(image, take(key)["image"]) for key in keys]))
    assert (np.abs(np.mean(drawn, axis=1) - 0.5) < 0.08).all()
    correlation = np.corrcoef(drawn)
    assert np.abs(correlation - np.eye(4)).max() < 0.15


def test_a_picture_does_not_depend_on_its_neighbours():
    batch = batch_of()
    other = batch | {"image": batch["image"].at[1:].set(0)}
    for key in KEYS:
        both = [take_with_poor_cameras(key, each, 0.5)["image"][0] for each in (batch, other)]
        np.testing.assert_array_equal(*both)


def gaussian_blur(image_hwc, deviation, axis):
    """The definition, in float64."""
    if not deviation:
        return image_hwc
    at = np.arange(image_hwc.shape[axis])
    weights = np.exp(-((at[:, None] - at) ** 2) / (2 * deviation**2))
    weights /= weights.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, image_hwc, (1, axis)), 0, axis)


@pytest.mark.parametrize("down", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("across", [0.0, 0.5, 2.0])
def test_a_blur_is_of_gaussians_and_none_leaves_a_picture_as_it_is(down, across):
    image = batch_of(np.float32)["image"][0]
    found = np.asarray(blur(image, jnp.float32(down), jnp.float32(across)))
    expected = gaussian_blur(gaussian_blur(np.asarray(image, np.float64), down, 0), across, 1)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    grey = np.asarray(blur(jnp.full_like(image, 0.7), jnp.float32(down), jnp.float32(across)))
    np.testing.assert_allclose(grey, 0.7, atol=1e-6)


def test_blurs_are_out_of_focus_or_along_an_axis_and_as_wide_as_they_are_said_to_be():
    """A point becomes a spot, whose variance is the blur's."""
    side, seen, shaken, widest = 200, set(), [], []
    image = jnp.zeros((8, side, side, 3)).at[:, side // 2, side // 2].set(1.0)
    for key in KEYS[:6]:
        spot = np.asarray(_blurred(key, image, 1.0), np.float64)[..., 0]
        at = np.arange(side) - side // 2
        down = np.sqrt((spot.sum(2) * at**2).sum(1) / spot.sum((1, 2)))
        across = np.sqrt((spot.sum(1) * at**2).sum(1) / spot.sum((1, 2)))
        for deviations in zip(down, across, strict=True):
            least, largest = sorted(deviations)
            assert largest <= BLURS[1] * side * 1.01
            assert least == 0 or abs(least - largest) < 1e-3
            seen.add((deviations[0] > 0, deviations[1] > 0))
            widest.append(largest)
            if largest > 0.5:  # less blurs little, or nothing
                shaken.append(least == 0)
    assert {(True, True), (True, False), (False, True)} <= seen
    assert 0.25 < np.mean(shaken) < 0.75
    assert 0.2 < np.mean(np.array(widest) < 1.0) < 0.6
    assert max(widest) > 2.4


def test_a_grey_picture_is_that_of_opencv():
    image = batch_of(np.uint8)["image"]
    grey = np.asarray(_grey(KEYS[0], image.astype(jnp.float32), 1.0))
    expected = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in np.asarray(image)]
    np.testing.assert_allclose(grey, np.stack([expected] * 3, axis=-1), atol=0.51)
    assert sum(GREY_RGB) == pytest.approx(1)


def test_light_is_one_factor_of_each_channel_of_a_picture():
    image = jnp.full((64, 4, 4, 3), 0.5)
    assert float(_lit(KEYS[0], jnp.ones((64, 1, 1, 3)), 1.0).max()) == 1.0
    lit = np.asarray(_lit(KEYS[0], image, 1.0))
    assert (lit == lit[:, :1, :1]).all()
    factor_bc = lit[:, 0, 0] / 0.5
    light_b = np.exp(np.log(factor_bc).mean(1))
    assert 0.6 * DARKEST < light_b.min() < 0.45
    assert 0.8 < light_b.max() < 1.6
    assert 0.05 < np.log(factor_bc).std(1).mean() < 0.25


def test_noise_is_bounded_and_of_no_direction():
    image = jnp.full((16, 64, 64, 3), 0.5)
    noise = np.asarray(_noisy(KEYS[0], image, 1.0), np.float64) - 0.5
    assert np.abs(noise).max() <= NOISE
    most_b = np.abs(noise).max((1, 2, 3))
    assert most_b.min() < 0.4 * NOISE < 0.6 * NOISE < most_b.max()
    for picture, most in zip(noise, most_b, strict=True):
        np.testing.assert_allclose(picture.std(), most / np.sqrt(3), rtol=0.03)
        channels = np.corrcoef(picture.reshape(-1, 3).T)
        pixels = np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())
        for correlation in (channels, pixels):
            assert np.abs(correlation - np.eye(len(correlation))).max() < 0.08
        assert abs(picture.mean()) < 0.05 * most


@pytest.mark.slow
def test_they_come_last_and_a_teacher_is_shown_what_was_before():
    batch = batch_of()
    for others in ({"mosaic": 0.5}, {"cutmix": 0.5, "copy_paste": 0.5}, {"mixup": 0.5}, {}):
        without, with_them = (
            mix(KEYS[2], batch, None, chosen=MixingSettings(**others, **more), background=0)
            for more in ({}, {"poor_camera": 0.5})
        )
        before, after = without.batch, with_them.batch
        np.testing.assert_array_equal(after["clear"], before["image"])
        np.testing.assert_array_equal(after["label"], before["label"])
        assert changed(before["image"], after["image"]).any()
        assert "clear" not in before
        assert (with_them.weight, without.weight)[0] is None or "mixup" in others


def test_two_devices_spoil_their_pictures_apart():
    same = jax.tree.map(lambda each: jnp.stack([each, each]), batch_of())
    chosen = MixingSettings(poor_camera=1.0)

    def one(batch):
        return mix(KEYS[3], batch, "data", chosen=chosen, background=None).batch["image"]

    first, second = jax.vmap(one, axis_name="data")(same)
    assert changed(first, second).all()


def test_their_draws_are_not_those_of_the_others():
    """Which pictures CutMix and cameras take is drawn apart."""
    batch, both = batch_of(), []
    chosen = MixingSettings(cutmix=0.5, poor_camera=0.3)
    mixing = jax.jit(lambda key: mix(key, batch, None, chosen=chosen, background=0).batch)
    for seed in range(80):
        mixed = mixing(jax.random.key(seed))
        both.append(
            [changed(batch["image"], mixed["clear"]), changed(mixed["clear"], mixed["image"])]
        )
    correlation = np.corrcoef(np.concatenate(both, axis=1))[0, 1]
    assert abs(correlation) < 0.2

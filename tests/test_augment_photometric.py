"""Camera and weather augmentation against their formulas."""

import cv2
import numpy as np
import pytest

from hierseg_jax.data.augment.photometric import (
    _draw,
    _poisson_cumulative,
    brightness_contrast,
    gaussian_noise,
    iso_noise,
    motion_blur,
)
from hierseg_jax.data.augment.weather import _count_discs, _fog_corners, fog, rain, shadow
from tests.test_augment import SEEDS, example, generator


def test_motion_blur_spreads_a_point_along_a_short_line():
    image, label = np.zeros((21, 21, 3), np.uint8), np.zeros((21, 21), np.uint8)
    image[10, 10] = 240
    lengths = set()
    for seed in range(200):
        spread = motion_blur(generator(seed), image, label)[0][..., 0].astype(int)
        rows, columns = np.nonzero(spread)
        assert abs(spread.sum() - 240) <= rows.size
        assert np.ptp(spread[rows, columns]) == 0
        assert max(np.abs(rows - 10).max(), np.abs(columns - 10).max()) <= 3
        # As many pixels as the longer side: one line, one pixel wide.
        assert rows.size == max(np.ptp(rows), np.ptp(columns)) + 1
        lengths.add(rows.size)
    assert lengths == set(range(2, 8))


def test_gaussian_noise_has_the_stated_variance_and_no_bias():
    image, label = np.full((120, 120, 3), 128, np.uint8), np.zeros((120, 120), np.uint8)
    for seed in SEEDS:
        variance = generator(seed).uniform(10, 50)
        noise = gaussian_noise(generator(seed), image, label)[0].astype(float) - 128
        assert abs(noise.mean()) < 0.15
        assert abs(noise.var() / (variance + 1 / 12) - 1) < 0.04
        channels = np.corrcoef(noise.reshape(-1, 3).T)
        np.testing.assert_allclose(channels, np.eye(3), atol=0.04)
    white = gaussian_noise(generator(0), np.full_like(image, 255), label)[0]
    assert white.min() > 200  # saturates, rather than wraps around


def test_iso_noise_lifts_lightness_and_scatters_hue_as_stated():
    label = np.zeros((200, 200), np.uint8)
    image = np.empty((200, 200, 3), np.uint8)
    image[:100], image[100:] = (80, 40, 20), (160, 100, 80)

    def to_hls(rgb):
        return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2HLS)

    deviation = to_hls(image)[..., 1].std()
    for seed in SEEDS:
        rng = generator(seed)
        shift, intensity = rng.uniform(0.01, 0.05), rng.uniform(0.1, 0.5)
        new = to_hls(iso_noise(generator(seed), image, label)[0])
        mean = 255 * intensity * deviation
        for rows in (slice(0, 100), slice(100, 200)):
            old = to_hls(image)[rows][0, 0]
            rise = (new[rows][..., 1] - old[1]) / (1 - old[1]) * 255
            assert abs(rise.mean() - mean) < 0.2
            assert abs(rise.var() / (mean + 0.3) - 1) < 0.25
            turn = (new[rows][..., 0] - old[0] + 180) % 360 - 180
            assert abs(turn.std() / (360 * shift * intensity) - 1) < 0.25
            assert abs(turn.mean()) < 0.5
    grey = np.full((16, 16, 3), 77, np.uint8)
    np.testing.assert_array_equal(iso_noise(generator(0), grey, label[:16, :16])[0], grey)


@pytest.mark.parametrize("mean", [0.0, 0.7, 5.0, 63.75])
def test_tabulated_poisson_draws_have_mean_and_variance(mean):
    cumulative = _poisson_cumulative(mean)
    assert abs(cumulative[-1] - 1) < 1e-7
    drawn = _draw(generator(0), np.arange(cumulative.size), cumulative, (200_000,))
    assert abs(drawn.mean() - mean) <= 0.01 * mean
    assert abs(drawn.var() - mean) <= 0.02 * mean


def test_brightness_contrast_is_a_line_cut_off_at_both_ends():
    values = np.arange(256, dtype=np.uint8)
    image, label = np.repeat(values[None, :, None], 3, -1), np.zeros((1, 256), np.uint8)
    for seed in SEEDS:
        rng = generator(seed)
        gain, shift = 1 + rng.uniform(-0.2, 0.2), 255 * rng.uniform(-0.2, 0.2)
        new, _ = brightness_contrast(generator(seed), image, label)
        expected = np.clip(gain * values + shift, 0, 255)
        assert np.abs(new[0] - expected[:, None]).max() <= 0.5


def test_fog_equals_discs_blended_one_after_the_other():
    image, label = example(90, 120)
    for seed in SEEDS:
        rng = generator(seed)
        density = rng.uniform(0.2, 0.6)
        corners = _fog_corners(rng, label.shape, density)
        size = max(int(120 // 3 * density), 10)
        expected = image.astype(np.float32)
        for x, y in corners:
            over = expected.copy()
            cv2.circle(over, (x + size // 2, y + size // 2), size // 2, (255,) * 3, cv2.FILLED)
            expected += 0.08 * density * (over - expected)
        expected = cv2.blur(expected, (size // 10,) * 2)
        new, _ = fog(generator(seed), image, label)
        assert np.abs(new - expected).max() < 1.5  # three roundings


def test_fog_covers_the_frame_in_discs():
    corners = _fog_corners(generator(0), (320, 320), 0.5)
    covers = _count_discs(corners, 26, (320, 320))
    assert 10 <= len(corners) <= 60
    assert covers.max() <= len(corners)
    assert 0.2 < (covers > 0).mean() <= 1
    assert covers[80:240, 80:240].mean() > covers.mean()  # thickest in the middle


def test_rain_darkens_and_draws_parallel_streaks():
    label = np.zeros((160, 160), np.uint8)
    white, _ = rain(generator(0), np.full((160, 160, 3), 255, np.uint8), label)
    assert white.max() == round(0.7 * 255 - 0.01)
    assert white.min() >= 0.7 * 200 - 1
    black, _ = rain(generator(0), np.zeros((160, 160, 3), np.uint8), label)
    wet = (black[..., 0] > 0).mean()
    drops = 160 * 160 // 600
    assert 0.5 * drops * 21 < wet * 160 * 160 < 3 * drops * 21
    assert black.max() <= 0.7 * 200 + 1
    dry, _ = rain(generator(0), np.zeros((8, 8, 3), np.uint8), label[:8, :8])
    assert (dry == 0).all()  # too small for one drop


def test_shadow_halves_polygons_of_the_lower_half():
    image, label = example(64, 80)
    shares = []
    for seed in range(20):
        new, _ = shadow(generator(seed), image, label)
        np.testing.assert_array_equal(new[:32], image[:32])
        half = np.abs(new - image / 2).max(-1) <= 0.5
        same = (new == image).all(-1)
        assert (half | same).all()
        shares.append(half[32:].mean())
    assert 0.1 < np.mean(shares) < 0.6

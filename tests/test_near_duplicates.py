"""Perceptual hashes, and the search for near ones."""

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from hierseg_jax.data.inspection.near_duplicates import nearest_within
from hierseg_jax.data.inspection.perceptual_hash import perceptual_hash
from tests.inspection_data import picture

HASH = st.integers(0, 2**64 - 1)


@st.composite
def two_sets(draw):
    """Hashes of which many lie a few bits apart."""
    centres = draw(st.lists(HASH, min_size=1, max_size=3))
    bits = st.lists(st.integers(0, 63), max_size=10)
    near = st.builds(
        lambda centre, flips: centre ^ sum(1 << bit for bit in set(flips)),
        st.sampled_from(centres),
        bits,
    )
    return tuple(
        np.array(draw(st.lists(st.one_of(near, HASH), max_size=20)), np.uint64) for _ in range(2)
    )


@given(two_sets(), st.integers(0, 16))
def test_the_search_finds_what_counting_bits_of_all_pairs_finds(sets, distance):
    queries, references = sets
    found = nearest_within(queries, references, distance)
    for i, query in enumerate(queries):
        apart = [(int(query) ^ int(reference)).bit_count() for reference in references]
        near = [(d, j) for j, d in enumerate(apart) if d <= distance]
        assert found.count_n[i] == len(near)
        assert (found.distance_n[i], found.reference_n[i]) == (min(near) if near else (65, -1))


def distance(one, other):
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_a_hash_survives_scaling_recompression_and_brightening(seed):
    image = picture(seed, (300, 400))
    small = cv2.resize(image, (150, 110), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    brighter = cv2.convertScaleAbs(image, alpha=0.8, beta=30)
    for other in (small, cv2.imdecode(data, cv2.IMREAD_COLOR), brighter):
        assert distance(image, other) <= 4
    assert distance(image, picture(seed + 100, (300, 400))) > 16
    assert distance(image, image[:, ::-1]) > 16


def test_an_image_without_structure_has_no_hash():
    ramp = np.linspace(0, 255, 200).astype(np.uint8)[None, :, None].repeat(100, 0).repeat(3, 2)
    noise = np.random.default_rng(0).integers(100, 104, (100, 200, 3), np.uint8)
    assert perceptual_hash(np.zeros((3, 5, 3), np.uint8)) is None
    assert perceptual_hash(ramp) is None
    assert perceptual_hash(noise) is None

"""Dark pictures are brightened before a network sees them, where its file wants it."""

import dataclasses
import json
from fractions import Fraction
from functools import partial

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper

from hierseg_jax.data.brightening import BRIGHT, LEAST, PERCENT, brightening, rule
from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sampling import SAMPLINGS
from hierseg_jax.runtime.metadata import PREFIX, Metadata
from hierseg_jax.runtime.packaged_network import packaged_network, packaged_photograph
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.tiled_segmentation import segment_tiled
from hierseg_jax.system.errors import HiersegError
from tests.test_runtime import deploy_file, metadata, reference_file

VALUES = np.arange(256, dtype=np.uint8)
PICTURES = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda sides: arrays(np.uint8, (*sides, 3), elements=st.integers(0, 255))
)


def photo(light=1.0, size=(30, 40)):
    bright_hwc = np.random.default_rng(1).integers(0, 256, (*size, 3))
    return (light * bright_hwc).astype(np.uint8)


def as_told(picture_hwc, to):
    """The table as docs/export.md has it, in fractions."""
    brightest = sorted(int(pixel.max()) for pixel in picture_hwc.reshape(-1, 3))
    wanted = Fraction(PERCENT, 100) * len(brightest)
    level = next(v for n, v in enumerate(brightest, 1) if n >= wanted)
    if level >= to:
        return VALUES
    level = max(level, LEAST)
    return [min(255, (to * x + level // 2) // level) for x in range(256)]


@given(PICTURES, st.integers(1, 256), st.integers(LEAST + 1, 255))
@settings(max_examples=100, deadline=None)
def test_the_table_is_the_one_that_is_told(picture_hwc, top, to):
    picture_hwc = (picture_hwc.astype(int) * top // 256).astype(np.uint8)
    np.testing.assert_array_equal(brightening(picture_hwc, to), as_told(picture_hwc, to))


def test_bright_pictures_and_black_stay_and_dark_ones_have_their_light_back():
    np.testing.assert_array_equal(brightening(photo(), BRIGHT), VALUES)
    assert brightening(np.zeros((4, 4, 3), np.uint8), BRIGHT)[0] == 0
    for light in (0.5, 0.25, 0.125):
        lit_hwc = brightening(photo(light), BRIGHT)[photo(light)]
        # Rounding was of steps of `1 / light`, and the photograph has 248 or so where 200 is asked.
        assert abs(lit_hwc - photo() * (200 / 250)).max() < 2 / light
    # At most eightfold: else there would be noise.
    assert brightening(photo(0.05), BRIGHT)[10] == 80


def test_a_lamp_does_not_keep_the_rest_dark():
    dark_hwc = photo(0.2, (40, 50))
    dark_hwc[:6, :6] = 255  # 1.8 %
    assert brightening(dark_hwc, BRIGHT)[40] > 150
    dark_hwc[:12, :12] = 255
    np.testing.assert_array_equal(brightening(dark_hwc, BRIGHT), VALUES)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_bars_keep_their_grey_and_no_array_is_changed(sampling):
    image_hwc = photo(0.2)
    before_hwc = image_hwc.copy()
    resize = Resize("letterbox", sampling)
    lit = dataclasses.replace(resize, bright=150).place(image_hwc.shape[:2], (64, 64))
    input_hwc = resize.place(image_hwc.shape[:2], (64, 64)).fit_image(image_hwc)
    box = lit.filled.rows_columns
    table = lit.brightening(image_hwc)
    np.testing.assert_array_equal(table, brightening(input_hwc[box], 150))
    lit_hwc = lit.fit_image(image_hwc)
    np.testing.assert_array_equal(image_hwc, before_hwc)
    np.testing.assert_array_equal(lit_hwc[box], table[input_hwc[box]])
    np.testing.assert_array_equal(lit.fit_image(image_hwc, table=VALUES), input_hwc)
    lit_hwc[box] = input_hwc[box]
    np.testing.assert_array_equal(lit_hwc, input_hwc)


MAKERS = {"reference": partial(reference_file, contract="reference"), "deploy": deploy_file}


def brightening_file(file, contract):
    model = onnx.load(MAKERS[contract](file))
    told = dataclasses.replace(metadata(contract), bright=180)
    helper.set_model_props(model, told.to_props())
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("contract", MAKERS)
@pytest.mark.parametrize("bgr", [False, True])
def test_the_network_sees_a_brightened_picture(tmp_path, contract, bgr):
    plain = Segmenter(MAKERS[contract](tmp_path / "plain.onnx"))
    lit = Segmenter(brightening_file(tmp_path / "lit.onnx", contract))
    assert (plain.resize.bright, lit.resize.bright) == (None, 180)
    dark_hwc = photo(0.2, (8, 16))  # of the network's size
    expected = plain(brightening(dark_hwc, 180)[dark_hwc], bgr=bgr)
    found = lit(dark_hwc, bgr=bgr)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(found.levels["part"], expected.levels["part"])
    assert (found.confidence != plain(dark_hwc, bgr=bgr).confidence).any()


def test_borders_follow_the_edges_of_a_brightened_picture():
    segmenter = Segmenter(packaged_network(), provider="cpu")
    dark_hwc = read_image(packaged_photograph()) // 16
    found = segmenter(dark_hwc, refine=True)
    table = found.placement.brightening(dark_hwc)
    planes_chw, placement = found.output.planes, found.placement
    leaf_hw = guided_labels(planes_chw, placement, segmenter.hierarchy, table[dark_hwc])
    np.testing.assert_array_equal(found.levels["part"], leaf_hw)
    assert (leaf_hw != guided_labels(planes_chw, placement, segmenter.hierarchy, dark_hwc)).any()
    again = segmenter.finish(planes_chw, placement, ["part"], dark_hwc)
    np.testing.assert_array_equal(again["part"], leaf_hw)


def test_windows_are_brightened_as_the_whole_picture_is(tmp_path):
    plain = Segmenter(MAKERS["reference"](tmp_path / "plain.onnx"))
    lit = Segmenter(brightening_file(tmp_path / "lit.onnx", "reference"))
    image_hwc = photo(0.8, (40, 60))
    image_hwc[:, :30] //= 10  # a dark half, which is dark beside the other
    table = lit.resize.place((40, 60), lit.image_size).brightening(image_hwc)
    assert plain.resize.place((40, 60), plain.image_size).brightening(image_hwc) is None
    found, expected = segment_tiled(lit, image_hwc), segment_tiled(plain, table[image_hwc])
    np.testing.assert_array_equal(found.levels["part"], expected.levels["part"])
    np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_files_tell_the_rule_and_those_without_it_mean_nothing():
    props = metadata("deploy").to_props()
    assert PREFIX + "brightening" not in props
    assert not Metadata.from_props(props, "a.onnx").bright
    told = dataclasses.replace(metadata("deploy"), bright=BRIGHT)
    lit = told.to_props()
    assert json.loads(lit[PREFIX + "brightening"]) == rule(BRIGHT)
    assert Metadata.from_props(lit, "a.onnx") == told
    others = [
        {},
        True,
        None,
        rule(LEAST),
        rule(256),
        rule("a"),
        rule(True),
        rule(BRIGHT) | {"a": 1},
    ]
    others += [rule(BRIGHT) | {"percent": 90}]
    for other in (*map(json.dumps, others), "x", "[" * 9999):
        with pytest.raises(HiersegError, match=r"a\.onnx has metadata that can't be read"):
            Metadata.from_props(props | {PREFIX + "brightening": other}, "a.onnx")


def test_the_network_in_the_package_finds_in_the_dark_what_it_finds_by_day():
    segmenter = Segmenter(packaged_network(), provider="cpu")
    image_hwc = read_image(packaged_photograph())
    by_day = segmenter(image_hwc).levels["part"]
    in_the_dark = segmenter(image_hwc // 8).levels["part"]
    assert (by_day == in_the_dark).mean() > 0.97

"""The page of `hierseg web` averages a video's frames as the runtime does, by its own search."""

import json

import cv2
import numpy as np
import pytest

from hierseg_jax.data.picture_labels import STEPS
from hierseg_jax.runtime.metadata import LOG_PLANES
from hierseg_jax.runtime.motion import grey_frame
from hierseg_jax.runtime.smoothing import USUAL, next_average
from tests.moving_scenes import moved_by, scene
from tests.page_modules import needs_node, run_beside_page

pytestmark = needs_node

SIZE = (96, 144)
INSIDE = slice(12, -12), slice(12, -12)
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
import { nextAverage } from "./smoothing.js";

const read = (name, Kind) => new Kind(new Uint8Array(readFileSync(name)).buffer);
const { shapes, sizes, rule } = JSON.parse(readFileSync("frames.json"));
let average = null;
shapes.forEach((shape, i) => {
  const planes = read(`${i}.planes`, Uint16Array);
  average = nextAverage(average, { planes, shape }, read(`${i}.input`, Uint8Array), sizes[i], rule);
  writeFileSync(`${i}.average`, average.rounded);
});
"""


def planes_of(seed, size):
    """Scores as soft as a network's, all of them in play."""
    steps = scene(seed, size).transpose(2, 0, 1).astype(np.uint16)
    return STEPS - 10 * (255 - steps)


def moved_frame(image_hwc, by):
    return np.stack([moved_by(image_hwc[..., channel], by) for channel in range(3)], axis=-1)


def averages(folder, frames):
    """Of the page and of the runtime, one for each frame of (input, planes)."""
    for index, (image_hwc, planes_chw) in enumerate(frames):
        (folder / f"{index}.input").write_bytes(image_hwc.tobytes())
        (folder / f"{index}.planes").write_bytes(planes_chw.tobytes())
    told = {
        "shapes": [planes_chw.shape for _, planes_chw in frames],
        "sizes": [image_hwc.shape[:2] for image_hwc, _ in frames],
        "rule": LOG_PLANES,
    }
    (folder / "frames.json").write_text(json.dumps(told))
    run_beside_page(folder, RUN)
    average = None
    for index, (image_hwc, planes_chw) in enumerate(frames):
        found = np.fromfile(folder / f"{index}.average", np.uint16).reshape(planes_chw.shape)
        grey_hw = grey_frame(image_hwc[None], planes_chw.shape[1:])
        average = next_average(average, planes_chw, grey_hw, USUAL)
        yield found, average.planes()


def apart(one, other):
    return np.abs(one.astype(float) - other)[:, *INSIDE].mean()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_still_scene_is_averaged_to_a_step(tmp_path, stride):
    size = SIZE[0] // stride, SIZE[1] // stride
    frames = [(scene(0, SIZE), planes_of(seed, size)) for seed in range(1, 5)]
    for found, expected in averages(tmp_path, frames):
        np.testing.assert_allclose(found.astype(int), expected, atol=1)


@pytest.mark.parametrize("by", [(2, 0), (0, -3), (5, 4), (-7, 9)])
@pytest.mark.parametrize("stride", [1, 2])
def test_scores_go_with_what_moves(tmp_path, by, stride):
    """Averages that follow keep moving scores as they are; a tenth of their motion is the most."""
    size = SIZE[0] // stride, SIZE[1] // stride
    image_hwc, planes_chw = scene(0, SIZE), planes_of(1, size)
    full_chw = np.stack([cv2.resize(plane, SIZE[::-1]) for plane in planes_chw])
    frames = []
    for index in range(3):
        way = index * by[0], index * by[1]
        moved_chw = np.stack([moved_by(plane, way) for plane in full_chw])
        moved_chw = np.stack([cv2.resize(plane, size[::-1]) for plane in moved_chw])
        frames.append((moved_frame(image_hwc, way), moved_chw))
    still = apart(frames[2][1], frames[1][1])
    (_, (second, _), (third, expected)) = averages(tmp_path, frames)
    assert apart(second, frames[1][1]) < still / 6
    assert apart(third, frames[2][1]) < still / 6
    assert apart(third, expected) < still / 6


def test_a_cut_another_size_and_what_came_in_begin_anew(tmp_path):
    wide, other = scene(0, (96, 160)), (72, 96)
    frames = [
        (np.ascontiguousarray(wide[:, :144]), planes_of(1, SIZE)),
        (np.ascontiguousarray(wide[:, 8:152]), planes_of(2, SIZE)),
        (scene(1, SIZE), planes_of(3, SIZE)),
        (scene(1, other), planes_of(4, other)),
    ]
    found = [page for page, _ in averages(tmp_path, frames)]
    np.testing.assert_array_equal(found[0], frames[0][1])
    assert (found[1] != frames[1][1])[:, :, 20:120].mean() > 0.9
    np.testing.assert_array_equal(found[1][:, :, -5:], frames[1][1][:, :, -5:])
    np.testing.assert_array_equal(found[2], frames[2][1])
    np.testing.assert_array_equal(found[3], frames[3][1])


@pytest.mark.parametrize(("kept", "is_cut"), [(24, True), (76, False)])
def test_a_cut_is_where_less_than_three_tenths_agree(tmp_path, kept, is_cut):
    """Scenes of which so many columns of 144 stay, and little else agrees."""
    now = scene(1, SIZE)
    now[:, :kept] = scene(0, SIZE)[:, :kept]
    first, second = (scene(0, SIZE), planes_of(0, SIZE)), (now, planes_of(1, SIZE))
    _, (found, expected) = averages(tmp_path, [first, second])
    assert (found == second[1]).all() == (expected == second[1]).all() == is_cut


def test_classes_that_are_not_in_play_are_left_as_they_are(tmp_path):
    low, lower = np.zeros((2, 3, *SIZE), np.uint16)
    low[0] = lower[0] = STEPS
    low[1], lower[1] = 40000, 30000
    low[2], lower[2] = 62000, 60000
    image_hwc = scene(0, SIZE)
    _, (found, expected) = averages(tmp_path, [(image_hwc, low), (image_hwc, lower)])
    np.testing.assert_allclose(found.astype(int), expected, atol=1)
    assert (found[1] == 30000).all()
    np.testing.assert_allclose(found[2], 61600, atol=1)


def test_a_frame_that_is_sure_is_believed_at_once(tmp_path):
    low, high = np.full((2, 3, *SIZE), 58000, np.uint16)
    high[1] = STEPS
    image_hwc = scene(0, SIZE)
    frames = [(image_hwc, planes_chw) for planes_chw in (low, low, high, high, high, low)]
    found = []
    for page, expected in averages(tmp_path, frames):
        np.testing.assert_allclose(page.astype(int), expected, atol=1)
        found.append(page[1])
    pull = 1.2 * STEPS / 32
    np.testing.assert_allclose(found[2], STEPS - pull, atol=1)
    np.testing.assert_allclose(found[5], 58000 + pull, atol=1)


def test_a_class_that_appears_and_goes_is_held_back_as_any_other(tmp_path):
    none, some = np.full((2, 3, *SIZE), 30000, np.uint16)
    none[0] = some[0] = some[1] = STEPS
    image_hwc = scene(0, SIZE)
    frames = [(image_hwc, planes_chw) for planes_chw in (none, some, some, none, none)]
    for page, expected in averages(tmp_path, frames):
        np.testing.assert_allclose(page.astype(int), expected, atol=1)


@pytest.mark.parametrize(("classes", "in_play"), [(3, False), (60, True)])
def test_what_is_in_play_is_reckoned_by_how_many_classes_there_are(tmp_path, classes, in_play):
    first, second = np.full((2, classes, *SIZE), 54000, np.uint16)
    second[:] = 53000
    image_hwc = scene(0, SIZE)
    _, (found, expected) = averages(tmp_path, [(image_hwc, first), (image_hwc, second)])
    np.testing.assert_allclose(found.astype(int), expected, atol=1)
    assert (found != second).all() == in_play

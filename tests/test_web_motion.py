"""The page of `hierseg web` finds where a frame's pixels were, on drawn frames of known motion."""

import json

import numpy as np
import pytest

from hierseg_jax.runtime.motion import agreement, grey_frame
from tests.moving_scenes import moved_by, scene
from tests.page_modules import needs_node, run_beside_page

pytestmark = needs_node

SIZE = (192, 288)
SCORES = (96, 144)
INSIDE = slice(16, -16), slice(16, -16)
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
import { agreement, greyFrame, motion, ofSize } from "./motion.js";

const { size, scores, pairs } = JSON.parse(readFileSync("pairs.json"));
const read = (name) => greyFrame(new Uint8Array(readFileSync(name)), size, scores);
const told = [];
for (let i = 0; i < pairs; i++) {
  const [before, now] = [read(`${i}.before`), read(`${i}.now`)];
  const { x, y, trust } = motion(before, now);
  writeFileSync(`${i}.fields`, Float32Array.from([...x, ...y, ...trust, ...now.values]));
  const twice = ofSize({ size: now.size, x, y, trust }, [2 * now.size[0], 3 * now.size[1]]);
  const { x: [...across], y: [...down] } = twice;
  told.push({ agreement: agreement(now, trust), size: now.size, x: across[5000], y: down[5000] });
}
writeFileSync("told.json", JSON.stringify(told));
"""
WIDE = scene(0, (SIZE[0] + 32, SIZE[1] + 32))


def part(top, left):
    return np.ascontiguousarray(WIDE[top : top + SIZE[0], left : left + SIZE[1]])


def moved(by):
    return np.stack([moved_by(scene(0, SIZE)[..., channel], by) for channel in range(3)], axis=-1)


SHIFTS = [(0, 0), (2, 0), (0, -3), (5, 4), (-1, 1), (-16, 18), (20, -20)]
PAIRS = {
    **{f"shift {by}": (scene(0, SIZE), moved(by)) for by in SHIFTS},
    "left": (part(16, 16), part(16, 8)),
    "right": (part(16, 16), part(16, 24)),
    "top": (part(16, 16), part(8, 16)),
    "bottom": (part(16, 16), part(24, 16)),
    "cut": (scene(0, SIZE), scene(1, SIZE)),
    "even": (np.full((*SIZE, 3), 90), np.full((*SIZE, 3), 90)),
    "lighter": (np.full((*SIZE, 3), 90), np.full((*SIZE, 3), 102)),
    "dark": (np.full((*SIZE, 3), 90), np.full((*SIZE, 3), 20)),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Of every pair x, y, trust and the grey of the second frame, and its agreement."""
    folder = tmp_path_factory.mktemp("motion")
    for index, (before, now) in enumerate(PAIRS.values()):
        (folder / f"{index}.before").write_bytes(before.astype(np.uint8).tobytes())
        (folder / f"{index}.now").write_bytes(now.astype(np.uint8).tobytes())
    told = {"size": SIZE, "scores": SCORES, "pairs": len(PAIRS)}
    (folder / "pairs.json").write_text(json.dumps(told))
    run_beside_page(folder, RUN)
    told = json.loads((folder / "told.json").read_text())
    fields = (np.fromfile(folder / f"{index}.fields", np.float32) for index in range(len(PAIRS)))
    return {
        name: (*field.reshape(4, *SCORES), each)
        for name, field, each in zip(PAIRS, fields, told, strict=True)
    }


@pytest.mark.parametrize("by", SHIFTS)
def test_a_shift_is_found_to_a_fifth_of_a_pixel(found, by):
    """Of the scores' pixels, which are half as many: odd shifts are of half a pixel."""
    x_hw, y_hw, trust_hw, _, told = found[f"shift {by}"]
    assert np.median(y_hw[INSIDE]) == pytest.approx(-by[0] / 2, abs=0.2)
    assert np.median(x_hw[INSIDE]) == pytest.approx(-by[1] / 2, abs=0.2)
    assert trust_hw[INSIDE].mean() > 0.9
    assert told["agreement"] > 0.75


@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_what_came_in_at_an_edge_has_no_trust(found, edge):
    _, _, trust_hw, _, _ = found[edge]
    lines = {"left": trust_hw[:, :3], "right": trust_hw[:, -3:]}
    lines |= {"top": trust_hw[:3], "bottom": trust_hw[-3:]}
    assert (lines.pop(edge) == 0).mean() > 0.9
    assert all(line.mean() > 0.5 for line in lines.values())


def test_a_cut_agrees_in_little_and_even_frames_in_all(found):
    assert found["cut"][-1]["agreement"] < 0.25
    for name, trust in (("even", 1), ("lighter", np.exp(-1)), ("dark", 0)):
        x_hw, y_hw, trust_hw, _, told = found[name]
        assert not x_hw.any()
        assert not y_hw.any()
        np.testing.assert_allclose(trust_hw, trust, atol=1e-6)
        assert told["agreement"] == 1


def test_grey_and_agreement_are_the_runtime_s(found):
    for name, (_, now) in PAIRS.items():
        _, _, trust_hw, grey_hw, told = found[name]
        expected_hw = grey_frame(now.astype(np.uint8)[None], SCORES)
        assert told["size"] == list(SCORES)
        np.testing.assert_allclose(grey_hw, expected_hw, atol=1.01)
        assert told["agreement"] == pytest.approx(agreement(expected_hw, trust_hw), abs=0.03)


def test_motion_by_other_pixels_is_as_much_longer(found):
    *_, told = found["shift (5, 4)"]
    assert told["x"] == pytest.approx(3 * -2, abs=0.8)
    assert told["y"] == pytest.approx(2 * -2.5, abs=0.6)

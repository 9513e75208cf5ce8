"""What keys do to a window, without a window."""

import dataclasses

import cv2
import numpy as np
import pytest

from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.outputs import write_new_image
from hierseg_jax.runtime.pace import Stopwatch
from hierseg_jax.runtime.window import Window
from hierseg_jax.runtime.window_keys import (
    ESCAPE,
    KEYS,
    PAINTS,
    PATIENCE,
    SLOW,
    WindowView,
    after_frame,
    ascii_key,
    caption,
    press,
)
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

VIDEO = WindowView(num_levels=3, levels=(2,))
IMAGES = WindowView(num_levels=3, levels=(2,), stills=True)


def after(view, keys):
    for key in keys:
        view = press(view, ord(key))
    return view


@pytest.mark.parametrize(
    ("keys", "levels"),
    [("1", (0,)), ("2", (1,)), ("4", (2,)), ("l", (0,)), ("ll", (1,)), ("0", (0, 1, 2)),
     ("0l", (0,)), ("L", (0,)), ("x", (2,))],
)  # fmt: skip
def test_a_number_or_the_next_chooses_the_level(keys, levels):
    assert after(VIDEO, keys) == WindowView(num_levels=3, levels=levels)


def test_paint_goes_round_or_up_and_down_to_its_ends():
    assert [after(VIDEO, "p" * n).paint for n in range(4)] == [0.6, 1.0, 0.0, 0.6]
    assert [after(VIDEO, "+" * n).paint for n in range(4)] == [0.6, 0.8, 1.0, 1.0]
    assert [after(VIDEO, "-=" + "-" * n).paint for n in range(4)] == [0.6, 0.3, 0.0, 0.0]
    assert after(VIDEO, "-p").paint == 0.6
    assert {after(VIDEO, keys).photo_share for keys in ("++", "--")} == {0.0, 1.0}
    assert VIDEO.paint in PAINTS


def test_a_space_pauses_a_video_and_takes_the_next_image():
    assert after(VIDEO, " ").paused
    assert after(VIDEO, "  ") == VIDEO
    assert after(IMAGES, " ") == after(IMAGES, "n") == after(IMAGES, "\r")
    assert (after(IMAGES, " n").images, after(IMAGES, " ").paused) == (2, False)
    assert press(IMAGES, 65363).images == 1  # an arrow
    assert press(IMAGES, 0xFFE1) == press(IMAGES, 0x1FFE2) == IMAGES  # Shift, as for a +
    # What has a meaning does not leave the image.
    assert {after(IMAGES, key).images for key in "lLp+-=_0129sShH"} == {0}


def test_other_keys_end_take_pictures_and_tell_the_keys():
    assert after(VIDEO, "q").ended
    assert after(VIDEO, "Q").ended
    assert press(VIDEO, ESCAPE).ended
    assert after(VIDEO, "sSs").screenshots == 3
    assert after(VIDEO, "h").keys_shown
    assert after(VIDEO, "hh") == VIDEO
    assert press(VIDEO, -1) is VIDEO
    assert press(IMAGES, -1) is IMAGES


def test_the_number_pad_counts_and_arrows_are_no_letters():
    assert [chr(ascii_key(code)) for code in (0xFFB1, 0xFFAB, 0xFFAD, 0x100071)] == list("1+-q")
    assert ascii_key(0xFF51) == 0  # its last eight bits are those of Q
    assert not press(VIDEO, 0xFF51).ended


def test_the_caption_tells_level_rate_and_state():
    names = ("body", "half", "part")
    assert caption(VIDEO, names, 23.7) == "part 3/3   24 FPS"
    assert caption(VIDEO, names, 3.14) == "part 3/3   3.1 FPS"
    assert caption(VIDEO, names, None) == "part 3/3   h: keys"
    assert caption(after(VIDEO, "0 "), names, 24.0) == "body | half | part   paused   h: keys"
    assert caption(VIDEO, names, 24.0, "written: a.png") == "part 3/3   24 FPS   written: a.png"
    assert {key[0] for key, _ in KEYS} >= set("1l0p+eshq")


def test_borders_along_edges_end_where_a_video_would_stutter_unless_somebody_asked_for_them():
    def after_frames(view, seconds):
        for each in seconds:
            view = after_frame(view, each)
        return view

    quick, slow = SLOW / 2, SLOW * 2
    edges = dataclasses.replace(VIDEO, edges=True)
    assert after_frames(edges, [slow, quick] * PATIENCE).edges
    assert after_frames(edges, [slow] * (PATIENCE - 1)).edges
    assert not after_frames(edges, [quick, *[slow] * PATIENCE]).edges
    chosen = press(press(edges, ord("e")), ord("E"))
    assert chosen.edges
    assert after_frames(chosen, [slow] * 2 * PATIENCE).edges
    off = press(edges, ord("e"))
    assert not off.edges
    assert not after_frames(off, [quick] * 2 * PATIENCE).edges
    # An image stays where it is.
    assert press(IMAGES, ord("e")).images == IMAGES.images


def test_a_pause_lasts_until_the_next_space_and_q_ends_it(tmp_path):
    now, keys = [0.0], iter([-1, ord(" "), *[-1] * 50, ord(" ")])

    def key_pressed(milliseconds):
        now[0] += milliseconds / 1000
        return next(keys, -1)

    watch = Stopwatch(lambda: now[0])
    levels = PASCAL_PERSON_PART.levels
    window = Window(VIDEO, levels, Painter(levels), watch, tmp_path, key_pressed)
    assert window.wait(0.1)
    assert next(keys, None) is None  # it went on after the pause
    assert now[0] > 1
    assert watch.elapsed() == pytest.approx(0.1, abs=0.03)
    keys = iter([-1, ord(" "), ord("q")])
    assert not window.wait(0.1)
    assert not window.wait(0.0)


def test_a_screenshot_never_takes_the_place_of_a_file(tmp_path):
    picture = np.zeros((4, 5, 3), np.uint8)
    (tmp_path / "screenshot_2.png").write_bytes(b"mine")
    names = [write_new_image(tmp_path / "screenshot.png", picture + n).name for n in range(3)]
    assert names == ["screenshot.png", "screenshot_3.png", "screenshot_4.png"]
    assert (tmp_path / "screenshot_2.png").read_bytes() == b"mine"
    assert (cv2.imread(str(tmp_path / names[2])) == 2).all()

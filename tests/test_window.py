"""A real window, on a display of its own, with keys that a script presses."""

import shutil
import sys

import cv2
import pytest

from tests.runs import run
from tests.test_runtime import reference_file

SCRIPT = """
import sys
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.pace import Stopwatch
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.window_keys import WindowView
from hierseg_jax.runtime.window import NAME, Window, require_display

require_display()
network, folder = sys.argv[1:]
keys = iter("s1sh0sppe")

def key_pressed(milliseconds):
    cv2.waitKeyEx(milliseconds)
    return ord(next(keys, "n"))

segmenter, frame_bgr = Segmenter(network), np.full((60, 90, 3), 90, np.uint8)
levels, refined = segmenter.hierarchy.levels, []

def finished(edges):
    refined.append(edges)
    return segmenter(frame_bgr, bgr=True, refine=edges)

painter = Painter(levels, legend="none")
view = WindowView(len(levels), (2,), stills=True)
window = Window(view, levels, painter, Stopwatch(), Path(folder), key_pressed)
assert window.show(frame_bgr, finished(False), finished)
assert refined == [False, True]
assert window.view.levels == (0, 1, 2) and window.view.paint == 0
keys = iter("eeq")
assert not window.show(frame_bgr, finished(True), None)
assert window.view.edges
assert cv2.getWindowProperty(NAME, cv2.WND_PROP_VISIBLE) == 1
window.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="needs Xvfb")
def test_a_window_opens_takes_keys_and_closes(tmp_path):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    folder = tmp_path / "shots"
    command = ["xvfb-run", "-a", sys.executable, "-c", SCRIPT, str(file), str(folder)]
    done = run(command, PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    sizes = [cv2.imread(str(shot)).shape[:2] for shot in sorted(folder.iterdir())]
    assert sizes == [(60, 90), (60, 90), (60, 270)]
    assert done.stderr.count("Written: ") == 3

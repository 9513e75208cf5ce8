"""What importing does, and that the commands written down are the commands run."""

import os
import subprocess
import sys
from importlib.util import find_spec

from tests.conftest import ROOT


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    ).stdout


def test_the_package_root_imports_neither_jax_nor_flax():
    """Which makes it cheap, and lets the runtime live without them."""
    heavy = run_python(
        "import sys, hierseg_jax\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'jax', 'jaxlib', 'flax', 'optax', 'orbax', 'grain', 'tensorflow', 'torch', 'cv2'}))"
    )
    assert heavy.strip() == "[]"


def test_importing_every_module_starts_no_device_and_loads_no_config():
    """With a platform that does not exist, whoever starts a device fails.

    ml_collections has one module for all configs: what one lacks would be an earlier one's.
    """
    absent = {name for name in ("optuna", "tensorflow_datasets") if not find_spec(name)}
    run_python(
        "import importlib, pkgutil, hierseg_jax\n"
        "for module in pkgutil.walk_packages(hierseg_jax.__path__, 'hierseg_jax.'):\n"
        "    if not module.name.endswith('.__main__'):\n"
        "        try:\n"
        "            importlib.import_module(module.name)\n"
        "        except ModuleNotFoundError as error:\n"
        f"            assert error.name.split('.')[0] in {sorted(absent)}, error\n"
        "import sys\n"
        "assert 'config_config' not in sys.modules\n",
        JAX_PLATFORMS="there_is_no_such_platform",
    )


def test_ci_runs_the_test_command_of_the_readme():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if "pytest" in line and not line.startswith("#")]
    assert len(commands) == 1
    assert f"\n{commands[0]}\n" in (ROOT / "README.md").read_text()

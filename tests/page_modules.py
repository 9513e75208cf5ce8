"""The modules of the page of `hierseg web`, run in Node."""

import shutil
import subprocess

import pytest

from hierseg_jax.runtime.web.site import PAGE

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def run_beside_page(folder, code):
    """Runs JavaScript in a folder, beside a copy of the page's modules."""
    for file in PAGE.glob("*.js"):
        shutil.copy(file, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "run.js").write_text(code)
    subprocess.run(["node", "run.js"], cwd=folder, check=True)

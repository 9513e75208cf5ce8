"""docs/tutorial.ipynb: whole, small, and run from an empty folder."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, flags_of_users

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells(kind):
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_the_notebook_has_been_run_in_order_and_is_small():
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    code = cells("code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result"}
    assert NOTEBOOK.stat().st_size < 250_000
    for cell in code:
        compile("".join(cell["source"]), cell["id"], "exec")


def test_its_links_lead_somewhere():
    text = "".join("".join(cell["source"]) for cell in cells("markdown"))
    names = [part.split(")")[0] for part in text.split("](")[1:]]
    assert names
    assert all((NOTEBOOK.parent / name).is_file() for name in names)


@pytest.mark.slow
def test_all_cells_run_in_order_from_an_empty_folder(tmp_path):
    script = "\n\n".join("".join(cell["source"]) for cell in cells("code"))
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": flags_of_users()},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "onnxruntime equals JAX within" in said.stdout
    (equal,) = re.findall(r"equal labels: ([\d.]+)%", said.stdout)
    assert float(equal) > 99  # the rest are ties
    assert not list(tmp_path.iterdir())

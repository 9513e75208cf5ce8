"""A run's relative paths of data, as seen from the folders above it."""

import pytest

from hierseg_jax.settings.data_in_sight import data_in_sight
from tests.runs import small_settings


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder beside its data, seen from another folder."""
    for name in (
        "project/x",
        "project/a/data.yaml",
        "project/b.yaml",
        "project/tree.yaml",
        "elsewhere/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "project/nobody").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "project/runs/mine"


def spec_of(spec, run):
    return data_in_sight(small_settings(data__spec=spec), run).data.spec


def test_what_leads_nowhere_from_here_leads_where_it_leads_from_above_the_run(run):
    project = run.parent.parent
    assert spec_of("a/data.yaml", run) == str(project / "a/data.yaml")
    assert spec_of("a/data.yaml + 0.5*b.yaml", run) == (
        str(project / "a/data.yaml"),
        f"0.5*{project / 'b.yaml'}",
    )
    keys = {"data__hierarchy": "tree.yaml", "data__negatives": "nobody", "data__spec": "b.yaml"}
    data = data_in_sight(small_settings(**keys), run).data
    assert (data.hierarchy, data.negatives) == (
        str(project / "tree.yaml"),
        str(project / "nobody"),
    )


def test_names_that_could_be_read_as_others_stay(run):
    """`cats + dogs` would be two data sets."""
    project = run.parents[1].rename(run.parents[2] / "cats + dogs")
    run = project / "runs/mine"
    assert spec_of("b.yaml", run) == str(project / "b.yaml")
    for spec in ("a/data.yaml + b.yaml", "0.5*b.yaml"):
        assert spec_of(spec, run) == spec


@pytest.mark.parametrize("spec", ["x", "nowhere.yaml", "figures", "tfds:x", "/none/data.yaml"])
def test_all_else_stays_as_it_was_given(run, spec):
    settings = small_settings(data__spec=spec)
    assert data_in_sight(settings, run) == settings

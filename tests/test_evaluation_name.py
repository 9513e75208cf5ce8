"""Every view of an evaluation has a folder of its own."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.data.sizes import as_size
from hierseg_jax.evaluation.view_name import evaluation_name
from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.tree.decoding import DECODINGS
from tests.runs import evaluate_command, run, small_settings, train_here

SETTINGS = small_settings(data__spec="data/own/data.yaml")
USUAL = {
    "task": "val",
    "data": "data/own/data.yaml",
    "image_size": 32,
    "resolution": "network",
    "scales": [1.0],
    "flip": False,
    "batch_size": 16,
    "decode": "leaf",
    "metrics": list(SETTINGS.metrics),
}


@pytest.mark.parametrize(
    ("changes", "which", "name"),
    [
        ({}, "best", "val"),
        ({"task": "test"}, "best", "test"),
        ({"data": str(Path("data/own/data.yaml").absolute())}, "best", "val"),
        ({"image_size": [32, 32]}, "best", "val"),
        ({"scales": [0.75, 1.0], "flip": True}, "last", "val_last_flip_scales0.75,1"),
        ({"image_size": [64, 32], "resolution": "original"}, "3", "val_epoch3_size64x32_original"),
        ({"decode": "top_down", "batch_size": 8}, "best", "val_decode-top-down_batch8"),
        ({"metrics": ["miou", "recall"]}, "best", "val_metrics-miou,recall"),
    ],
)
def test_a_name_tells_what_differs(changes, which, name):
    assert evaluation_name(USUAL | changes, SETTINGS, which) == name


def test_another_data_set_is_known_by_its_path():
    names = {
        evaluation_name(USUAL | {"data": data}, SETTINGS)
        for data in ("a/b.yaml", "a/b c.yaml", "a-b.yaml", "figures", "tfds:pascal_person_part")
    }
    assert len(names) == 5
    assert any(re.fullmatch("val_data-a-b-[0-9a-f]{10}", name) for name in names)
    assert any(name.startswith("val_data-tfds-pascal-person-part-") for name in names)


sides = st.integers(1, 99)
# Words that occur in names themselves, to be taken for one another.
words = st.lists(st.sampled_from(["a", "_", "-", "/", "flip", "last", "batch8", "ä", "."])).map(
    "".join
)
views = st.fixed_dictionaries(
    {
        "task": st.sampled_from(["val", "test"]),
        "data": words | st.just(USUAL["data"]),
        "image_size": st.just(32) | sides | st.lists(sides, min_size=2, max_size=2),
        "resolution": st.sampled_from(["network", "original"]),
        "scales": st.lists(st.floats(0, 4, exclude_min=True), min_size=1, max_size=40),
        "flip": st.booleans(),
        "batch_size": sides,
        "decode": st.sampled_from(DECODINGS),
        "metrics": st.lists(st.sampled_from(list(METRICS)), min_size=1, unique=True),
        "which": st.sampled_from(["best", "last", "1", "11"]),
    }
)


def name_of(view):
    return evaluation_name(view, SETTINGS, view["which"])


def resolved(view):
    """Equal where two views are one, however they were written."""
    height, width = as_size(view["image_size"])
    data = os.path.abspath(view["data"]) if view["data"] else ""
    return view | {"image_size": (height, width), "data": data}


@given(views, views, st.sampled_from([*USUAL, "which"]))
def test_different_views_never_share_a_name(view, other, key):
    name = name_of(view)
    assert re.fullmatch("[A-Za-z0-9.,_-]{1,230}", name)
    # Those that differ in one thing are likeliest to be taken for one another.
    for each in (other, view | {key: other[key]}):
        assert (name_of(each) == name) == (resolved(each) == resolved(view))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views") / "run"
    train_here(folder, epochs=1)
    return folder


@pytest.mark.slow  # other tests evaluate one view
def test_views_of_a_run_lie_beside_one_another(workdir):
    for flags, name in (([], "val"), (["--which=last", "--flip"], "val_last_flip")):
        done = run(evaluate_command(workdir, *flags))
        assert done.returncode == 0, done.stderr
        folder = workdir / "evaluation" / name
        assert f"Written to {folder / 'report.html'}, and beside it metrics.json, " in done.stdout
    found = sorted(entry.name for entry in (workdir / "evaluation").iterdir())
    assert found == ["val", "val_last_flip"]

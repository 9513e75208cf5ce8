"""Whether a config continues a run, and what is said where it does not."""

import re
import shlex
import sys
from unittest import mock

import pytest
from absl import flags
from ml_collections import config_flags

from hierseg_jax.checkpoint import FOLDER, HISTORY
from hierseg_jax.settings import read_settings
from hierseg_jax.settings.building import tree_of
from hierseg_jax.settings.config_files import config_file
from hierseg_jax.train.same_run import check_same_run
from hierseg_jax.train.workdir import begun_settings, check_workdir, claim_workdir, kept_settings
from tests.commands import run_quickly
from tests.inspection_data import make_data
from tests.runs import small_settings


@pytest.mark.parametrize(
    ("changes", "planned"),
    [
        ({"schedule__name": "cosine"}, "The cosine schedule (schedule.name)"),
        ({"schedule__name": "polynomial"}, "The polynomial schedule (schedule.name)"),
        ({"loss": "crossentropy + tree_triplet"}, "The weight of tree_triplet"),
    ],
)
def test_more_epochs_of_what_is_laid_out_over_all_are_refused_with_a_way_on(changes, planned):
    stored = small_settings(**changes, epochs=2)
    with pytest.raises(ValueError, match="epochs was 2, now 3") as error:
        check_same_run(stored, small_settings(**changes, epochs=3), "runs/a b")
    sentence = str(error.value)
    assert "with its own (--config.epochs=2), or choose another --workdir." in sentence
    assert f"{planned} is laid out over all epochs and ends at the last" in sentence
    assert sentence.endswith("give --config.init='runs/a b' and another --workdir.")


def test_weights_that_a_run_began_with_make_room_for_those_it_goes_on_from():
    begun = {"schedule__name": "cosine", "model__pretrained": "imagenet"}
    stored = small_settings(**begun, epochs=2)
    with pytest.raises(ValueError, match=r"--config\.init=run and another"):
        check_same_run(stored, small_settings(**begun, epochs=3), "run")


def test_other_ways_of_training_are_offered_the_weights_and_other_networks_are_not():
    stored = small_settings()
    with pytest.raises(ValueError, match=r"was 0\.0, now 0\.3") as error:
        check_same_run(stored, small_settings(mixing__poor_camera=0.3), "run")
    assert str(error.value).endswith("give --config.init=run and another --workdir.")
    with pytest.raises(ValueError, match=r"data\.negatives was '', now 'nobody'") as error:
        check_same_run(stored, small_settings(data__negatives="nobody"), "run")
    assert str(error.value).endswith("give --config.init=run and another --workdir.")
    others = {"model__name": "esnet"}, {"data__hierarchy": "tree.yaml"}, {"data__spec": "b.yaml"}
    for other in others:
        with pytest.raises(ValueError, match="another config") as error:
            check_same_run(stored, small_settings(**other), "run")
        assert str(error.value).endswith("or choose another --workdir.")


def test_a_run_is_gone_on_with_as_it_was_begun(tmp_path):
    settings = small_settings(learning_rate=0.3, loss="crossentropy + 0.5*dice")
    _begin(tmp_path, settings)
    assert begun_settings(str(tmp_path), {}) == settings
    changed = begun_settings(str(tmp_path), {"epochs": 7, "data.worker_count": 1})
    assert changed == settings.replace({"epochs": 7, "data.worker_count": 1})
    assert begun_settings(str(tmp_path / "none"), {}) is None
    with pytest.raises(ValueError, match="epochs is 0; it must be at least 1"):
        begun_settings(str(tmp_path), {"epochs": 0})


def test_data_of_a_run_that_are_code_or_gone_have_to_be_named(tmp_path):
    _begin(tmp_path, small_settings(data__spec="os:getcwd"))
    with pytest.raises(ValueError, match=r"is code, .* names it; give the whole command"):
        begun_settings(str(tmp_path), {})
    _begin(tmp_path, small_settings(data__spec="gone.yaml"))
    with pytest.raises(FileNotFoundError, match="give the whole command, with --data"):
        begun_settings(str(tmp_path), {})
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run\.json is not as a run writes it"):
        begun_settings(str(tmp_path), {})


def test_a_run_is_gone_on_with_from_another_folder_and_may_move(tmp_path, monkeypatch):
    """Its files tell the relative path that it was begun with; another tree's data are none."""
    project = tmp_path / "project"
    data = make_data(project).read_text()
    monkeypatch.chdir(project)
    settings = small_settings(data__spec="data.yaml")
    run = project / "runs/mine"
    claim_workdir(run, settings, tree_of(settings.data), {})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    begun = begun_settings(str(run), {})
    assert begun.data.spec == str(project / "data.yaml")
    assert kept_settings(run, begun) == settings
    moved = project.rename(tmp_path / "moved") / "runs/mine"
    assert begun_settings(str(moved), {}).data.spec == str(tmp_path / "moved/data.yaml")
    other = begun.replace({"data.spec": "other.yaml", "epochs": 9})
    assert kept_settings(moved, other) == other
    (tmp_path / "elsewhere/data.yaml").write_text(data.replace("legs", "feet"))
    with pytest.raises(ValueError, match=r"^data\.yaml has other classes than the run") as refused:
        begun_settings(str(moved), {})
    assert f"--config.model.pretrained={moved}, which takes over" in str(refused.value)


def test_a_run_that_has_learned_nothing_leaves_its_folder_to_another(tmp_path):
    tree = tree_of(small_settings().data)
    _begin(tmp_path, small_settings(batch_size=16))
    check_workdir(tmp_path, small_settings(batch_size=8), tree)
    (tmp_path / HISTORY).write_text("{}")
    with pytest.raises(ValueError, match="batch_size was 16, now 8"):
        check_workdir(tmp_path, small_settings(batch_size=8), tree)
    (tmp_path / HISTORY).unlink()
    (tmp_path / FOLDER / "4").mkdir()
    with pytest.raises(ValueError, match="batch_size was 16, now 8"):
        check_workdir(tmp_path, small_settings(batch_size=8), tree)


def test_neither_data_nor_a_run_is_one_sentence(tmp_path):
    done = run_quickly("launch/train.py", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 1
    assert "run holds no run to go on with, and no data set is given" in done.stderr
    assert done.stderr.count("\n") == 1


def _begin(workdir, settings):
    tree = tree_of(small_settings().data)
    claim_workdir(workdir, settings, tree, {})


@pytest.mark.parametrize("key", ["negatives", "unlabelled"])
def test_a_folder_of_pictures_may_lie_elsewhere_where_its_files_are_known(key):
    before, now = (
        small_settings(**{f"data__{key}": folder}, teacher="taught", augment="none")
        for folder in ("here", "there")
    )
    check_same_run(before, now, "run", data_known=True)
    with pytest.raises(ValueError, match="now 'there'"):
        check_same_run(before, now, "run")
    without = small_settings(teacher="taught", augment="none")
    with pytest.raises(ValueError, match="was 'here', now ''"):
        check_same_run(before, without, "run", data_known=True)
    with pytest.raises(ValueError, match="was '', now 'here'"):
        check_same_run(without, before, "run", data_known=True)


def test_more_epochs_of_any_other_run_are_welcome():
    check_same_run(small_settings(epochs=2), small_settings(epochs=3), "run")


def with_flags(*given):
    """The settings of configs/default.py and flags, as a command reads them."""
    values, argv = flags.FlagValues(), ["train", *given]
    # ml_collections looks there for what is set of a config.
    with mock.patch.object(sys, "argv", argv):
        config_flags.DEFINE_config_file("config", str(config_file("default")), flag_values=values)
        values(argv)
        return read_settings(values.config)


@pytest.mark.filterwarnings("ignore:the load_module")  # ml_collections' way to a config
@pytest.mark.parametrize(
    "own",
    [
        ["--config.data.image_size=64,128", "--config.data.resize=letterbox"],
        ["--config.progressive=0.8"],
        ["--config.progressive=0.5,1.0", "--config.seed=3"],
        ["--config.progressive="],
        ["--config.loss_options.level_weights=0.2,0.3,0.5"],
        ["--config.metrics=miou,f1"],
        ["--config.teacher=('a,b', 'c')"],
    ],
)
def test_the_flags_that_are_told_continue_the_run(own):
    given = ["--config.data.spec=figures", "--config.augment=none"]
    stored = with_flags(*given, *own)
    now = with_flags(*given, "--config.progressive=0.25", "--config.teacher=d")
    with pytest.raises(ValueError, match="Continue it with its own") as error:
        check_same_run(stored, now, "run")
    told = shlex.split(re.search(r"its own \((.*)\), or choose", str(error.value))[1])
    check_same_run(stored, with_flags(*given, *told), "run")

"""`hierseg`: one command for all, short forms, configs by name, help on one screen."""

import importlib
import pathlib
import re
import subprocess
import sys

import pytest
from absl import flags

from hierseg_jax.commands.hierseg import COMMANDS
from hierseg_jax.commands.short_forms import (
    OF_SEARCHES,
    expand_short_forms,
    format_keys,
    name_config,
)
from hierseg_jax.settings.config_files import config_called, config_file, config_names, load_config
from hierseg_jax.settings.settings import KEYS
from hierseg_jax.system.command_help import format_help
from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegError
from tests.commands import run_quickly
from tests.conftest import ROOT


def hierseg(*arguments, folder="."):
    command = [sys.executable, "-m", "hierseg_jax.commands.hierseg", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_it_lists_its_commands_and_names_the_nearest_one():
    done = hierseg()
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    files = {file.stem for file in (ROOT / "hierseg_jax" / "commands").glob("*_command.py")}
    assert files == {f"{name}_command" for name in COMMANDS}
    done = hierseg("evalute")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: hierseg has no command 'evalute'; did you mean evaluate?\n"


def test_help_is_on_one_screen_and_no_failure(tmp_path):
    done = hierseg("train", "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert all(f"  --{flag} " in done.stdout for flag in ("data", "epochs", "name", "workdir"))
    assert "--help=keys" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_flag_is_a_line_of_ours(name):
    own = importlib.import_module(f"hierseg_jax.commands.{name}_command").FLAGS
    told = format_help("", own, [name], None)
    assert ";;" not in told
    assert not re.search(r"\S  +\S", re.sub(r"(?m)^  --\S+ +", "", told))


def test_every_key_is_told_with_its_value_in_the_config():
    told = ("--help=keys", "--config=esnet")
    text = format_keys(["hierseg train", *told])
    assert all(f"\n--config.{name}=" in text for name in KEYS)
    assert "--config.metrics=miou,pixel_accuracy," in text
    assert "\n--config.progressive=\n" in text
    for config in ((), ("--config", "tree")):
        text = format_keys(["hierseg train", *config])
        assert text.startswith("The values are those of --config=tree.\n")
        assert "\n--config.progressive=0.75\n" in text
        assert "\n--config.model.sibling_softmax=True\n" in text
    own = format_keys(["hierseg train", "--config=mine.py"])
    assert own.startswith("The values are those of --config=default.\n")


def test_short_forms_stand_for_keys_of_the_config():
    given = ["hierseg train", "--data=a b.yaml", "--epochs", "3", "--name=mine", "--config.seed=1"]
    assert expand_short_forms(given) == [
        "hierseg train",
        f"--config={config_file('tree')}",
        "--config.data.spec=a b.yaml",
        "--config.epochs=3",
        "--workdir=runs/mine",
        "--config.seed=1",
    ]
    for both in (
        ["--epochs=3", "--config.epochs=4"],
        ["--config.data.spec=a", "--data=a"],
        ["--name=a", "--workdir=b"],
    ):
        one, other = (flag.partition("=")[0] for flag in both)
        with pytest.raises(HiersegError, match=rf"^{one} and {other} say the same; give one of"):
            expand_short_forms(["hierseg train", *both])


def test_data_need_no_flag():
    for given in (
        ["a.yaml", "--name", "x"],
        ["--name", "x", "a.yaml"],
        ["--name=x", "--data=a.yaml"],
    ):
        expanded = expand_short_forms(["hierseg train", *given])[2:]
        assert sorted(expanded) == ["--config.data.spec=a.yaml", "--workdir=runs/x"]
    value = ["--config.data.hierarchy", "tree.yaml"]
    assert expand_short_forms(["hierseg train", *value])[2:] == value
    for twice in (["a.yaml", "b.yaml"], ["--data=a.yaml", "b.yaml"]):
        with pytest.raises(HiersegError, match=r"one argument, as a sum: 'a\.yaml \+ b\.yaml'"):
            expand_short_forms(["hierseg train", *twice])


def test_a_config_may_follow_its_keys_and_is_one():
    given = ["hierseg train", "--config.epochs=3", "--name", "mine", "--config", "tree"]
    first, *others = expand_short_forms(given)[1:]
    assert first.endswith("tree.py")
    assert others == ["--config.epochs=3", "--workdir=runs/mine"]
    with pytest.raises(ValueError, match="twice, as tree and esnet; give one"):
        expand_short_forms([*given, "--config=esnet"])


def test_a_search_has_no_workdir_to_be_named():
    given = ["hierseg tune", "--config=esnet", "--epochs=3", "--name=mine"]
    expanded = OF_SEARCHES.expand(given)
    assert expanded[1:] == [f"--config={config_file('esnet')}", "--config.epochs=3", "--name=mine"]
    assert "name" not in OF_SEARCHES.meanings


def test_a_config_has_a_name_or_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_config(["x", "--config=esnet"]) == ["x", f"--config={config_file('esnet')}"]
    pathlib.Path("own.py").write_text("")
    for own in ("--config=own.py", "--config=own.py:3"):
        assert name_config(["x", own]) == ["x", own]
    with pytest.raises(HiersegError, match=r"figure: there is no such file; did you mean figures"):
        name_config(["x", "--config", "figure"])
    with pytest.raises(HiersegError, match=r"did you mean tree"):
        name_config(["x", "--config=configs/tree.py"])
    assert config_called(str(config_file("tree"))) == "tree"
    assert config_called("own.py") == "own.py"


def test_every_config_loads_by_name():
    for name in config_names():
        config = load_config(name)
        assert set(config.to_dict()) == {key.partition(".")[0] for key in KEYS}


def test_a_copied_config_works_elsewhere_and_short_forms_reach_it(tmp_path):
    copied = tmp_path / "mine.py"
    copied.write_text(config_file("figures_mixed").read_text())
    done = hierseg("train", "--config=mine.py", "--epochs=0", "--name=a", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: The config's epochs is 0; it must be at least 1.\n"
    # As far as the folder that it may not write to.
    (tmp_path / "run").write_text("")
    done = hierseg("train", "--config=mine.py", "--workdir=run", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: The workdir run can't be written")


def run_parsed(arguments, monkeypatch, capsys):
    """A command with one flag that is needed, which an argument without a flag may be."""
    own = flags.FlagValues()
    source = flags.DEFINE_string("source", None, "YAML file.", required=True, flag_values=own)
    level = flags.DEFINE_string("level", None, "A level.", required=True, flag_values=own)
    monkeypatch.setattr(sys, "argv", ["hierseg look", *arguments])
    with pytest.raises(SystemExit) as ended:
        run(lambda: print(source.value, level.value), own, bare="source")
    return ended.value.code or capsys.readouterr().out


def test_what_a_command_looks_at_needs_no_flag(monkeypatch, capsys):
    for given in (["a b.jpg", "--level=x"], ["--level=x", "a b.jpg"], ["--source=a b.jpg"]):
        arguments = [*given, "--level=x"]
        assert run_parsed(arguments, monkeypatch, capsys) == "a b.jpg x\n"
    assert run_parsed(["--level=x"], monkeypatch, capsys).startswith(
        "error: --source is missing: YAML file. "
    )
    assert run_parsed(["a"], monkeypatch, capsys).startswith("error: --level is missing: a level. ")
    stray = run_parsed(["a", "b", "--level=x"], monkeypatch, capsys)
    assert stray == "error: unexpected argument 'b'; flags start with --; give one --source."
    twice = run_parsed(["--source=a", "--source=b", "--level=x"], monkeypatch, capsys)
    assert twice == "error: --source is given 2 times, and takes one."


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["export", "--outputt=x"], "export has no flag --outputt; did you mean --output?"),
        (["evaluate", "--xyz"], "evaluate has no flag --xyz; hierseg evaluate --help tells its"),
        (["tune", "--seed=1"], "tune has no flag --seed; did you mean --config.seed?"),
        (["train", "--epoch=1"], "train has no flag --epoch; did you mean --epochs?"),
        (["train", "--learning_rat=1"], "did you mean --config.learning_rate?"),
        (["train", "--model=esnet"], "did you mean --config.model.name?"),
        (["train", "--data.resize=crop"], "did you mean --config.data.resize?"),
        (["train", "--size=32"], "did you mean --image_size or --batch_size?"),
        (["prepare", "--val=a"], "did you mean --val_share or --val_names?"),
        (["prepare", "--workdirr=a"], "no flag --workdirr; hierseg prepare --help tells its"),
        (["train", "--\x1b[31mred"], r"train has no flag --\x1b[31mred; "),
        (["train", "--backbone=b1"], "did you mean --config.model.backbone?"),
        (["train", "--lr=1"], "train has no flag --lr; did you mean --config.learning_rate?"),
        (["train", "--imgsz=320"], "train has no flag --imgsz; did you mean --image_size?"),
        (["train", "--epochs=abc"], "error: --epochs is 'abc'; expected a whole number."),
        (["train", "--config.epochs=1.5"], "error: --epochs is '1.5'; expected a whole number."),
        (["train", "--config.learning_rate=a"], "--config.learning_rate is 'a'; expected a number"),
        (["prepare", "--val_share=a"], "error: --val_share is 'a'; expected a number."),
        (["predict", "--masks=part"], "--masks is 'part'; it takes true, false, or nothing."),
        (["predict", "--threads=all"], "error: --threads is 'all'; expected a whole number."),
    ],
)
def test_an_unknown_flag_is_told_with_what_was_meant(arguments, hint):
    done = run_quickly("hierseg_jax/commands/hierseg.py", *arguments)
    assert done.returncode == 1
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_runs_folder_and_what_is_written_have_one_name_everywhere(tmp_path):
    for command in ("evaluate", "export --output=x.onnx", "convert --to_torch=x.safetensors"):
        done = run_quickly(
            "hierseg_jax/commands/hierseg.py", *command.split(), f"--workdir={tmp_path}/gone"
        )
        assert "gone does not exist" in done.stderr


@pytest.mark.parametrize(
    ("command", "one", "other"),
    [
        ("export", "--output=a.onnx", "--onnx_file=b.onnx"),
        ("evaluate", "--workdir=a", "--checkpoint=b"),
        ("prepare", "--output=a", "--out_dir=b"),
    ],
)
def test_a_flag_under_both_of_its_names_is_refused(command, one, other):
    done = run_quickly("hierseg_jax/commands/hierseg.py", command, "x", one, other)
    said = [word.partition("=")[0] for word in (one, other)]
    assert done.stderr == f"error: {' and '.join(said)} say the same; give one of them.\n"


def test_several_arguments_take_the_place_of_a_flag_that_takes_several(monkeypatch, capsys):
    for arguments, expected in (
        (["a", "b c"], "['a', 'b c']\n"),
        (["--source=a", "b"], "['a', 'b']\n"),
        (["--source=a", "--source=b"], "['a', 'b']\n"),
        ([], "error: --source is missing: pictures. --help tells all flags."),
    ):
        own = flags.FlagValues()
        source = flags.DEFINE_multi_string(
            "source", None, "Pictures.", required=True, flag_values=own
        )
        monkeypatch.setattr(sys, "argv", ["hierseg look", *arguments])
        with pytest.raises(SystemExit) as ended:
            run(lambda source=source: print(source.value), own, bare="source")
        assert expected in str(ended.value.code or capsys.readouterr().out)


def test_a_network_is_not_what_is_looked_at(tmp_path):
    done = hierseg("predict", "mine.onnx", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: mine.onnx is a network: give it as --model")

"""Mistakes in a config, its data or its folder end in one sentence."""

import json
import os
import shlex
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.view import View
from tests.commands import run_quickly
from tests.conftest import ROOT
from tests.runs import SMALL, run, train_command, train_here


def write_data(root, train=8, val=3, num_classes=4, size=(40, 30)):
    """A small data set of a user's own."""
    rng = np.random.RandomState(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            image = rng.randint(0, 256, (*size, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / "images" / f"{i}.jpg"), image)
            label = rng.randint(0, num_classes, size, dtype=np.uint8)
            np.save(root / split / "masks" / f"{i}.npy", label)
    (root / "data.yaml").write_text(
        "path: .\ntrain: train/images\nval: val/images\ntest:\n"
        "hierarchy:\n  body:\n    upper: !!python/tuple\n    - 1\n    - 3\n"
        "    lower: !!python/tuple\n    - 2\n"
    )
    return root / "data.yaml"


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def mistake(workdir, **changes):
    """The sentence that a run ends in; that the command prints just that is tested below."""
    changes = {key: str(v) if key == "data__spec" else v for key, v in changes.items()}
    with pytest.raises((ValueError, OSError)) as error:
        train_here(workdir, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


def remove(file):
    file.unlink()


def cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def save_mask(array, **options):
    return lambda file: np.save(file, array, **options)


def test_a_validation_split_without_a_labelled_pixel_is_told(data, tmp_path):
    for file in (data.parent / "val/masks").iterdir():
        np.save(file, np.full((40, 30), 255, np.uint8))
    error = mistake(tmp_path / "run", data__spec=data, batch_size=4)
    assert f"No mask of the validation split of {data} holds a labelled pixel" in error


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("train/masks/3.npy", remove, "1 image without a mask"),
        ("val/images/2.jpg", remove, "1 mask without an image"),
        ("train/images/0.jpg", cut, "0.jpg is cut off"),
        ("train/masks/0.npy", save_mask(np.zeros((9, 9), np.uint8)), "is 9 x 9"),
        ("train/masks/0.npy", save_mask(np.full((40, 30), 4)), "holds the labels 4"),
        ("val/masks/0.npy", save_mask(np.full((40, 30), 77)), "holds the labels 77"),
        ("train/masks/0.npy", save_mask(np.full((40, 30), 0.5)), "holds float64 values"),
        (
            "train/masks/0.npy",
            save_mask(np.array([{}]), allow_pickle=True),
            "holds Python objects",
        ),
    ],
)
def test_bad_examples_are_named(data, tmp_path, file, change, sentence):
    change(data.parent / file)
    assert sentence in mistake(tmp_path / "run", data__spec=data, epochs=1)


def test_the_command_prints_the_sentence_alone(data, tmp_path):
    """From a worker process too."""
    cut(data.parent / "train/images/0.jpg")
    for workers in (0, 1):
        command = train_command(tmp_path / "run", data__spec=data, data__worker_count=workers)
        done = run(command)
        assert done.returncode == 1
        assert done.stderr.startswith("error: "), done.stderr
        assert "0.jpg is cut off" in done.stderr
        assert done.stderr.count("\n") == 1


def drop_key(text):
    return text.split("hierarchy:")[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop_key, "the key hierarchy is missing"),
        (lambda text: text.replace("train: train/images", "train:"), "no image folder for 'train'"),
        (lambda text: text.replace("val: val/images", "val: no/images"), "There is no folder"),
        (lambda text: drop_key(text) + "hierarchy: {}", "the group is empty"),
        (lambda text: text.replace("- 2", "- 5"), "missing: 2"),
    ],
)
def test_bad_descriptions_are_named(data, tmp_path, change, sentence):
    data.write_text(change(data.read_text()))
    error = mistake(tmp_path / "run", data__spec=data)
    assert sentence in error
    assert not (tmp_path / "run").exists()


def test_empty_and_small_splits_are_named(data, tmp_path):
    error = mistake(tmp_path / "run", data__spec=data, batch_size=10)
    assert "has 8 examples, fewer than a batch of 10" in error
    for folder in ("images", "masks"):
        for file in (data.parent / "val" / folder).iterdir():
            file.unlink()
    assert "holds no images" in mistake(tmp_path / "run", data__spec=data)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data__spec": ""}, "No data set is given"),
        ({"data__spec": "nowhere.yaml"}, "nowhere.yaml"),
        ({"data__spec": "tfds:nothing"}, "nothing"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"seed": 2**32}, "seed is 4294967296; it must be at most 4294967295"),
        ({"data__figures_train": 10**20}, "it must be at most"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        ({"loss": "dyce"}, "no loss 'dyce'; did you mean dice"),
        ({"model__name": "unet"}, "no model 'unet'"),
        ({"model__dtype": "int8"}, "got int8"),
        ({"data__image_size": (32, 32, 32)}, "one side in pixels, or height,width"),
    ],
)
def test_wrong_config_values_are_named(tmp_path, changes, sentence):
    assert sentence in mistake(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--config.epoch=3", "the config has no key 'epoch'. Did you mean \"epochs\""),
        ("--config.model.nam=esnet", "the config has no key 'nam'. Did you mean \"name\""),
        ("--config.epochs.a=3", "the config has no key 'epochs.a'."),
        ("--config=configs/none.py", "configs/none.py"),
        ("--config.epochs=many", "--epochs is 'many'; expected a whole number."),
        ("stray", "unexpected argument 'stray'"),
    ],
)
def test_wrong_flags_are_named(tmp_path, flag, sentence):
    done = run_quickly(*train_command(tmp_path / "run")[1:], flag)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("error: "), done.stderr
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("def get_config():\n    config.model.nam = 1", "no key 'nam'. Did you mean \"name\""),
        ("def other(): pass", "the config can't be loaded: AttributeError: module"),
        ("import nothing_of_that_name", "the config can't be loaded: ModuleNotFoundError"),
    ],
)
def test_mistakes_in_a_config_of_ones_own_are_named(tmp_path, content, sentence):
    file = tmp_path / "mine.py"
    start = "from hierseg_jax.settings.config_files import load_config"
    file.write_text(f"{start}\nconfig = load_config('figures')\n{content}\n")
    done = run_quickly("launch/train.py", f"--config={file}", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 1, done.stdout
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unwritable_workdir_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    assert "can't be written: Not a directory" in mistake(tmp_path / "file" / "run")


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "is not empty and holds no run" in mistake(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    data = write_data(root / "data")
    train_here(root / "run", data__spec=str(data), epochs=1)
    return root, data


def test_a_workdir_of_another_model_or_tree_is_refused(finished, tmp_path):
    root, data = finished
    error = mistake(root / "run", data__spec=data, model__name="effunet")
    assert "model.name was 'esnet_mini', now 'effunet'" in error
    error = mistake(root / "run", data__spec="figures")
    assert "holds a run on another class tree" in error
    other = write_data(tmp_path / "data")
    other.write_text(other.read_text().replace("- 1\n    - 3", "- 3\n    - 1"))
    with pytest.raises(ValueError, match="has another class tree"):
        evaluate_checkpoint(root / "run", task="val", data=str(other))


def test_mistakes_in_evaluation_are_named(finished, tmp_path):
    root, _ = finished
    run_folder = root / "run"
    for checkpoint, arguments, sentence in (
        (tmp_path / "nothing", {}, "does not exist"),
        (tmp_path, {}, "holds no checkpoint"),
        (run_folder, {"which": "7"}, "has no checkpoint '7'; there are best, last and the"),
        (run_folder, {"task": "test"}, "no image folder for 'test'"),
        (run_folder, {"view": View(image_size=(0, 32))}, "each from 1 to"),
        (run_folder, {"batch_size": 0}, "must be at least 1"),
        (run_folder, {"data": "nowhere.yaml"}, "nowhere.yaml"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=sentence) as error:
            evaluate_checkpoint(checkpoint, **{"task": "val"} | arguments)
        assert "\n" not in str(error.value)
    (tmp_path / "runs/mine").mkdir(parents=True)
    for name, hint in (
        ("mine", f"Did you mean {os.path.join('runs', 'mine')}?"),
        ("others", "folder."),
    ):
        done = run_quickly("evaluate", name, folder=tmp_path)
        assert done.stderr.strip().endswith(hint)
    done = run_quickly("evaluate", tmp_path, "--task=training")
    assert done.returncode == 1
    assert "--task=training" in done.stderr


@pytest.mark.parametrize("content", ['{"config": null}', "[1]", "[" * 100_000, "no JSON", "{}"])
def test_a_damaged_run_file_is_named(finished, tmp_path, content):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0] / "run", workdir)
    (workdir / "run.json").write_text(content)
    assert "is not as a run writes it" in mistake(workdir, data__spec=finished[1], epochs=2)


def test_a_full_disk_ends_in_a_sentence_and_spares_earlier_checkpoints(tmp_path):
    """On a real file system, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = train_command(disk / "run", epochs=6, keep_last=6)
    script = (
        f"mount -t tmpfs -o size=10m tmpfs {disk} && "
        + shlex.join(map(str, command))
        + f"; echo status $?; cp -r {disk}/run {tmp_path}/kept"
    )
    namespace = shutil.which("unshare")
    # Only root may mount, and only Linux has namespaces; a full disk can't be had otherwise.
    if namespace is None or os.geteuid() != 0:
        pytest.skip("needs root and unshare, to mount a small disk")
    probe = subprocess.run(
        [namespace, "-m", "mount", "-t", "tmpfs", "tmpfs", str(disk)], check=False
    )
    if probe.returncode:  # as in containers without the right to mount
        pytest.skip("this system lets nobody mount a small disk")
    done = subprocess.run(
        [namespace, "-m", "bash", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "status 1" in done.stdout, done.stdout + done.stderr
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    evaluate_checkpoint(tmp_path / "kept", task="val")


def test_the_workdir_remembers_its_config(finished):
    root, _ = finished
    stored = json.loads((root / "run" / "run.json").read_text())
    assert stored["config"]["batch_size"] == SMALL["batch_size"]
    assert stored["hierarchy"]["class_names"][1] == "class_1"


@pytest.mark.slow
def test_a_last_step_that_blows_up_is_seen_in_the_validation_loss(tmp_path):
    # One step an epoch: its loss is that of the fresh weights.
    message = mistake(tmp_path / "run", data__figures_train=8, learning_rate=1e30)
    assert message.startswith("The validation loss is nan after epoch 1; no epoch had been")
    assert message.endswith("Try a smaller learning_rate in another --workdir.")
    assert not (tmp_path / "run/history.json").exists()

"""launch/export.py: what it writes, what it says, and what it refuses."""

import dataclasses
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from hierseg_jax.bridge import training_light as light_of_training
from hierseg_jax.bridge import verify
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.training_light import light_of_most, training_light
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint, open_checkpoint
from hierseg_jax.data.brightening import BRIGHT, LEAST, light
from hierseg_jax.data.resize import Resize
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.settings.building import open_source
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.commands import run_quickly
from tests.conftest import flags_of_users
from tests.runs import run, train_here


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    train_here(workdir, epochs=1)
    return workdir


def export_command(workdir, file, *flags):
    return [
        sys.executable,
        "launch/export.py",
        f"--checkpoint={workdir}",
        f"--onnx_file={file}",
        *flags,
    ]


def test_export_writes_a_verified_file_that_knows_its_origin(workdir, tmp_path):
    file = tmp_path / "new" / "figures.onnx"
    result = run(export_command(workdir, file), XLA_FLAGS=flags_of_users())
    assert result.returncode == 0, result.stderr
    assert "onnxruntime equals JAX within" in result.stdout
    assert {entry.name for entry in file.parent.iterdir()} == {"figures.json", "figures.onnx"}

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    metadata = Metadata.from_props(session.get_modelmeta().custom_metadata_map, str(file))
    assert (metadata.contract, metadata.model, metadata.stride) == ("reference", "esnet_mini", 8)
    assert (metadata.hierarchy, metadata.image_size) == (PASCAL_PERSON_PART, (32, 32))
    assert metadata.verification["largest_difference"] <= 1e-4
    stored = load_checkpoint(find_checkpoint(workdir)).meta["progress"]["rows"][-1]
    assert metadata.validation["levels"] == stored["levels"]
    assert {"jax", "onnxruntime", "hierseg_jax"} <= metadata.versions.keys()
    ((image,), (mask,)) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", [1, 3, 32, 32])
    assert (mask.name, mask.type, mask.shape) == ("mask", "tensor(float)", [1, 7, 32, 32])
    assert [entry.version for entry in onnx.load(file).opset_import if not entry.domain] == [17]


def test_deploy_file_gives_a_label_map_a_level_and_the_confidence(workdir, tmp_path):
    export = export_checkpoint(
        str(workdir),
        str(tmp_path / "deploy.onnx"),
        contract="deploy",
        dynamic_size=True,
        dynamic_batch=True,
        brighten=True,
    )
    assert 0 <= export.difference <= 1e-4
    assert Segmenter(export.file).resize.bright == BRIGHT
    session = onnxruntime.InferenceSession(export.file, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", "height", "width", 3]
    assert [output.name for output in session.get_outputs()] == [
        "body",
        "upper_lower",
        "part",
        "confidence",
        "scores",
    ]
    frame = np.full((2, 24, 40, 3), 200, np.uint8)
    body, _, part, confidence, scores = session.run(None, {"frame": frame})
    assert (scores.shape, scores.dtype) == ((2, 7, 24, 40), np.uint16)
    assert body.shape == part.shape == confidence.shape == (2, 24, 40)
    np.testing.assert_array_equal(body, PASCAL_PERSON_PART.levels[0].leaf_to_class[part])


def test_graph_that_differs_is_not_written(workdir, tmp_path, monkeypatch):
    # The comparison is real; only what it compares with is changed.
    monkeypatch.setattr(verify, "TOLERANCE", 1e-12)
    with pytest.raises(verify.MismatchError, match="nothing was written"):
        export_checkpoint(str(workdir), str(tmp_path / "a.onnx"))
    assert not list(tmp_path.iterdir())


def test_existing_files_are_kept_unless_asked(workdir, tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        export_checkpoint(str(workdir), str(file))
    assert file.read_bytes() == b"mine"
    export_checkpoint(str(workdir), str(file), overwrite=True)
    onnx.checker.check_model(str(file), full_check=True)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--image_size=30"], "esnet_mini needs multiples of 8, such as 32,32"),
        (["--image_size=0"], "give one side or height,width"),
        (["--image_size=a"], "give one side or height,width"),
        (["--opset=12"], "--opset is 12; it may be 13 to 23"),
        (["--which=9"], "no checkpoint '9'"),
    ],
)
def test_mistakes_end_in_one_sentence_and_leave_no_file(workdir, tmp_path, flags, sentence):
    result = run_quickly(*export_command(workdir, tmp_path / "a.onnx", *flags)[1:])
    assert result.returncode == 1
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_targets_that_cannot_be_are_refused(workdir, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.onnx"):
        export_checkpoint(str(workdir), str(tmp_path / "a.pt"))
    (tmp_path / "b.onnx").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        export_checkpoint(str(workdir), str(tmp_path / "b.onnx"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        export_checkpoint(str(workdir), str(tmp_path / "file" / "c.onnx"))


def test_rectangles_are_exported_as_asked(workdir, tmp_path):
    export = export_checkpoint(str(workdir), str(tmp_path / "a.onnx"), image_size=(16, 48))
    session = onnxruntime.InferenceSession(export.file, providers=["CPUExecutionProvider"])
    picture = cv2.resize(np.zeros((8, 8, 3), np.float32), (48, 16)).transpose(2, 0, 1)[None]
    (mask,) = session.run(None, {"image": picture})
    assert mask.shape == (1, 7, 16, 48)
    np.testing.assert_allclose(mask.sum(1), 1, atol=1e-5)


def test_darker_pictures_come_to_the_light_of_the_training_pictures(
    workdir, tmp_path, capsys, monkeypatch
):
    loaded = open_checkpoint(workdir)
    data, size = loaded.settings.data, loaded.settings.data.size
    source = open_source(data, loaded.settings.seed, "train")
    lights = sorted(light(source[i]["image"]) for i in range(len(source)))
    assert len(source) <= 64
    assert source[0]["image"].shape[:2] == size
    told = training_light(loaded, None, size)
    assert told == min(BRIGHT, lights[len(source) // 20])
    assert training_light(loaded, "gone.yaml", size) == told
    nothing = dataclasses.replace(
        loaded, settings=loaded.settings.replace({"data.spec": "gone.yaml"})
    )
    assert training_light(nothing, None, size) is None
    assert "note: The file has dark pictures stay dark" in capsys.readouterr().err
    # Other data are looked at where the run's own can't be.
    assert training_light(nothing, "figures", size) == told
    with pytest.raises(FileNotFoundError, match=r"gone\.yaml: there is no such file"):
        training_light(loaded, "gone.yaml", size, asked=True)
    as_reference = loaded.settings.replace({"data.sampling": "reference"})
    assert training_light(dataclasses.replace(loaded, settings=as_reference), None, size) is None
    monkeypatch.setattr(light_of_training, "light_of_most", lambda *_: LEAST)
    assert training_light(loaded, None, size) is None
    monkeypatch.undo()
    for brighten, expected in ((None, told), (False, None)):
        file = tmp_path / f"{brighten}.onnx"
        assert export_checkpoint(str(workdir), file, brighten=brighten).metadata.bright == expected
        assert Segmenter(file).resize.bright == expected


def test_pictures_that_can_not_be_read_and_the_few_darkest_do_not_count():
    class Pictures:
        def __len__(self):
            return len(self.lights)

        def __getitem__(self, index):
            if self.lights[index] is None:
                raise HiersegError("It is broken.")
            return {"image": np.full((8, 12, 3), self.lights[index], np.uint8)}

    pictures = Pictures()
    for lights, expected in (
        ([None, *range(101, 120), 90], 101),
        ([90, *range(101, 119)], 90),
        ([255] * 40, BRIGHT),
        ([3] * 40, 3),
    ):
        pictures.lights = lights
        # Bars of grey are no part of a picture.
        assert light_of_most(pictures, (16, 16), Resize("letterbox")) == expected
    pictures.lights = [None]
    with pytest.raises(HiersegError, match="None of them can be read"):
        light_of_most(pictures, (16, 16), Resize())

"""A link that leads nowhere is a file that can't be read: it is named, and never missed."""

import cv2
import numpy as np
import pytest

from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.layout import read_layout
from hierseg_jax.data.read.picture_folder import PictureFolder
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.runtime.frames import open_frames
from hierseg_jax.system.errors import HiersegError
from tests.annotated_data import make_yolo
from tests.commands import run_quickly
from tests.inspection_data import make_data
from tests.raw_data import fault
from tests.test_runtime import reference_file


def kill(file):
    """What is there goes; a link to elsewhere takes its name."""
    file.unlink()
    file.symlink_to(file.parent / "unmounted" / file.name)


@pytest.fixture
def data(tmp_path):
    """Of four examples the second is two links that lead nowhere."""
    file = make_data(tmp_path)
    kill(tmp_path / "train/images/train1.png")
    kill(tmp_path / "train/masks/train1.npy")
    return file


def test_predict_skips_and_names_it(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    cv2.imwrite(str(photos / "a.png"), np.zeros((20, 30, 3), np.uint8))
    (photos / "b.jpg").symlink_to(tmp_path / "gone.jpg")
    (photos / "c.jpg").symlink_to("c.jpg")  # to itself
    network = reference_file(tmp_path / "a.onnx", contract="reference")
    flags = [f"--onnx_file={network}", f"--source={photos}", f"--output={out}"]
    done = run_quickly("predict", *flags)
    assert done.returncode == 1
    assert f"2 could not be read; the first: {photos}/b.jpg is a link that leads nowhere, to " in (
        done.stderr
    )
    assert [file.name for file in out.iterdir()] == ["a.png"]


@pytest.mark.parametrize("source", ["b.jpg", "*.jpg", "."])
def test_it_is_a_picture_of_a_source_however_that_is_given(tmp_path, source):
    (tmp_path / "b.jpg").symlink_to("b.jpg")
    (frame,) = open_frames(str(tmp_path / source))
    assert frame.image_bgr is None
    assert f"{tmp_path}/b.jpg is a link that leads nowhere" in frame.fault


def test_a_video_is_refused(tmp_path):
    (tmp_path / "v.mp4").symlink_to(tmp_path / "gone.mp4")
    with pytest.raises(FileNotFoundError, match=r"v\.mp4 is a link that leads nowhere, to .*gone"):
        open_frames(str(tmp_path / "v.mp4"))


@pytest.mark.parametrize(
    "text", ["train/images", {"images": "train/images/**/*.png", "masks": "train/masks/**/*"}]
)
def test_it_is_an_example_that_fails_or_is_skipped(data, text, capsys):
    source = FolderSource(read_layout(data, data.parent, "train", text), 4)
    assert source.names == ("train0", "train1", "train2", "train3")
    with pytest.raises(HiersegError, match=r"train1\.png is a link that leads nowhere, to .*unmou"):
        source[1]
    with pytest.raises(HiersegError, match=r"train1\.npy is a link that leads nowhere"):
        source.label(1)
    taken = SkippingSource(source, replace=True)[1]
    np.testing.assert_array_equal(taken["image"], source[2]["image"])
    assert "warning: skipped, " in (told := capsys.readouterr().err)
    assert "train1.png is a link that leads nowhere" in told


def test_a_listed_mask_is_one_as_well(data):
    lines = [f"train/images/train{i}.png train/masks/train{i}.npy\n" for i in range(4)]
    (data.parent / "train.txt").write_text("".join(lines))
    source = FolderSource(read_layout(data, data.parent, "train", "train.txt"), 4)
    assert len(source) == 4
    with pytest.raises(HiersegError, match=r"train1\.npy is a link that leads nowhere"):
        source.label(1)


def test_a_run_notices_when_what_it_leads_to_comes_back(data):
    source = FolderSource(data.parent / "train/images", 4)
    before = dict(source.inventory())
    assert before["images/train1.png"] == before["masks/train1.npy"] == 0
    (data.parent / "train/images/unmounted").mkdir()
    (data.parent / "train/images/unmounted/train1.png").write_bytes(b"back")
    assert dict(source.inventory()) == before | {"images/train1.png": 4}


def test_inspect_tells_that_it_cannot_be_read(data):
    found = {f.kind: f.message for f in inspect_dataset(load_spec(data)).findings}
    assert "train1.png is a link that leads nowhere" in found["unreadable_image"]
    assert "train1.npy is a link that leads nowhere" in found["unreadable_mask"]
    assert "passed_over" not in found


def test_a_picture_without_a_mask_is_one_as_well(data):
    source = PictureFolder(data.parent / "train/images", 255, "unlabelled")
    assert source.names[1] == "train1.png"
    assert dict(source.inventory())["unlabelled/train1.png"] == 0
    with pytest.raises(HiersegError, match=r"train1\.png is a link that leads nowhere"):
        source[1]


def test_prepare_names_it_and_writes_nothing(tmp_path):
    raw = make_yolo(tmp_path)
    image = min((raw / "train/images").iterdir())
    kill(image)
    sentence = fault(raw, tmp_path / "out")
    assert f"{image} is a link that leads nowhere" in sentence

"""No code of a file is run, and no name in one leads out of its folder."""

import json
import pickle

import cv2
import numpy as np
import onnx
import pytest
import tensorflow_datasets as tfds
from onnx import TensorProto, helper

from configs import figures
from hierseg_jax.checkpoint import DamagedCheckpointError, open_checkpoint, save_checkpoint
from hierseg_jax.checkpoint.seal import SEAL, check_seal
from hierseg_jax.data.pascal_person_part.pascal_person_part_dataset_builder import Builder
from hierseg_jax.data.read.image_files import read_image, read_mask
from hierseg_jax.runtime.outputs import VideoFile, folder_name
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.train.sample_pictures import draw_samples
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.commands import run_quickly
from tests.raw_data import fault, make_raw
from tests.test_runtime import KERNEL, metadata, reference_file


class Creates:
    """Unpickled with no care, it creates a file."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return open, (self.file, "w")


def build(raw, data_dir):
    config = tfds.download.DownloadConfig(manual_dir=raw)
    Builder(data_dir=data_dir).download_and_prepare(download_config=config)


def test_a_pickle_in_a_mask_is_never_loaded(tmp_path):
    proof = tmp_path / "ran"
    raw = make_raw(tmp_path)
    file = raw / "gt_masks" / "t0.npy"
    np.save(file, np.array([[Creates(proof)]], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"t0\.npy holds Python objects \(a pickle\)"):
        read_mask(file)
    assert "t0.npy holds Python objects" in fault(raw, tmp_path / "out")
    with pytest.raises(ValueError, match=r"t0\.npy holds Python objects"):
        build(raw, tmp_path / "records")
    file.write_bytes(pickle.dumps(Creates(proof)))
    with pytest.raises(ValueError, match=r"t0\.npy is no \.npy file"):
        read_mask(file)
    assert not proof.exists()
    np.load(file, allow_pickle=True)  # as others would
    assert proof.exists()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "a\\b", "..", ".hidden", "a\0b", "n" * 250]
)
def test_an_id_of_a_list_is_a_plain_name(tmp_path, name):
    raw = make_raw(tmp_path)
    for folder, suffix in (("JPEGImages", "jpg"), ("gt_masks", "npy")):  # what '../secret' means
        whole = raw / folder / f"t0.{suffix}"
        (raw / f"secret.{suffix}").write_bytes(whole.read_bytes())
    (raw / "train_id.txt").write_text(f"t0\n{name}\n")
    for move in (False, True):
        assert "train_id.txt: line 2 is no plain id" in fault(raw, tmp_path / "out", move=move)
    with pytest.raises(ValueError, match=r"train_id\.txt names .*, which is no plain id"):
        build(raw, tmp_path / "records")


def test_nothing_is_written_through_a_link_to_nowhere(tmp_path):
    raw, images = make_raw(tmp_path), tmp_path / "out" / "train" / "images"
    images.mkdir(parents=True)
    (images / "t0.jpg").symlink_to(tmp_path / "elsewhere")
    assert "t0.jpg is there already with another content" in fault(raw, tmp_path / "out")


def test_devices_and_pipes_are_not_read(tmp_path):
    for device in ("/dev/zero", "/dev/null"):
        link = tmp_path / "a.png"
        link.symlink_to(device)
        for read in (read_image, read_mask):
            with pytest.raises(ValueError, match=r"a\.png is a device or a pipe"):
                read(link)
        link.unlink()
    with pytest.raises(ValueError, match="is a folder; expected a file"):
        read_image(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "converted"
    meta = {
        "config": figures.get_config().to_dict(),
        "hierarchy": PASCAL_PERSON_PART.to_json(),
        "step": 0,
        "epoch": None,
        "val_loss": None,
    }
    save_checkpoint(folder, {"params": {"kernel": np.zeros(3, np.float32)}}, meta)
    assert open_checkpoint(folder).meta["step"] == 0
    return folder


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("meta/../../secret", "which is no file of it"),
        ("meta/../../../../../../../../dev/zero", "which is no file of it"),
        ("meta/a\0b", "which is no file of it"),
        ("meta/" + "n" * 900, "can't be read"),
        ("meta/" + "n" * 5000, "which is no file of it"),
        ("meta/\ud800", "which is no file of it"),
        ("meta", "can't be read"),
    ],
)
def test_the_list_of_a_checkpoint_s_files_stays_in_its_folder(checkpoint, name, sentence):
    (checkpoint.parent / "secret").write_text("")
    seal_file = checkpoint / SEAL
    whole = seal_file.read_text()
    seal_file.write_text(json.dumps({"sha256": {name: "0"}}))
    with pytest.raises(DamagedCheckpointError, match=sentence) as caught:
        check_seal(checkpoint)
    str(caught.value).encode()
    seal_file.write_text(whole)


def test_a_link_from_a_checkpoint_to_a_device_is_not_followed(checkpoint):
    link = checkpoint / "meta" / "zero"
    link.symlink_to("/dev/zero")
    whole = (checkpoint / SEAL).read_text()
    (checkpoint / SEAL).write_text(json.dumps({"sha256": {"meta/zero": "0"}}))
    with pytest.raises(DamagedCheckpointError, match="it is no regular file"):
        check_seal(checkpoint)
    (checkpoint / SEAL).write_text(whole)
    link.unlink()


@pytest.mark.parametrize("name", ["..", ".", "/etc", "a/../../b", "a\\b", "C:", "~", "-"])
def test_level_names_make_folders_inside(tmp_path, name):
    folder = (tmp_path / "masks" / folder_name(name)).resolve()
    assert folder.parent == tmp_path / "masks"


def with_levels(file, names):
    """A network whose metadata names its levels so."""
    model = onnx.load(reference_file(file))
    tree = PASCAL_PERSON_PART.to_json() | {"level_names": names}
    props = metadata("reference").to_props() | {"hierseg.hierarchy": json.dumps(tree)}
    helper.set_model_props(model, props)
    onnx.save(model, file)
    return file


def test_infer_writes_masks_inside_and_refuses_two_levels_in_one_folder(tmp_path):
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((20, 30, 3), np.uint8))
    out = tmp_path / "deep" / "out"

    def infer(names):
        file = with_levels(tmp_path / "a.onnx", names)
        flags = [f"--onnx_file={file}", f"--source={tmp_path / 'p.png'}", f"--output={out}"]
        return run_quickly("predict", *flags, "--masks", "--level=all")

    twice = infer(["a/b", "a:b", "c"])
    assert twice.returncode == 1
    assert "Two levels of the network have one name as that of a folder (a/b, a:b, c)" in (
        twice.stderr
    )
    assert not out.exists()
    assert infer(["../../x", "..", "/etc"]).returncode == 0
    written = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file())
    masks = [f"deep/out/masks/{name}/p.png" for name in ("______x", "__", "_etc")]
    assert written == sorted(["a.onnx", "p.png", "deep/out/p.png", *masks])


@pytest.mark.parametrize("location", ["../secret", "link", "absolute"])
def test_weights_outside_of_a_network_s_folder_are_not_read(tmp_path, location):
    """onnxruntime sees to it; this notices if a version should not."""
    secret = tmp_path / "secret"
    secret.write_bytes(KERNEL.tobytes())
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    model = onnx.load(reference_file(folder / "a.onnx", contract="reference"))
    kernel = model.graph.initializer[0]
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    place = {"location": str(secret) if location == "absolute" else location, "offset": "0"}
    for key, value in (place | {"length": str(KERNEL.nbytes)}).items():
        kernel.external_data.add(key=key, value=value)
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"a\.onnx can't be opened by onnxruntime"):
        Segmenter(folder / "a.onnx")


def test_a_video_is_not_written_through_a_link(tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    monkeypatch.setattr("secrets.token_hex", lambda size: size * "00")
    (tmp_path / ".partial.00000000.v.avi").symlink_to(theirs)
    writer = VideoFile(tmp_path / "v.avi", 10, (32, 32))
    writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.close()
    assert theirs.read_text() == "theirs"
    assert not (tmp_path / "v.avi").is_symlink()


@pytest.mark.parametrize("name", ["\ud800", "a\nb", "\x1b[2J", "\0", "a" * 201])
def test_names_that_can_t_be_printed_are_refused(name):
    with pytest.raises(ValueError, match="longer than 200 characters or holds control") as caught:
        Hierarchy.from_mapping({name: [1]})
    str(caught.value).encode()
    with pytest.raises(ValueError, match="longer than 200 characters or holds control"):
        Hierarchy.from_mapping([1], ["background", name])


def test_names_with_dollar_signs_are_no_formulas(tmp_path):
    """matplotlib would raise at the end of an epoch."""
    names = ["background", "$\\frac{", "a $x^$ b"]
    tree = Hierarchy.from_mapping({"$}$": [1, 2]}, names, ["$\\x$", "leaf"])
    label = np.ones((1, 8, 8), np.uint8)
    samples = {"image": np.zeros((1, 8, 8, 3), np.uint8), "label": label, "prediction": label}
    draw_samples(samples, tree, tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")) is not None

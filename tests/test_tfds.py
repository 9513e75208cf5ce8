"""PASCAL-Person-Part as TFDS builds and reads it."""

import concurrent.futures
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from hierseg_jax.data.pascal_person_part.pascal_person_part_dataset_builder import Builder
from hierseg_jax.data.read.tfds_source import TfdsSource
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.conftest import ROOT

NAME = "pascal_person_part"
SIZES = {"2008_9": (40, 61), "2008_1": (64, 48), "2010_5": (33, 33), "2009_7": (50, 70)}
PHOTOGRAPHS = ROOT.parent / "shared" / "datasets" / "ccp"


def write_raw(root):
    """The raw download: 3 examples to train on, not in alphabetical order, and 1 other."""
    rng = np.random.default_rng(0)
    (root / "JPEGImages").mkdir(parents=True)
    (root / "gt_masks").mkdir()
    dtypes = (np.int64, np.uint8, np.int16, np.int32)
    for (name, size), dtype in zip(SIZES.items(), dtypes, strict=True):
        image = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), size[::-1])
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), image)
        label = rng.choice([0, 1, 2, 3, 4, 5, 6, 255], size).astype(dtype)
        np.save(root / "gt_masks" / f"{name}.npy", label)
    (root / "train_id.txt").write_text("2008_9\n2008_1\n\n2010_5\n")
    (root / "val_id.txt").write_text("2009_7\r\n")
    return root


def build(raw, data_dir):
    config = tfds.download.DownloadConfig(manual_dir=raw)
    Builder(data_dir=data_dir).download_and_prepare(download_config=config)


def assert_source_equals_files(source, raw, names):
    assert len(source) == len(names)
    for example, name in zip(source, names, strict=True):
        image_bgr = cv2.imread(str(raw / "JPEGImages" / f"{name}.jpg"))
        np.testing.assert_array_equal(
            example["image"], cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), strict=True
        )
        label = np.load(raw / "gt_masks" / f"{name}.npy").astype(np.uint8)
        np.testing.assert_array_equal(example["label"], label, strict=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    build(write_raw(root / "raw"), root / "data")
    return root


def test_examples_equal_the_files_in_the_order_of_the_id_files(built):
    train = TfdsSource(NAME, "train", built / "data")
    assert_source_equals_files(train, built / "raw", ["2008_9", "2008_1", "2010_5"])
    assert_source_equals_files(
        TfdsSource(NAME, "val", str(built / "data")), built / "raw", ["2009_7"]
    )
    part = TfdsSource(NAME, "train[1:]", built / "data")
    assert_source_equals_files(part, built / "raw", ["2008_1", "2010_5"])
    assert train.hierarchy is PASCAL_PERSON_PART
    assert train[np.int64(1)]["image"].shape == (64, 48, 3)
    for index in (3, -1):
        with pytest.raises(IndexError, match=f"train has 3 examples; got index {index}"):
            train[index]


def test_a_split_is_known_by_its_version_and_its_bytes(built):
    (entry,) = TfdsSource(NAME, "train", built / "data").inventory()
    (other,) = TfdsSource(NAME, "val", built / "data").inventory()
    assert entry[0] == "pascal_person_part/1.0.0 train"
    assert entry[1] > 0
    assert other != entry


def test_a_pickled_source_and_threads_read_the_same(built):
    source = TfdsSource(NAME, "train", built / "data")
    copy = pickle.loads(pickle.dumps(source))
    assert_source_equals_files(copy, built / "raw", ["2008_9", "2008_1", "2010_5"])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for i, example in enumerate(pool.map(copy.__getitem__, [0, 1, 2] * 20)):
            np.testing.assert_array_equal(example["image"], source[i % 3]["image"])


def test_jpegs_are_kept_as_they_are_and_read_as_imread_does(tmp_path):
    """One lies on its side by its EXIF tag, one is grey."""
    raw = write_raw(tmp_path / "raw")
    turned = raw / "JPEGImages" / "2008_9.jpg"
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    upright = turned.read_bytes()
    turned.write_bytes(upright[:2] + segment + upright[2:])
    assert cv2.imread(str(turned)).shape == (61, 40, 3)
    np.save(raw / "gt_masks" / "2008_9.npy", np.zeros((61, 40), np.uint8))
    grey = raw / "JPEGImages" / "2008_1.jpg"
    cv2.imwrite(str(grey), cv2.imread(str(grey), cv2.IMREAD_GRAYSCALE))

    build(raw, tmp_path / "data")
    source = TfdsSource(NAME, "train", tmp_path / "data")
    assert_source_equals_files(source, raw, ["2008_9", "2008_1", "2010_5"])
    undecoded = Builder(data_dir=tmp_path / "data").as_data_source(
        split="train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    assert undecoded[0]["image"] == turned.read_bytes()
    assert undecoded[0]["id"] == b"2008_9"


def test_photographs_come_back_equal(tmp_path):
    if not PHOTOGRAPHS.is_dir():  # too large for the repository, so a clone lacks them
        pytest.skip(f"the photographs at {PHOTOGRAPHS} are not there")
    names = (PHOTOGRAPHS / "train_id.txt").read_text().split()[:10]
    raw = tmp_path / "manual" / NAME  # The subfolder of the manual folder serves as well.
    raw.mkdir(parents=True)
    for folder in ("JPEGImages", "gt_masks"):
        (raw / folder).symlink_to(PHOTOGRAPHS / folder)
    (raw / "train_id.txt").write_text("\n".join(names[:8]))
    (raw / "val_id.txt").write_text("\n".join(names[8:]))
    build(tmp_path / "manual", tmp_path / "data")
    for split, expected in (("train", names[:8]), ("val", names[8:])):
        assert_source_equals_files(TfdsSource(NAME, split, tmp_path / "data"), raw, expected)


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_builds_and_reading_imports_no_tensorflow(tmp_path):
    raw, data_dir = write_raw(tmp_path / "raw"), tmp_path / "data"
    # One that can be found, so that whoever would take it if it were there, fails.
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('TensorFlow gets imported')")
    code = (
        "import runpy, sys\n"
        f"sys.path.insert(0, r'{tmp_path}')\n"
        "from hierseg_jax.data.read.tfds_source import TfdsSource\n"
        "assert 'tensorflow_datasets' not in sys.modules, 'the import is not cheap'\n"
        f"sys.argv = ['build', r'--manual_dir={raw}', r'--data_dir={data_dir}']\n"
        "try:\n"
        f"    runpy.run_module('hierseg_jax.data.{NAME}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print([e['image'].shape for e in TfdsSource('{NAME}', 'train', r'{data_dir}')])\n"
        "print('tensorflow' in sys.modules)\n"
    )
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-3] == f"{data_dir / NAME / '1.0.0'}: 3 train, 1 val"
    assert lines[-2:] == ["[(40, 61, 3), (64, 48, 3), (33, 33, 3)]", "False"]


def test_the_command_ends_with_one_sentence(tmp_path):
    done = run_python(
        "-m",
        f"hierseg_jax.data.{NAME}",
        f"--manual_dir={tmp_path / 'nowhere'}",
        f"--data_dir={tmp_path / 'data'}",
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (sentence,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert str(tmp_path / "nowhere") in sentence
    assert "JPEGImages/<id>.jpg, gt_masks/<id>.npy" in sentence


def test_what_cannot_be_opened_is_said(built, tmp_path):
    with pytest.raises(ValueError, match=f"no data set 'coco'; choose one of {NAME}"):
        TfdsSource("coco", "train", built / "data")
    for split in ("test", "train[:x%]", ""):
        with pytest.raises(ValueError, match=r"has no split .*; there are train and val, and"):
            TfdsSource(NAME, split, built / "data")
    with pytest.raises(ValueError, match="A split is a text such as 'train'; got None"):
        TfdsSource(NAME, None, built / "data")
    with pytest.raises(FileNotFoundError) as error:
        TfdsSource(NAME, "train", tmp_path)
    assert f"`python -m hierseg_jax.data.{NAME} --manual_dir=DIR --data_dir={tmp_path}`" in str(
        error.value
    )
    assert "DIR holds JPEGImages/, gt_masks/, train_id.txt and val_id.txt" in str(error.value)


def test_damaged_records_are_said(tmp_path):
    build(write_raw(tmp_path / "raw"), tmp_path / "data")
    folder = tmp_path / "data" / NAME / "1.0.0"
    (records,) = folder.glob("*train.array_record*")
    records.write_bytes(records.read_bytes()[:-30_000])
    with pytest.raises(ValueError, match=f"Example 0 of {NAME} train cannot be read"):
        TfdsSource(NAME, "train", tmp_path / "data")[0]
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(ValueError, match=r"cannot be opened as array_record files \(.*TFRECORD"):
        TfdsSource(NAME, "train", tmp_path / "data")


def damage_mask(array):
    return lambda raw: np.save(raw / "gt_masks" / "2008_1.npy", array, allow_pickle=True)


def write(path, content):
    return lambda raw: (raw / path).write_bytes(content)


MASK, IMAGE = "gt_masks/2008_1.npy", "JPEGImages/2008_1.jpg"


@pytest.mark.parametrize(
    ("damage", "error", "file", "sentence"),
    [
        (lambda raw: (raw / "train_id.txt").unlink(), FileNotFoundError, "train_id.txt", "hold"),
        (lambda raw: (raw / IMAGE).unlink(), FileNotFoundError, IMAGE, "names 2008_1, but"),
        (lambda raw: (raw / MASK).unlink(), FileNotFoundError, MASK, "names 2008_1, but"),
        (write("val_id.txt", b"\n"), ValueError, "val_id.txt", "names no image"),
        (write("val_id.txt", b"2009_7\n" * 2), ValueError, "val_id.txt", "2009_7 more than once"),
        (write(IMAGE, b""), ValueError, IMAGE, "neither a JPEG nor a PNG"),
        (write(IMAGE, b"no JPEG"), ValueError, IMAGE, "neither a JPEG nor a PNG"),
        (write(MASK, b""), ValueError, MASK, "is no .npy file"),
        (write(MASK, b"PK\x03\x04"), ValueError, MASK, "is no .npy file"),
        (damage_mask(np.array([{}])), ValueError, MASK, "holds Python objects"),
        (damage_mask(np.full((64, 48), 0.5)), ValueError, MASK, "holds float64 values"),
        (damage_mask(np.zeros((64, 48), "m8[s]")), ValueError, MASK, "holds timedelta64"),
        (damage_mask(np.zeros((64, 48, 3), int)), ValueError, MASK, "has the shape (64, 48, 3)"),
        (damage_mask(np.full((64, 48), 7)), ValueError, MASK, "holds the labels 7; the tree"),
        (damage_mask(np.full((64, 48), -2, np.int8)), ValueError, MASK, "holds the labels -2"),
        (damage_mask(np.zeros((48, 64), int)), ValueError, MASK, "is 48 x 64 (height x width)"),
    ],
)
def test_a_wrong_raw_file_is_named(tmp_path, damage, error, file, sentence):
    raw = write_raw(tmp_path / "raw")
    damage(raw)
    with pytest.raises(error) as caught:
        build(raw, tmp_path / "data")
    assert str(raw / file) in str(caught.value)
    assert sentence in str(caught.value)
    with pytest.raises(FileNotFoundError, match="is not built"):
        TfdsSource(NAME, "train", tmp_path / "data")

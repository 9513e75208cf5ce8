"""Small files that announce gigabytes are refused before any memory is taken for them.

Where processes read them the kernel gives none: less than the smallest of these pictures needs.
"""

import io
import json
import struct
import sys
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import scipy.io

from hierseg_jax.data.pipeline import eval_batches, train_batches
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.pytorch.files import read_torch_file
from tests.raw_data import make_raw, run_prepare
from tests.runs import run
from tests.test_folder import photograph
from tests.test_runtime import reference_file

SIDES = (60_000, 30_000)
"""Pixels; to the smaller one OpenCV itself has no objection."""
LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (800 << 20, 800 << 20))
"""
"""Too little for a grey picture of 30,000 x 30,000 pixels."""
# Else every core's threads would take of it, and there may be many.
THREADS = ("OPENCV_FOR_THREADS_NUM", "OPENCV_FFMPEG_THREADS", "OMP_NUM_THREADS")
ONE_THREAD = dict.fromkeys((*THREADS, "OPENBLAS_NUM_THREADS"), "1")


def png_bomb(colour_type, side=SIDES[0]):
    """A PNG of many more pixels than bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = struct.pack(">IIBBBBB", side, side, 8, colour_type, 0, 0, 0)
    rows = zlib.compress(b"\0" * 5_000_000)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def jpeg_bomb(side=SIDES[0]):
    data = cv2.imencode(".jpg", photograph(12, 16))[1].tobytes()
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + side.to_bytes(2) * 2 + data[frame + 9 :]


def npy_bomb(side=SIDES[0]):
    """A header alone."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (side, side)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(1000)


def mat_bomb():
    """A compressed element of 0.3 GB of zeros."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"x": np.zeros(1, np.uint8)})
    body = zlib.compress(bytes(300 << 20))
    return stream.getvalue()[:128] + struct.pack("<II", 15, len(body)) + body


def hole(content):
    """A file of 100 GB, which takes no room on the disk."""
    return content, 100 << 30


def torch_bomb():
    """A compressed zip of the names that PyTorch writes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(30_000_000))
    return stream.getvalue()


READ = """
import json, pathlib, sys
from hierseg_jax.data.read.image_files import read_image, read_mask
from hierseg_jax.data.prepare.pascal_part import read_person_parts
from hierseg_jax.runtime.frames import open_frames

def read_source(file):
    (frame,) = open_frames(str(file))
    raise ValueError(frame.fault)

def read_annotation(file):
    read_person_parts(file, {})

ends = []
for name, file in json.loads(sys.argv[1]):
    try:
        globals()[name](pathlib.Path(file))
        ends.append("read")
    except (ValueError, OSError) as error:
        ends.append(str(error))
print(json.dumps(ends))
"""


def refused(folder, cases):
    """What another process, of little memory, says of files.

    Args:
      cases: (function, name, content).
    """
    files = []
    for number, (function, name, content) in enumerate(cases):
        file = folder / str(number) / name
        file.parent.mkdir()
        data, size = content if isinstance(content, tuple) else (content, len(content))
        with file.open("wb") as stream:
            stream.write(data)
            stream.truncate(size)
        files.append((function, str(file)))
    command = [sys.executable, "-c", LIMIT + READ, json.dumps(files)]
    done = run(command, PYTHONPATH=".", **ONE_THREAD)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    for (_, file), said in zip(files, ends, strict=True):
        assert file in said
    return ends


def test_the_limit_is_one():
    """So that the other tests can fail."""
    take = "import numpy as np; np.ones(30_000 * 30_000, np.uint8)"
    done = run([sys.executable, "-c", LIMIT + take])
    assert "MemoryError" in done.stderr


def test_pictures_that_announce_too_much_are_not_decoded(tmp_path):
    pictures = [
        case
        for side in SIDES
        for case in (
            ("read_image", "a.png", png_bomb(2, side)),
            ("read_image", "a.jpg", jpeg_bomb(side)),
            ("read_mask", "a.png", png_bomb(0, side)),
            ("read_source", "a.png", png_bomb(2, side)),
            ("read_source", "a.jpg", jpeg_bomb(side)),
        )
    ]
    said = refused(tmp_path, pictures)
    for i, sentence in enumerate(said):
        side = SIDES[i // 5]
        assert f"is announced as {side} x {side}, more than 100,000,000" in (sentence)


def test_other_files_that_announce_more_than_they_hold_are_refused(tmp_path):
    said = refused(
        tmp_path,
        [
            ("read_mask", "a.npy", npy_bomb()),
            ("read_mask", "a.npy", hole(npy_bomb())),
            ("read_image", "a.png", hole(png_bomb(2))),
            ("read_annotation", "a.mat", mat_bomb()),
            ("read_annotation", "a.mat", hole(mat_bomb())),
        ],
    )
    sentences = ["is cut off", "has 107,374,182,400 bytes", "has 107,374,182,400 bytes"]
    sentences += ["unpacks to more than 268,435,456 bytes", "has 107,374,182,400 bytes"]
    for sentence, expected in zip(said, sentences, strict=True):
        assert expected in sentence


def test_a_video_of_too_large_frames_is_refused(tmp_path):
    file = tmp_path / "small.avi"
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(file), cv2.CAP_OPENCV_MJPEG, code, 12, (96, 64))
    writer.write(np.zeros((64, 96, 3), np.uint8))
    writer.release()
    data, side = file.read_bytes(), 16_000  # FFmpeg would decode that
    data = data.replace(struct.pack("<II", 96, 64), struct.pack("<II", side, side))
    data = data.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", side, side))
    (said,) = refused(tmp_path, [("read_source", "a.avi", data)])
    assert "a.avi is announced as 16000 x 16000, more than 100,000,000 pixels" in said


def test_a_mask_of_more_pixels_than_images_may_have_is_refused(tmp_path):
    file = tmp_path / "a.npy"
    with file.open("wb") as stream:
        stream.write(npy_bomb(10_001)[:-1000])
        stream.truncate(128 + 10_001**2)
    with pytest.raises(ValueError, match=r"a\.npy is announced as 10001 x 10001"):
        read_mask(file)


def test_a_compressed_archive_is_none_of_pytorch_s(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_bomb())
    with pytest.raises(ValueError, match=r"a\.pt would unpack to 30,000,004 bytes"):
        read_torch_file(tmp_path / "a.pt")


INFER = """
import runpy, sys
sys.argv = ["infer", *sys.argv[1:]]
runpy.run_path("launch/infer.py", run_name="__main__")
"""


def test_infer_skips_them_and_goes_on(tmp_path):
    onnx_file = reference_file(tmp_path / "a.onnx", contract="reference")
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "whole.png"), photograph(30, 40))
    for bombs in ({}, {"a.jpg": jpeg_bomb(), "b.png": png_bomb(2)}):
        for name, content in bombs.items():
            (photos / name).write_bytes(content)
        flags = [f"--onnx_file={onnx_file}", f"--source={photos}", "--threads=1", "--overwrite"]
        command = [sys.executable, "-c", LIMIT + INFER, *flags, f"--output={tmp_path / 'out'}"]
        done = run(command, PYTHONPATH=".", **ONE_THREAD)
        assert (tmp_path / "out" / "whole.png").exists(), done.stderr
        for name in bombs:
            assert f"{name} is announced as 60000 x 60000" in done.stderr
        assert "Traceback" not in done.stderr


def test_prepare_lists_them_and_writes_nothing(tmp_path):
    raw = make_raw(tmp_path)
    (raw / "JPEGImages" / "t0.jpg").write_bytes(jpeg_bomb())
    (raw / "gt_masks" / "t1.npy").write_bytes(npy_bomb())
    done = run_prepare(f"--raw_dir={raw}", f"--out_dir={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "t0.jpg is announced as 60000 x 60000" in done.stderr
    assert "t1.npy is cut off" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("training", [True, False])
def test_the_pipeline_names_them(tmp_path, training):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(jpeg_bomb())
    np.save(tmp_path / "masks" / "a.npy", np.zeros((12, 16), np.uint8))
    source = FolderSource(tmp_path / "images", 7)
    options = {"size": (32, 32), "batch_size": 1}
    batches = (
        train_batches(source, seed=0, augment=True, **options)
        if training
        else eval_batches(source, **options)
    )
    with pytest.raises(ValueError, match=r"a\.jpg is announced as 60000 x 60000"):
        next(batches)


def other_formats():
    """Headers of large pictures in formats that infer does not read."""
    side = SIDES[1]
    size = struct.pack("<ii", side, side)
    bmp = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<I", 40) + size
    bmp += struct.pack("<HHIIiiII", 1, 24, 0, 0, 0, 0, 0, 0)
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: 100}
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags))
    tiff += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    ppm = f"P6\n{side} {side}\n255\n".encode()
    return {"bmp": bmp + bytes(1000), "tiff": tiff + bytes(1000), "ppm": ppm + bytes(1000)}


def test_infer_does_not_take_pictures_for_videos(tmp_path):
    """Whatever they are named, and nothing is decoded."""
    contents = {**other_formats(), "jpg": jpeg_bomb(SIDES[1]), "png": png_bomb(0, SIDES[1])}
    names = ("a.{}", "a.mp4", "a", "a1.dat", "a%d")
    refused(
        tmp_path,
        [
            ("read_source", name.format(kind), content)
            for kind, content in contents.items()
            for name in names
        ],
    )

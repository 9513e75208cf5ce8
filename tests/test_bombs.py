"""Small files that announce gigabytes are refused before any memory is taken for them."""

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

from hierseg_jax.data.folder import FolderSource
from hierseg_jax.data.pipeline import eval_batches, train_batches
from tests.raw_data import make_raw, run_prepare
from tests.runs import run
from tests.test_folder import photograph
from tests.test_runtime import reference_file

SIDE = 60_000
HEADROOM = 40 << 20


def png_bomb(colour_type):
    """A PNG of 60000 x 60000 whose rows are there, all zeros, in a few megabytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, colour_type, 0, 0, 0)
    row = b"\0" * (1 + SIDE * (3 if colour_type == 2 else 1))
    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(row) for _ in range(3000)) + squeeze.flush()
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def jpeg_bomb():
    data = cv2.imencode(".jpg", photograph(12, 16))[1].tobytes()
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + SIDE.to_bytes(2) * 2 + data[frame + 9 :]


def npy_bomb():
    """A header alone."""
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (SIDE, SIDE)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(1000)


def mat_bomb():
    """An annotation of 2 GB of zeros in 2 MB."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"x": np.zeros(1, np.uint8)})
    squeeze = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    body = b"".join(squeeze.compress(zeros) for _ in range(2048)) + squeeze.flush()
    return stream.getvalue()[:128] + struct.pack("<II", 15, len(body)) + body


def torch_bomb():
    """A compressed zip of the names that PyTorch writes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(300 << 20))
    return stream.getvalue()


READ = """
import pathlib, resource, sys
from hierseg_jax.{module} import {names}
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
file = pathlib.Path(sys.argv[1])
before = peak()
try:
    {call}
except ValueError as error:
    print(peak() - before, error)
"""


@pytest.mark.parametrize(
    ("name", "content", "module", "call", "sentence"),
    [
        ("a.png", lambda: png_bomb(2), "data.decode", "read_image(file)", "60000 x 60000"),
        ("a.jpg", jpeg_bomb, "data.decode", "read_image(file)", "60000 x 60000"),
        ("a.png", lambda: png_bomb(0), "data.decode", "read_mask(file)", "60000 x 60000"),
        ("a.npy", npy_bomb, "data.decode", "read_mask(file)", "is cut off"),
        ("a.mat", mat_bomb, "data.pascal_part", "read_person_parts(file, {})", "unpacks to more"),
        ("a.pt", torch_bomb, "torch_files", "read_torch_file(file)", "would unpack to 314,572"),
    ],
    ids=["png", "jpeg", "png mask", "npy mask", "mat", "torch"],
)
def test_memory_stays_as_it_was(tmp_path, name, content, module, call, sentence):
    file = tmp_path / name
    file.write_bytes(content())
    script = READ.format(module=module, names=call.split("(")[0], call=call)
    done = run([sys.executable, "-c", script, str(file)], PYTHONPATH=".")
    assert done.stdout, done.stderr
    grown, said = done.stdout.split(" ", 1)
    assert said.startswith(str(file))
    assert sentence in said
    if sentence == "60000 x 60000":
        assert "more than 100,000,000 pixels" in said
    assert int(grown) < HEADROOM + file.stat().st_size


def test_a_file_of_a_hundred_gigabytes_is_not_read(tmp_path):
    for name, call in (("a.npy", "read_mask(file)"), ("a.png", "read_image(file)")):
        file = tmp_path / name
        with file.open("wb") as stream:
            stream.write(npy_bomb())
            stream.truncate(100 << 30)  # a hole, which takes no room on the disk
        script = READ.format(module="data.decode", names=call.split("(")[0], call=call)
        done = run([sys.executable, "-c", script, str(file)], PYTHONPATH=".")
        grown, said = done.stdout.split(" ", 1)
        assert f"{file} has 107,374,182,400 bytes" in said
        assert int(grown) < HEADROOM


INFER = """
import resource, runpy, sys
sys.argv = ["infer", *sys.argv[1:]]
try:
    runpy.run_path("launch/infer.py", run_name="__main__")
except SystemExit as end:
    print(end.code, file=sys.stderr)
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_infer_skips_them_and_goes_on(tmp_path):
    onnx_file = reference_file(tmp_path / "a.onnx", contract="reference")
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "whole.png"), photograph(30, 40))
    peaks = []
    for bombs in ({}, {"a.jpg": jpeg_bomb(), "b.png": png_bomb(2)}):
        for name, content in bombs.items():
            (photos / name).write_bytes(content)
        flags = [f"--onnx_file={onnx_file}", f"--source={photos}", "--overwrite"]
        done = run(
            [sys.executable, "-c", INFER, *flags, f"--output={tmp_path / 'out'}"], PYTHONPATH="."
        )
        assert (tmp_path / "out" / "whole.png").exists(), done.stderr
        for name in bombs:
            assert f"{name} is announced as 60000 x 60000" in done.stderr
        assert "Traceback" not in done.stderr
        peaks.append(int(done.stdout.split("peak ")[1]))
    assert peaks[1] - peaks[0] < HEADROOM + (16 << 20)  # and the PNG's own bytes


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
    options = {"image_size": 32, "batch_size": 1}
    batches = (
        train_batches(source, seed=0, augment=True, **options)
        if training
        else eval_batches(source, **options)
    )
    with pytest.raises(ValueError, match=r"a\.jpg is announced as 60000 x 60000"):
        next(batches)


def other_formats():
    """Headers of 60000 x 60000 in formats that infer does not read."""
    size = struct.pack("<ii", SIDE, SIDE)
    bmp = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<I", 40) + size
    bmp += struct.pack("<HHIIiiII", 1, 24, 0, 0, 0, 0, 0, 0)
    tags = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: SIDE, 279: 100}
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags))
    tiff += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    ppm = f"P6\n{SIDE} {SIDE}\n255\n".encode()
    return {"bmp": bmp + bytes(1000), "tiff": tiff + bytes(1000), "ppm": ppm + bytes(1000)}


@pytest.mark.parametrize("name", ["a.{}", "a.mp4", "a", "a1.dat"])
@pytest.mark.parametrize("kind", ["bmp", "tiff", "ppm", "jpg", "png"])
def test_infer_does_not_take_pictures_for_videos(tmp_path, name, kind):
    content = {**other_formats(), "jpg": jpeg_bomb(), "png": png_bomb(0)}[kind]
    file = tmp_path / name.format(kind)
    file.write_bytes(content)
    script = READ.format(
        module="runtime.frames",
        names="open_source",
        call="print(json.dumps([f.fault for f in open_source(str(file))]))",
    )
    done = run([sys.executable, "-c", "import json\n" + script, str(file)], PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    first, _, said = done.stdout.partition(" ")
    if first.startswith("["):  # a fault of the only picture
        (said,) = json.loads(done.stdout)
    else:
        assert int(first) < HEADROOM + len(content)
    assert str(file) in said

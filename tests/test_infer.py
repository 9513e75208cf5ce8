"""launch/infer.py on real files, as a process of its own."""

import os
import re
import signal
import sys
import time

import cv2
import numpy as np
import pytest

from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.outputs import VideoFile, folder_name
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.commands import run_quickly
from tests.runs import run, start
from tests.test_runtime import expected_leaf, reference_file


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    return reference_file(tmp_path_factory.mktemp("net") / "a.onnx", contract="reference")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (60, 90, 3), np.uint8))
    return folder


@pytest.fixture
def video(tmp_path):
    file = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 12, (96, 64))
    rng = np.random.default_rng(0)
    for _ in range(10):
        writer.write(rng.integers(0, 256, (64, 96, 3), np.uint8))
    writer.release()
    return file


def frames_of(file):
    capture, count = cv2.VideoCapture(str(file)), 0
    while capture.read()[0]:
        count += 1
    return count


def infer(onnx_file, source, *flags, **environment):
    flags = [f"--onnx_file={onnx_file}", f"--source={source}", *flags]
    if environment:
        return run([sys.executable, "launch/infer.py", *flags], **environment)
    return run_quickly("predict", *flags)


def test_a_folder_becomes_overlays_and_masks_in_the_source_s_size(onnx_file, photos, tmp_path):
    out = tmp_path / "out"
    (photos / "c.HEIC").write_bytes(b"")
    (photos / "deep").mkdir()
    (photos / "deep/d.jpg").write_bytes(b"")
    (photos / "bare").mkdir()
    (photos / "bare/._d.jpg").write_bytes(b"")
    (photos / "._a.png").write_bytes(b"as a Mac leaves it beside a.png")
    result = infer(onnx_file, photos, f"--output={out}", "--level=all", "--masks", "--norefine")
    assert result.returncode == 0, result.stderr
    assert "2 pictures" in result.stdout
    assert f"note: {photos}/c.HEIC is a picture of a kind that is not read" in result.stderr
    every = f"'--source={photos}/**/*.jpg' takes the .jpg of all folders"
    assert f"note: {photos}/deep has images, too; {every}" in result.stderr
    for name in ("a.png", "b.png"):
        photo = cv2.imread(str(photos / name))
        height, width, _ = cv2.imread(str(out / name)).shape
        assert height > 60  # by a legend
        assert width == 3 * 90
        leaf = expected_leaf(photo[..., ::-1])
        for level in PASCAL_PERSON_PART.levels:
            mask = cv2.imread(str(out / "masks" / level.name / name), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask, level.leaf_to_class[leaf])
    again = infer(onnx_file, photos, f"--output={out}")
    assert again.returncode == 1
    assert "exists; choose another --output or give --overwrite" in again.stderr
    assert infer(onnx_file, photos, f"--output={out}", "--overwrite").returncode == 0


def test_a_video_keeps_its_rate_size_and_length(onnx_file, video, tmp_path):
    out = tmp_path / "out.mp4"
    result = infer(onnx_file, video, f"--output={out}", "--level=body")
    assert result.returncode == 0, result.stderr
    capture = cv2.VideoCapture(str(out))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
    size = [capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
    assert size == [96, 64]
    assert frames_of(out) == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "v.avi"]


def test_frames_that_are_segmented_together_are_written_in_their_order(onnx_file, video, tmp_path):
    masks = []
    for threads in (1, 3):
        folder = tmp_path / str(threads)
        folder.mkdir()
        options = f"--output={folder / 'a.avi'}", "--masks", f"--threads={threads}"
        result = infer(onnx_file, video, *options)
        assert result.returncode == 0, result.stderr
        files = sorted(folder.rglob("*.png"))
        masks.append([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files])
    assert "3 at once" in result.stdout
    assert len(masks[0]) == 10
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("fps", [0.4, 7.5, 29.97, 10])
@pytest.mark.parametrize("size", [(63, 47), (64, 48)])
def test_an_avi_has_the_frame_rate_it_is_asked_for(tmp_path, fps, size):
    video = VideoFile(tmp_path / "a.avi", fps, size)
    for _ in range(3):
        video.write(np.zeros((*size[::-1], 3), np.uint8))
    video.close()
    read = cv2.VideoCapture(str(tmp_path / "a.avi"))
    assert read.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-3)
    assert read.read()[1].shape == (*video.size[::-1], 3)
    assert video.size == (size if fps == 10 else (size[0] // 2 * 2, size[1] // 2 * 2))


def test_masks_are_not_written_over_the_pictures(onnx_file, tmp_path):
    """Not even with --overwrite, where pictures lie where masks of theirs would."""
    photos = tmp_path / "masks" / "part"
    photos.mkdir(parents=True)
    cv2.imwrite(str(photos / "a.png"), np.full((40, 50, 3), 90, np.uint8))
    before = (photos / "a.png").read_bytes()
    result = infer(onnx_file, photos, f"--output={tmp_path}", "--masks", "--overwrite")
    assert result.returncode == 1
    assert f"--output is where the images are, {photos}" in result.stderr
    assert (photos / "a.png").read_bytes() == before


def test_odd_sides_are_kept_in_an_avi_and_told_of_elsewhere(onnx_file, tmp_path):
    source = tmp_path / "odd.avi"
    writer = cv2.VideoWriter(
        str(source), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, (97, 65)
    )
    for _ in range(3):
        writer.write(np.full((65, 97, 3), 90, np.uint8))
    writer.release()
    for name, shape, said in (
        ("a.avi", (1, 97, 3), ""),
        ("a.mp4", (0, 96, 3), " pixels are written as 96x"),
    ):
        result = infer(onnx_file, source, f"--output={tmp_path / name}")
        assert result.returncode == 0, result.stderr
        assert said in result.stderr
        height, width, channels = cv2.VideoCapture(str(tmp_path / name)).read()[1].shape
        assert (height % 2, width, channels) == shape


def test_an_unreadable_image_is_skipped_and_named(onnx_file, photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    out = tmp_path / "out"
    result = infer(onnx_file, photos, f"--output={out}")
    assert result.returncode == 1
    assert "bad.jpg" in result.stderr
    assert "1 could not be read" in result.stderr
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png"]


def test_a_cut_video_is_named_and_what_was_read_is_kept(onnx_file, video, tmp_path):
    whole = video.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    out = tmp_path / "out.avi"
    result = infer(onnx_file, cut, f"--output={out}")
    assert result.returncode == 1
    assert "cut.avi is cut off" in result.stderr
    assert "Traceback" not in result.stderr
    assert 0 < frames_of(out) < 10
    (tmp_path / "text.mp4").write_text("no video")
    result = infer(onnx_file, tmp_path / "text.mp4", f"--output={tmp_path / 'o.mp4'}")
    assert result.returncode == 1
    assert "can't be opened" in result.stderr
    assert not (tmp_path / "o.mp4").exists()


def test_mistakes_end_in_one_sentence(onnx_file, photos, tmp_path):
    out = f"--output={tmp_path / 'out'}"
    (photos.parent / "clips").mkdir()
    (photos.parent / "clips" / "v.mp4").write_bytes(b"")
    phone = tmp_path / "phone"
    phone.mkdir()
    (phone / "b.HEIC").write_bytes(b"")
    segmenter, written = Segmenter(onnx_file), str(tmp_path / "out")
    for source, sentence in (
        (tmp_path / "none", "is no file, folder or camera index"),
        ("", "--source is empty"),
        (os.devnull, "is a pipe or a device; give an image"),
        (tmp_path / "a.gif", "no JPEG or PNG image; convert it"),
        (tmp_path / "a.HEIC", "no JPEG or PNG image; convert it"),
        (phone, "b.HEIC is a picture of a kind that is not read; save it as"),
        (123456789012, "is no file, folder or camera index"),
    ):
        with pytest.raises((HiersegError, HiersegFileNotFoundError), match=re.escape(sentence)):
            segment_source(segmenter, str(source), written)
    cases = [
        ((onnx_file, f"{tmp_path}/*/*", out), "a pattern is for images"),
        ((onnx_file, photos, out, "--level=leg"), "the network has body, upper_lower, part"),
        ((photos / "a.png", photos, out), "can't be opened by onnxruntime"),
        ((onnx_file, photos, f"--output={photos}"), "is where the images are"),
        ((onnx_file, photos, out, "--image_size=16"), "takes 8 x 16"),
    ]
    for arguments, sentence in cases:
        result = infer(*arguments)
        assert result.returncode == 1, sentence
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr
    for display in ("", ":77"):  # none, and one where nobody answers
        result = infer(onnx_file, photos, out, "--show", DISPLAY=display, WAYLAND_DISPLAY="")
        assert result.returncode == 1
        assert "--show needs a display" in result.stderr
    assert not os.path.exists(tmp_path / "out")


def test_infer_imports_neither_jax_nor_flax(onnx_file, photos, tmp_path):
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['infer', '--onnx_file={onnx_file}', '--source={photos}', "
        f"'--output={tmp_path / 'out'}']\n"
        "try:\n    runpy.run_path('launch/infer.py', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('heavy:', {'jax', 'flax', 'optax', 'orbax', 'grain'} & set(sys.modules))"
    )
    result = run([sys.executable, "-c", script], PYTHONPATH=".")
    assert "heavy: set()" in result.stdout, result.stdout + result.stderr


def test_one_image_may_be_given_a_name(onnx_file, photos, tmp_path):
    file = tmp_path / "result.jpg"
    assert infer(onnx_file, photos / "a.png", f"--output={file}").returncode == 0
    assert cv2.imread(str(file)).shape[1:] == (90, 3)


def test_masks_of_an_older_longer_video_do_not_stay(onnx_file, video, tmp_path):
    folder = tmp_path / "o_masks" / "part"
    folder.mkdir(parents=True)
    (folder / "frame_000099.png").write_bytes(b"old")
    (folder / "mine.txt").write_text("kept")
    flags = [f"--output={tmp_path / 'o.avi'}", "--masks"]
    refused = infer(onnx_file, video, *flags)
    assert refused.returncode == 1
    assert "frame_000099.png exists" in refused.stderr
    assert (folder / "frame_000099.png").exists()
    assert infer(onnx_file, video, *flags, "--overwrite").returncode == 0
    frames = [f"frame_{i:06d}.png" for i in range(1, 11)]
    assert sorted(p.name for p in folder.iterdir()) == [*frames, "mine.txt"]
    # Those of another video lie elsewhere.
    assert infer(onnx_file, video, f"--output={tmp_path / 'p.avi'}", "--masks").returncode == 0
    assert len(list((tmp_path / "p_masks" / "part").iterdir())) == 10


@pytest.mark.parametrize(
    "kind", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_stopped_run_completes_its_video(onnx_file, tmp_path, kind):
    source, out = tmp_path / "long.avi", tmp_path / "out.avi"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"MJPG"), 25, (640, 480))
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for _ in range(600):
        writer.write(noise)
    writer.release()
    command = [sys.executable, "launch/infer.py", f"--onnx_file={onnx_file}"]
    process = start([*command, f"--source={source}", f"--output={out}"])

    def begun():
        return [file for file in tmp_path.glob(".partial.*") if file.stat().st_size > 500_000]

    while process.poll() is None and not begun():
        time.sleep(0.01)
    process.send_signal(kind)
    said, _ = process.communicate()
    assert process.returncode == 128 + kind, said
    assert "what was finished is kept" in said
    assert 0 < frames_of(out) < 600
    assert not begun()


def test_a_legend_of_many_classes_counts_what_finds_no_room():
    level = Hierarchy.from_mapping(list(range(1, 60))).levels[-1]
    image = np.full((480, 640, 3), 255, np.uint8)
    many = np.arange(60, dtype=np.uint8).repeat(8)[:, None].repeat(640, axis=1)
    assert 120 < len(Painter([level]).draw(image, many, level)) - 480 < 0.6 * 480
    assert len(Painter([level]).draw(image, many % 3, level)) - 480 < 50


def test_a_level_s_name_cannot_lead_out_of_the_output_folder():
    assert folder_name("../../etc") == "______etc"
    assert folder_name("upper_lower") == "upper_lower"
    assert folder_name("Körper teil") == "Körper teil"
    assert folder_name("..") == "__"


# KiB: less than the first frame, and some frames of many.
@pytest.mark.parametrize("limit", [8, 24])
def test_a_video_that_does_not_fit_on_the_disk_is_not_called_written(
    onnx_file, video, tmp_path, limit
):
    out = tmp_path / "out.avi"
    command = f"ulimit -f {limit}; {sys.executable} launch/infer.py --onnx_file={onnx_file} "
    result = run(["bash", "-c", f"{command} --source={video} --output={out}"])
    assert result.returncode != 0
    assert "could not be written whole" in result.stderr
    assert list(tmp_path.iterdir()) == [video]

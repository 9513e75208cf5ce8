"""`hierseg predict --skip_existing` segments what has not been, and replaces nothing."""

import sys

import cv2
import numpy as np
import pytest

from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.runtime.packaged_network import packaged_network, packaged_photograph
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from tests.commands import run_quickly
from tests.runs import run, start, wait_until


@pytest.fixture(scope="module")
def network():
    return Segmenter(packaged_network(), image_size=(64, 64))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    photograph_bgr = cv2.imread(str(packaged_photograph()))[::4, ::4]
    pictures = {"a": photograph_bgr, "b": photograph_bgr[:, ::-1], "c": photograph_bgr[::2]}
    for name, image_bgr in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), image_bgr)
    return folder


def segment(network, photos, **more):
    output = str(photos.parent / "out")
    return segment_source(network, str(photos), output, skip_existing=True, **more)[0]


def files(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_pictures_that_are_there_are_passed_over(network, photos):
    last, out = photos / "c.png", photos.parent / "out"
    content = last.read_bytes()
    last.unlink()
    assert segment(network, photos, masks=True).frames == 2
    before = {name: b"theirs" for name in files(out) if name.endswith("a.png")}
    assert len(before) == 2
    for name in before:
        (out / name).write_bytes(b"theirs")
    last.write_bytes(content)
    summary = segment(network, photos, masks=True)
    assert (summary.there, summary.frames, len(summary.faults)) == (2, 1, 0)
    after = files(out)
    assert {name: after[name] for name in before} == before
    assert {"c.png", "masks/part/c.png"} <= {*after}
    summary = segment(network, photos, masks=True)
    assert (summary.there, summary.frames) == (3, 0)
    assert files(out) == after
    whole = photos.parent / "whole"
    segment_source(network, str(photos), str(whole), masks=True)
    assert after["masks/part/c.png"] == files(whole)["masks/part/c.png"]


def test_what_is_missing_of_a_picture_is_written_beside_what_is_there(network, photos):
    out = photos.parent / "out"
    segment(network, photos)
    (out / "b.png").write_bytes(b"theirs")
    summary = segment(network, photos, masks=True)
    assert (summary.there, summary.frames) == (0, 3)
    assert (out / "b.png").read_bytes() == b"theirs"
    assert len([*(out / "masks/part").glob("*.png")]) == 3


def test_the_list_of_label_maps_grows_and_keeps_what_was_taken_out(network, photos):
    listed = photos.parent / "out/masks/part/pictures.txt"
    last = photos / "c.png"
    content = last.read_bytes()
    last.unlink()
    segment(network, photos, masks=True)
    listed.write_text("b.png\n")  # whose user doesn't trust the other
    last.write_bytes(content)
    segment(network, photos, masks=True)
    assert listed.read_text().split() == ["b.png", "c.png"]
    # As an editor may leave it: a byte order mark, blank lines, no suffix, a line without its end.
    listed.write_bytes(b"\xef\xbb\xbf\nb\r\n\na.png")
    (photos.parent / "out/masks/part/c.png").unlink()
    segment(network, photos, masks=True)
    assert listed.read_text() == "a.png\nb\nc.png\n"
    listed.write_bytes(b"caf\xe9.png\n")
    with pytest.raises(ValueError, match=r"pictures\.txt is no UTF-8 text; save it as UTF-8"):
        segment(network, photos, masks=True)
    assert listed.read_bytes() == b"caf\xe9.png\n"


def test_a_label_map_that_is_there_is_not_replaced_under_the_name_of_a_drawing(network, photos):
    there = photos.parent / "out/masks/part/a.png"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"theirs")
    source, drawn = str(photos / "a.png"), str(photos.parent / "out/x.png")
    with pytest.raises(FileExistsError, match=r"masks/part/a\.png exists"):
        segment_source(network, source, drawn, masks=True)
    assert there.read_bytes() == b"theirs"


def test_a_killed_run_has_named_its_label_maps_and_goes_on(photos, tmp_path):
    content = (photos / "a.png").read_bytes()
    for number in range(300):
        (photos / f"{number}.png").write_bytes(content)
    command = [sys.executable, "launch/infer.py", f"--source={photos}", "--image_size=64"]
    command += [f"--output={tmp_path / 'out'}", "--masks", "--skip_existing"]
    folder = tmp_path / "out/masks/part"
    process = start(command)
    wait_until(lambda: len([*folder.glob("*.png")]) > 20, process)
    process.kill()
    process.wait()
    named = (folder / "pictures.txt").read_text().split()
    masks = {file.name for file in folder.glob("*.png")}
    assert masks <= {*named}
    assert 20 < len(masks) <= len(named) <= len(masks) + 1
    assert len(masks) < 303
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert len(load_spec(folder / "data.yaml").hierarchy.class_names) == 7
    named = (folder / "pictures.txt").read_text().split()
    assert named == sorted(file.name for file in photos.iterdir())


def test_it_is_for_images_and_never_replaces(network, photos, tmp_path):
    with pytest.raises(ValueError, match="give one"):
        segment(network, photos, overwrite=True)
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (64, 48))
    for _ in range(3):
        video.write(np.zeros((48, 64, 3), np.uint8))
    video.release()
    with pytest.raises(ValueError, match=r"is for images, and .*v\.avi is a video; leave it out"):
        segment_source(network, str(tmp_path / "v.avi"), None, skip_existing=True)
    (tmp_path / "out" / "b.png").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="is a folder, and a file of that name"):
        segment(network, photos)


def test_the_command_tells_what_was_there(photos, tmp_path):
    flags = [f"--source={photos}", "--image_size=64", f"--output={tmp_path / 'out'}"]
    first = run_quickly("predict", *flags, "--skip_existing")
    assert first.returncode == 0, first.stderr
    assert "already" not in first.stdout
    refused = run_quickly("predict", *flags)
    assert (
        "exists; choose another --output or give --overwrite, or --skip_existing to segment "
        in (refused.stderr)
    )
    (tmp_path / "out/b.png").unlink()
    second = run_quickly("predict", *flags, "--skip_existing")
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("2 pictures were there already\n1 picture, ")
    third = run_quickly("predict", *flags, "--skip_existing")
    assert (third.returncode, third.stdout) == (0, "3 pictures were there already\n")

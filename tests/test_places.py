"""What a run over a source would write is settled, or refused in a sentence, before any work."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from hierseg_jax.runtime import outputs
from hierseg_jax.runtime.frames import Images, open_frames, open_sources
from hierseg_jax.runtime.outputs import CODECS, VideoFile
from hierseg_jax.runtime.places import settle_places
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from hierseg_jax.runtime.video import Video
from hierseg_jax.system.atomic_writing import check_room, make_folder
from hierseg_jax.system.errors import HiersegError
from tests.annotated_data import SIZE, save_image, save_mask
from tests.commands import run_quickly
from tests.conftest import ROOT
from tests.test_runtime import reference_file


def places(tmp_path, names, output="out", masks_of=(), finest=""):
    files = tuple(tmp_path / "photos" / name for name in names)
    output = str(tmp_path / output)
    images = Images(files, tmp_path / "photos")
    return settle_places(images, str(tmp_path / "photos"), output, masks_of, True, finest)


def test_two_images_of_one_name_are_both_named(tmp_path):
    assert len(places(tmp_path, ["a.jpg", "a.png"]).pictures) == 2  # without masks they may be
    with pytest.raises(HiersegError) as refused:
        places(tmp_path, ["0.png", "a.jpg", "a.png", "a.webp"], masks_of=["part"])
    assert str(refused.value).startswith(
        f"{tmp_path}/photos/a.jpg and {tmp_path}/photos/a.png would both be written to "
        f"{tmp_path}/out/masks/part/a.png; "
    )
    # A folder of the source may be called as that of label maps is.
    names = ["a.png", "masks/part/a.png"]
    with pytest.raises(HiersegError, match=r"masks/part/a\.png and .*photos/a\.png would both be"):
        places(tmp_path, names, masks_of=["part"])


def test_pictures_of_several_folders_are_written_in_such_folders(tmp_path):
    settled = places(tmp_path, ["a.jpg", "one/a.jpg", "two/deep/a.b.jpg"], masks_of=["part"])
    out = tmp_path / "out"
    assert settled.pictures == {
        name: out / name for name in ("a.jpg", "one/a.jpg", "two/deep/a.b.jpg")
    }
    below = [out / "masks/part" / name for name in ("a.png", "one/a.png", "two/deep/a.b.png")]
    assert list(settled.masks_of_images) == below
    assert settled.of_image("two/deep/a.b.jpg") == [out / "two/deep/a.b.jpg", below[2]]
    # A data.yaml names one folder.
    names = ["one/a.jpg", "one/b.jpg"]
    one = places(tmp_path, names, masks_of=["part"], finest="part")
    assert one.labelled == out / "masks/part/one"
    for several in ([*names[:1], "b.jpg"], [*names, "two/c.jpg"]):
        assert places(tmp_path, several, masks_of=["part"], finest="part").labelled is None
    settled.make_room(overwrite=False)
    assert all(file.parent.is_dir() for file in (*settled.pictures.values(), *below))


def test_several_sources_are_one_as_a_shell_gives_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one/a.png", "one/b.png", "two/a.png", "two/deep/c.png", "segmented/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"a picture")
    several = open_sources(["one/a.png", "one/b.png"])
    assert (several.names, several.root) == (("a.png", "b.png"), tmp_path / "one")
    assert open_sources(["one/b.png", "two", "one/b.png"]).names == ("one/b.png", "two/a.png")
    mixed = open_sources(["one/a.png", str(tmp_path / "one" / "a.png"), "two/**/*.png"])
    assert mixed.names == ("one/a.png", "two/a.png", "two/deep/c.png")
    assert mixed.root == tmp_path
    (note,) = open_sources(["one/a.png", "two"]).passed_over
    assert note.startswith("two/deep has images, too")
    assert open_sources(["one"]).names == ("a.png", "b.png")
    # Results of an earlier run, as a shell gives them, too; but not what is named alone.
    again = open_sources(["one/a.png", "segmented/a.png"], Path("segmented"))
    assert again.names == ("a.png",)
    assert "1 image in segmented, where results go" in again.passed_over[0]
    assert open_sources(["segmented/a.png"], Path("segmented")).names == ("a.png",)
    begun(tmp_path / "v.avi").close()
    with pytest.raises(HiersegError, match=r"v\.avi is a video or a camera, one of 2 "):
        open_sources(["one", "v.avi"])
    with pytest.raises(HiersegError, match="There is no source"):
        open_sources([])


LOOKS = """
import os, sys
from hierseg_jax.data.prepare.folders import closed_folders
from hierseg_jax.runtime.frames import open_frames
from pathlib import Path
if os.geteuid() == 0:
    os.setuid(65534)  # root may look everywhere
opened = open_frames("photos/**/*.png")
print(*opened.names, *opened.passed_over, *closed_folders(Path("photos")), sep="|")
try:
    open_frames("photos/cl*/*.png")
except FileNotFoundError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_folders_that_may_not_be_looked_into_are_named(tmp_path):
    for name in ("a.png", "open/b.png", "closed/c.png", ".hidden/d.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"a picture")
    for name in ("closed", ".hidden"):
        (tmp_path / "photos" / name).chmod(0)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", LOOKS], cwd=tmp_path, capture_output=True, text=True
    )
    for name in ("closed", ".hidden"):
        (tmp_path / "photos" / name).chmod(0o755)
    assert done.returncode == 0, done.stderr
    seen, refused = done.stdout.splitlines()
    note = "You may not look into photos/closed/; what lies there is left out."
    assert seen == f"a.png|open/b.png|{note}|photos/closed"
    assert refused.endswith(f"matches it as a pattern. {note}")


@pytest.mark.parametrize(
    "sources", [["b.png", "../a.png"], ["../*/b.png", "../a.png"], ["*/../../a.png", "b.png"]]
)
def test_no_name_leads_out_of_the_output(tmp_path, monkeypatch, sources):
    for name in ("a.png", "here/b.png", "here/deep/c.png", "here/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"a picture")
    monkeypatch.chdir(tmp_path / "here")
    found = open_sources(sources)
    assert set(found.names) == {"a.png", "here/b.png"}
    assert len(found) == 2
    settled = settle_places(found, "several", "out", ["part"], True)
    assert {*settled.pictures.values()} == {Path("out/a.png"), Path("out/here/b.png")}
    assert {*settled.masks_of_images} == {Path("out/masks/part") / name for name in found.names}
    assert open_sources(["*/../b.png"]).names == ("b.png",)


def test_a_link_to_a_folder_above_shows_no_picture_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("z.png", "deep/a.png"):
        (tmp_path / "photos" / name).write_bytes(b"a picture")
    (tmp_path / "photos" / "loop").symlink_to("../photos")
    (tmp_path / "photos" / "y.png").symlink_to("z.png")  # has a name of its own
    assert open_sources(["photos/**/*.png"]).names == ("deep/a.png", "y.png", "z.png")


def test_brackets_that_stand_for_themselves_are_a_folder_s_name(tmp_path):
    folder = tmp_path / "photos [x]"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"a picture")
    (folder / "deep" / "b.png").write_bytes(b"a picture")
    (note,) = open_frames(str(folder)).passed_over
    pattern = shlex.split(note.partition("too; ")[2])[0].removeprefix("--source=")
    found = open_frames(pattern)
    assert (found.names, found.root) == (("a.png", "deep/b.png"), folder)


def test_a_pattern_passes_over_results_and_keeps_its_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "one/a.png", "segmented/b.png", "segmented/one/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"a picture")
    results = Path("segmented")
    found = open_frames("**/*.png", results)
    assert found.names == ("b.png", "one/a.png")
    assert found.passed_over == ("2 images in segmented, where results go, stay out of this.",)
    assert open_frames(str(tmp_path / "*" / "a.png"), results).names == ("one/a.png",)
    assert open_frames("o*/*.png", results).passed_over == ()
    # What is named itself is meant, and where nothing is written there are no results.
    assert open_frames("segmented/**/*.png", results).names == ("b.png", "one/a.png")
    assert len(open_frames("**/*.png")) == 4
    assert open_frames("one", results).names == ("a.png",)
    with pytest.raises(HiersegError, match="All images that match are in segmented, where"):
        open_frames("s*/*.png", results)
    # Nor is it offered: the other folder is.
    assert "one has images, too" in open_frames(".", results).passed_over[0]
    shutil.rmtree("one")
    assert open_frames(".", results).passed_over == ()


def test_a_new_folder_is_not_called_as_a_picture_or_a_video_is(tmp_path):
    for name, kind in (("one.gif", ".gif"), ("one.MP4", ".mp4"), ("a/one.heic", ".heic")):
        with pytest.raises(HiersegError) as refused:
            places(tmp_path, ["a.jpg"], name)
        assert str(refused.value).startswith(
            f"--output is {tmp_path / name}, and pictures are not written as {kind}; give a "
            "folder, or for one picture a name that ends in .jpg, .jpeg, .png, "
        )
    with pytest.raises(
        HiersegError, match=r"all\.png, the name of one picture, and there are 2 pictures"
    ):
        places(tmp_path, ["a.jpg", "b.jpg"], "all.png")
    assert places(tmp_path, ["a.jpg"], "one.png").pictures == {"a.jpg": tmp_path / "one.png"}


def test_one_picture_is_told_by_its_name_and_several_by_their_folder(tmp_path):
    for names, output, masks, told in (
        (["a.jpg"], "one.png", (), "one.png"),
        (["a.jpg"], "out", (), "out/a.jpg"),
        (["a.jpg"], "out", ("part",), "out"),
        (["a.jpg", "b.jpg"], "out", (), "out"),
    ):
        assert places(tmp_path, names, output, masks).where_to_look == (tmp_path / told,)
    images = Images((tmp_path / "a.jpg",), tmp_path)
    assert settle_places(images, "a.jpg", None, (), False).where_to_look == ()
    masks_alone = settle_places(images, "a.jpg", str(tmp_path / "out"), ["part"], False)
    assert masks_alone.where_to_look == (tmp_path / "out",)


def test_a_video_is_told_by_its_name_and_its_label_maps_by_their_folder(tmp_path):
    for masks, told in (((), ("v.mp4",)), (("body", "part"), ("v.mp4", "v_masks"))):
        settled = settle_places(Film(), "v.avi", str(tmp_path / "v.mp4"), masks, True)
        assert settled.where_to_look == tuple(tmp_path / name for name in told)
    alone = settle_places(Film(), "clips/v.avi", None, ("body",), False)
    assert alone.where_to_look == (Path("segmented/v_masks"),)


@pytest.mark.parametrize("name", ["v1.2", "out.d", "there.gif", "there.png"])
def test_other_dots_and_folders_that_are_there_are_folders(tmp_path, name):
    if name.startswith("there"):
        (tmp_path / name).mkdir()
    for pictures in (["a.jpg"], ["a.jpg", "b.jpg"]):
        assert places(tmp_path, pictures, name).folder == tmp_path / name


class Film(Video):
    """A video whose frames nobody asks for."""

    live = False

    def __init__(self):
        pass


def test_a_video_s_output_is_said_to_be_a_video_at_once(tmp_path):
    (tmp_path / "vo").mkdir()
    (tmp_path / "notes.txt").write_text("mine")

    def place(name):
        return settle_places(Film(), "clips/v1.avi", str(tmp_path / name), [], True).video

    assert place("vo/a.mp4") == tmp_path / "vo/a.mp4"
    with pytest.raises(HiersegError) as refused:
        place("vo/")
    assert str(refused.value) == (
        f"{tmp_path}/vo is a folder, and is to be a video; give the name of a file as --output, "
        f"such as {tmp_path}/vo/v1.mp4."
    )
    with pytest.raises(HiersegError, match=r"notes\.txt is to be a video: end its name in \.mp4"):
        place("notes.txt")


def test_a_folder_in_the_place_of_a_file_is_refused_whatever_may_be_replaced(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "out/a.jpg").mkdir(parents=True)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"out/a\.jpg is a folder, and a file of that na"):
            places(tmp_path, ["a.jpg", "b.jpg"]).make_room(overwrite)


def begun(file):
    video = VideoFile(file, 10, (32, 32))
    for _ in range(2):
        video.write(np.zeros((32, 32, 3), np.uint8))
    return video


@pytest.mark.parametrize("suffix", CODECS)
def test_every_kind_of_video_is_written_whole(tmp_path, suffix):
    begun(tmp_path / f"v{suffix}").close()
    written = cv2.VideoCapture(str(tmp_path / f"v{suffix}"))
    assert [written.read()[0] for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("suffix", CODECS)
def test_a_disk_that_fills_up_ends_a_video_while_it_can_be_completed(tmp_path, suffix):
    video = begun(tmp_path / f"v{suffix}")
    video._reserve = 1 << 62  # as if other files had taken the room
    with pytest.raises(OSError, match="the disk is full after 2 frames"):
        video.write(np.zeros((32, 32, 3), np.uint8))
    video.close()
    written = cv2.VideoCapture(str(tmp_path / f"v{suffix}"))
    assert [written.read()[0] for _ in range(3)] == [True, True, False]


def test_a_disk_that_calls_itself_full_from_the_first_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "RESERVE", 1 << 62)
    begun(tmp_path / "v.avi").close()
    assert cv2.VideoCapture(str(tmp_path / "v.avi")).read()[0]


def test_a_video_that_cannot_take_its_name_is_not_lost(tmp_path):
    video = begun(tmp_path / "v.avi")
    (partial,) = (file.name for file in tmp_path.iterdir())
    (tmp_path / "v.avi").mkdir()  # meanwhile
    with pytest.raises(OSError, match=rf"v\.avi could not be written: Is a .*{partial}\."):
        video.close()
    kept = cv2.VideoCapture(str(tmp_path / partial))
    assert [kept.read()[0] for _ in range(3)] == [True, True, False]
    begun(tmp_path / "w.avi").close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [partial, "v.avi", "w.avi"]


def test_of_two_processes_that_write_one_video_neither_takes_the_other_s(tmp_path):
    file = tmp_path / "v.avi"
    mine = begun(file)
    (partial,) = tmp_path.iterdir()
    script = "from tests.test_places import *; begun(Path(sys.argv[1])).close()"
    subprocess.run([sys.executable, "-c", script, file], cwd=ROOT, check=True)
    theirs = file.read_bytes()
    with pytest.raises(FileExistsError, match="another process has written it"):
        mine.close()
    assert file.read_bytes() == theirs
    assert [cv2.VideoCapture(str(partial)).read()[0]] == [True]
    begun(file).close()  # which is there from the beginning, and may be replaced


def test_a_run_that_fails_before_its_first_frame_leaves_no_video(tmp_path, monkeypatch):
    begun(tmp_path / "v.avi").close()
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"), threads=2)

    def fail(threads):
        raise HiersegError("no memory for a second session")

    monkeypatch.setattr(segmenter, "with_threads", fail)
    with pytest.raises(HiersegError, match="no memory"):
        segment_source(segmenter, str(tmp_path / "v.avi"), str(tmp_path / "out.mp4"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.onnx", "v.avi"]


def test_room_is_looked_for_before_the_work_and_not_made(tmp_path):
    (tmp_path / "file").write_text("mine")
    check_room(tmp_path / "new/deep")
    assert not (tmp_path / "new").exists()
    with pytest.raises(OSError, match=r"folder .*/file/deep can't be made: .*/file is a file\."):
        check_room(tmp_path / "file/deep")


def test_benchmark_and_evaluate_refuse_such_outputs_before_they_work(tmp_path):
    network = reference_file(tmp_path / "a.onnx", contract="reference")
    (tmp_path / "out/metrics.json").mkdir(parents=True)
    for command, sentence in (
        (
            ["benchmark", network, f"--json={tmp_path}", "--overwrite", "--seconds=1e9"],
            f"{tmp_path} is a folder, and --json is a file; give a name in it, such as ",
        ),
        (
            ["evaluate", tmp_path / "none", f"--output={tmp_path / 'out'}"],
            "metrics.json is there and was not written by an evaluation; choose another --output.",
        ),
        (
            ["evaluate", tmp_path / "none", f"--output={network}"],
            f"The folder {network} can't be made: {network} is a file.",
        ),
    ):
        done = run_quickly(*command)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, below):
    there = tmp_path / "there"
    for make in (there.touch, lambda: there.symlink_to(tmp_path / "nowhere")):
        make()
        with pytest.raises(OSError, match=rf"can't be made: {there} is no folder; choose another"):
            make_folder(there / below)
        there.unlink()


@pytest.fixture
def anybodys():
    """A folder that others may look into; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


PREPARES = """
import os
from pathlib import Path
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.system.errors import HiersegError
prepare(Path("raw"), Path("before"))  # what else is imported may not be open to others
if os.geteuid() == 0:
    os.setuid(65534)
print(prepare(Path("raw"), Path("out/data")).written)
try:
    prepare(Path("more"), Path("out/more"))
except HiersegError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_prepare_passes_over_closed_folders_that_hold_no_data_and_names_others(anybodys):
    closed = [anybodys / f"{name}" for name in ("raw/lost+found", "raw/.hidden", "more/closed")]
    for raw in ("raw", "more"):
        for number in range(4):
            save_image(anybodys / raw / f"images/{number}.jpg")
            save_mask(anybodys / raw / f"masks/{number}.png", np.full(SIZE, number % 2, np.uint8))
    for folder in closed:
        folder.mkdir()
        folder.chmod(0)
    (anybodys / "out").mkdir()
    (anybodys / "out").chmod(0o777)
    anybodys.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", PREPARES], cwd=anybodys, capture_output=True, text=True
    )
    for folder in closed:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "8\nYou may not look into more/closed, where pictures or masks may lie; have it opened to "
        "you, or taken out of more.\n"
    )

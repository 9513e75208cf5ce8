"""What a run over a source would write is settled, or refused in a sentence, before any work."""

import pytest

from hierseg_jax.runtime.frames import Images
from hierseg_jax.runtime.places import settle_places
from hierseg_jax.runtime.video import Video
from hierseg_jax.system.errors import HiersegError


def places(tmp_path, names, output="out", masks_of=()):
    files = tuple(tmp_path / "photos" / name for name in names)
    output = str(tmp_path / output)
    return settle_places(Images(files), str(tmp_path / "photos"), output, masks_of, True)


def test_two_images_of_one_name_are_both_named(tmp_path):
    assert len(places(tmp_path, ["a.jpg", "a.png"]).pictures) == 2  # without masks they may be
    with pytest.raises(HiersegError) as refused:
        places(tmp_path, ["0.png", "a.jpg", "a.png", "a.webp"], masks_of=["part"])
    assert str(refused.value).startswith(
        f"{tmp_path}/photos/a.jpg and {tmp_path}/photos/a.png would be written under one name, a; "
    )
    with pytest.raises(HiersegError, match=r"one/a\.jpg and .*two/a\.jpg would be written under"):
        places(tmp_path, ["one/a.jpg", "two/a.jpg"])


def test_a_new_folder_is_not_called_as_a_picture_or_a_video_is(tmp_path):
    for name, kind in (("one.gif", ".gif"), ("one.MP4", ".mp4"), ("a/one.heic", ".heic")):
        with pytest.raises(HiersegError) as refused:
            places(tmp_path, ["a.jpg"], name)
        assert str(refused.value).startswith(
            f"--output is {tmp_path / name}, and pictures are not written as {kind}; give a "
            "folder, or for one picture a name that ends in .jpg, .jpeg, .png, "
        )
    with pytest.raises(
        HiersegError, match=r"all\.png, the name of one picture, and .*photos has 2 "
    ):
        places(tmp_path, ["a.jpg", "b.jpg"], "all.png")
    assert places(tmp_path, ["a.jpg"], "one.png").pictures == {"a.jpg": tmp_path / "one.png"}


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

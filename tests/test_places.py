"""What a run over a source would write is settled, or refused in a sentence, before any work."""

import pytest

from hierseg_jax.runtime.frames import Images
from hierseg_jax.runtime.places import settle_places
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

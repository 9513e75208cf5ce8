"""Label maps that `hierseg predict --masks` writes are a data set that can be learned from."""

import cv2
import numpy as np
import pytest
import yaml

from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.runtime.mask_data import MaskData, can_be_data_set
from hierseg_jax.runtime.packaged_network import packaged_network, packaged_photograph
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """A folder with `photos`, one of which is no picture, and `out` with their label maps."""
    folder = tmp_path_factory.mktemp("next")
    (folder / "photos").mkdir()
    photograph_bgr = cv2.imread(str(packaged_photograph()))
    for name, part in (("a", np.s_[:]), ("b", np.s_[:, ::-1]), ("c", np.s_[::2, ::2])):
        cv2.imwrite(str(folder / "photos" / f"{name}.png"), photograph_bgr[part])
    (folder / "photos" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    segment_source(
        Segmenter(packaged_network()), str(folder / "photos"), str(folder / "out"), masks=True
    )
    return folder


def written(folder):
    return folder / "out" / "masks" / "part" / "data.yaml"


def test_they_are_read_as_they_were_written(segmented):
    spec = load_spec(written(segmented))
    network = Segmenter(packaged_network()).hierarchy
    assert spec.hierarchy.class_names == network.class_names
    assert spec.hierarchy.children == network.children
    source = open_split(str(written(segmented)), "train", 64, {})
    assert len(source) == 3  # what can't be read has no label map
    for index, name in enumerate("abc"):
        mask = cv2.imread(str(segmented / f"out/masks/part/{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(source[index]["label"], mask)
        assert len(np.unique(mask)) > 3


def test_classes_meet_by_name_where_another_data_set_has_other_numbers(segmented, tmp_path):
    """Masks of the other hold tens, in another order."""
    network = Segmenter(packaged_network()).hierarchy
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "masks").mkdir()
    names = [*reversed(network.class_names[1:]), "background"]
    cv2.imwrite(str(tmp_path / "train/images/x.png"), np.zeros((40, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "train/masks/x.png"), np.full((40, 40), 10, np.uint8))
    old = {
        "train": "train/images",
        "names": list(network.class_names),
        "hierarchy": yaml.safe_load(written(segmented).read_text())["hierarchy"],
        "labels": {10 * number: name for number, name in enumerate(names)},
    }
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(old))
    both = f"{tmp_path / 'data.yaml'} + {written(segmented)}"
    tree = load_hierarchy(both)
    source = open_split(both, "train", 64, {}, tree)
    assert source[0]["label"][0, 0] == tree.class_names.index(names[1])
    mask = cv2.imread(str(segmented / "out/masks/part/a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(source[1]["label"], mask)


def segment_more(segmented, folder, **options):
    """Another photograph, of a folder, to the same place."""
    file = segmented / folder / "d.png"
    file.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(file), np.zeros((40, 40, 3), np.uint8))
    (segmented / folder / "e.png").write_bytes(b"")
    segment_source(
        Segmenter(packaged_network()),
        str(segmented / folder / "[de].png"),
        str(segmented / "out"),
        masks=True,
        **options,
    )
    return (written(segmented).parent / "pictures.txt").read_text().split()


def test_more_pictures_of_the_folder_are_added_and_others_are_not(segmented, capsys):
    content = written(segmented).read_text()
    assert segment_more(segmented, "photos") == ["a.png", "b.png", "c.png", "d.png"]
    assert written(segmented).read_text() == content
    assert "note: " not in capsys.readouterr().err.replace("note: 1", "")
    (segmented / "out/masks/part/d.png").unlink()
    (segmented / "out/d.png").unlink()
    assert segment_more(segmented, "others") == ["a.png", "b.png", "c.png", "d.png"]
    assert "part/data.yaml is of other pictures or classes, and stays" in capsys.readouterr().err
    assert written(segmented).read_text() == content
    assert segment_more(segmented, "others", overwrite=True) == ["d.png"]
    assert "others" in written(segmented).read_text()


@pytest.mark.parametrize("name", ["a*b", "photos.txt", "a\nb", "caf\udce9"])
def test_folders_that_a_data_set_can_not_name_make_none(tmp_path, name):
    files = [tmp_path / name / "a.png", tmp_path / name / "b.png"]
    assert not can_be_data_set(tmp_path / "masks", files)
    assert not can_be_data_set(tmp_path / name / "masks*", files)
    assert can_be_data_set(tmp_path / "masks", [tmp_path / "x" / file.name for file in files])
    assert not can_be_data_set(tmp_path / "masks", [files[0], tmp_path / "x" / "b.png"])


def test_names_that_a_list_can_not_hold_are_left_out(tmp_path):
    hierarchy = Segmenter(packaged_network()).hierarchy
    names = ["a.png", " b.png", "c\nd.png", ".e.png", "caf\udce9.png"]
    (tmp_path / "masks").mkdir()
    data = MaskData(tmp_path / "masks", tmp_path, hierarchy, False)
    assert data.begin()
    for name in names:
        data.add(name)
    assert (tmp_path / "masks" / "pictures.txt").read_text() == "a.png\n"


def test_one_picture_and_coarser_levels_make_none(segmented, tmp_path):
    network = Segmenter(packaged_network())
    one = str(segmented / "photos" / "a.png")
    segment_source(network, one, str(tmp_path / "one"), masks=True)
    segment_source(
        network, str(segmented / "photos"), str(tmp_path / "x"), masks=True, level="group"
    )
    assert not list(tmp_path.rglob("data.yaml"))

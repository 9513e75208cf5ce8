"""Data sets of any name, as TFDS prepares them."""

import io
import json
import pickle
import shutil
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from hierseg_jax.data.read.common_tree import load_hierarchy, read_data_sets
from hierseg_jax.data.read.members import Member
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.read.tfds_name import TfdsName, parse_tfds_name
from hierseg_jax.data.read.tfds_prepared import open_prepared
from hierseg_jax.data.read.tfds_source import TfdsSource
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.test_tfds import assert_source_equals_files, build, write_raw

NAMES = ["background", "cat", "dog"]
TREE = "names: [background, pet]\nhierarchy: [pet]\nlabels: {0: background, 1: pet, 2: ignore}\n"
features = tfds.features


def picture(index):
    """Image uint8 [8 + index, 10, 3] of one colour and mask uint8 [8 + index, 10]."""
    image = np.full((8 + index, 10, 3), (index, 100, 200), np.uint8)
    mask = np.full(image.shape[:2], index % 3, np.uint8)
    mask[0] = 255
    return image, mask


def png(array):
    return io.BytesIO(cv2.imencode(".png", array)[1].tobytes())


class Pets(tfds.core.GeneratorBasedBuilder):
    """Two configs: masks with names, and masks in arrays among much else."""

    VERSION = tfds.core.Version("2.10.0")
    BUILDER_CONFIGS = (
        tfds.core.BuilderConfig(name="named"),
        tfds.core.BuilderConfig(name="arrays"),
    )

    def __init__(self, **kwargs):
        super().__init__(file_format="array_record", **kwargs)

    def _info(self):
        own = {"annotation": features.LabeledImage(labels=NAMES, encoding_format="png")}
        if self.builder_config.name == "arrays":
            own = {
                "flat": features.Tensor(shape=(None, 10), dtype=np.int64),
                "deep": features.Tensor(shape=(None, 10, 1), dtype=np.int32),
                "trimap": features.Image(shape=(None, None, 1), encoding_format="png"),
                "pixels": features.Tensor(shape=(None, 10, 3), dtype=np.uint8),
            }
        of_all = {
            "image": features.Image(encoding_format="png"),
            "label": features.ClassLabel(names=["cat", "dog"]),
            "boxes": features.Sequence({"bbox": features.BBoxFeature(), "of": features.Text()}),
        }
        return self.dataset_info_from_configs(
            features=features.FeaturesDict(of_all | own), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(0, 10),
            "validation": self._generate_examples(3, 5),
        }

    def _generate_examples(self, start, stop):
        for index in range(start, stop):
            image, mask = picture(index)
            example = {"image": png(image[..., ::-1]), "label": "dog", "boxes": []}
            if self.builder_config.name == "named":
                example["annotation"] = png(mask)
            else:
                example |= {
                    "flat": mask.astype(np.int64),
                    "deep": mask[..., None].astype(np.int32),
                    "trimap": png(mask),
                    "pixels": image,
                }
            yield index, example


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The default folder of TFDS, in a world without TensorFlow."""
    root = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        (root / "tensorflow.py").write_text("raise RuntimeError('TensorFlow gets imported')")
        patch.syspath_prepend(root)
        for config in ("named", "arrays"):
            Pets(data_dir=root, config=config).download_and_prepare()
        patch.setenv("TFDS_DATA_DIR", str(root))
        yield root


def sentence_of(function, *args, **options):
    with pytest.raises(HiersegError) as error:
        function(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_pictures(source, numbers, ignored=()):
    assert len(source) == len(numbers)
    for example, number in zip(source, numbers, strict=True):
        image, mask = picture(number)
        np.testing.assert_array_equal(example["image"], image, strict=True)
        mask[np.isin(mask, ignored)] = 255
        np.testing.assert_array_equal(example["label"], mask, strict=True)


def test_image_mask_classes_and_splits_are_found(data_dir):
    spec = "tfds:pets/named"
    (data,) = read_data_sets(spec)
    assert data.hierarchy.class_names == tuple(NAMES)
    assert data.splits == ("train", "val")
    assert_pictures(open_split(spec, "train", 32, {}), range(10))
    assert_pictures(open_split(spec, "val", 32, {}), range(3, 5))
    said = sentence_of(open_split, spec, "test", 32, {})
    assert "has no 'test' among its splits train, validation; say which" in said


def test_splits_go_by_the_names_of_tfds(data_dir):
    spec = "tfds:pets/named:2.10.0?train=train[:70%]+validation[:1]&val=train[70%:]&test=validation"
    assert_pictures(open_split(spec, "train", 32, {}), [*range(7), 3])
    assert_pictures(open_split(spec, "val", 32, {}), range(7, 10))
    assert_pictures(open_split(spec, "test", 32, {}), range(3, 5))
    source = pickle.loads(pickle.dumps(open_split(spec, "train", 32, {})))
    assert_pictures(source, [*range(7), 3])


@pytest.mark.parametrize("mask", ["flat", "deep", "trimap"])
@pytest.mark.parametrize("image", ["image", "pixels"])
def test_masks_are_pictures_or_arrays_and_a_file_names_their_values(
    data_dir, tmp_path, image, mask
):
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE)
    spec = f"tfds:pets/arrays?image={image}&mask={mask}"
    for whole, file in ((f"{spec}&tree={tree}", ""), (spec, str(tree))):
        assert load_hierarchy(whole, file).class_names == ("background", "pet")
        source = open_split(whole, "val", 32, {}, tree_file=file)
        assert_pictures(source, range(3, 5), ignored=(2,))
        assert source[0]["image"].flags.writeable
    assert "tree=FILE, or set data.hierarchy" in sentence_of(load_hierarchy, spec)


def test_a_mixture_has_a_place_for_them(data_dir, tmp_path):
    tree = tmp_path / "tree.yaml"
    tree.write_text("names: [background, dog, cat]\nhierarchy: [dog, cat]\n")
    other = f"tfds:pets/arrays?image=pixels&mask=flat&tree={tree}"
    source = open_split(f"tfds:pets/named + 0.5*{other}", "train", 32, {})
    assert source.draws == (10, 5)
    for number in range(3):
        label = picture(number)[1][-1, -1]
        assert source[number]["label"][-1, -1] == label
        assert source[10 + number]["label"][-1, -1] == [0, 2, 1][label]


def test_what_this_project_builds_is_read_as_before(tmp_path):
    """Runs of before there were other data sets go on: their inventories are the same."""
    build(write_raw(tmp_path / "raw"), tmp_path)
    spec = f"tfds:pascal_person_part?data_dir={tmp_path}"
    assert load_hierarchy(spec) == PASCAL_PERSON_PART
    for split, names in (("train", ["2008_9", "2008_1", "2010_5"]), ("val", ["2009_7"])):
        source = open_split(spec, split, 32, {})
        assert_source_equals_files(source, tmp_path / "raw", names)
        ((name, size),) = source.inventory()
        assert name == f"pascal_person_part/1.0.0 {split}"
        assert size > 0


def test_an_inventory_knows_parts_features_and_names(data_dir, tmp_path):
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE)

    def entries(spec):
        return list(open_split(spec, "train", 32, {}).inventory())

    whole, keys = entries("tfds:pets/named")
    assert whole[0] == "pets/named/2.10.0 train"
    assert whole[1] > 0
    assert keys == ("image=image mask=annotation", 0)
    part = entries("tfds:pets/named?train=train[2:5]")
    assert part[0] == ("pets/named/2.10.0 train[2:5]", 0)
    assert part[1][0] == "pets-train.array_record-00000-of-00001 2+3"
    assert part[1][1] > 0
    labels = entries(f"tfds:pets/named?tree={tree}")[-1]
    assert labels == ("labels: 0 background, 1 pet, 2 ignore", 0)


def test_names_are_read_and_mistakes_in_them_are_named():
    assert parse_tfds_name("tfds:a") == TfdsName("a")
    assert parse_tfds_name("a/b.c-d:1.0.0?image=x&val=train[9:]&train=train[:9]+b&tree=c=d") == (
        TfdsName(
            "a", "b.c-d", "1.0.0", "x", splits=(("train", "train[:9]+b"), ("val", "train[9:]")),
            tree="c=d",
        )
    )  # fmt: skip
    for text, sentence in (
        ("", "names no data set of TFDS"),
        ("../a", "names no data set of TFDS"),
        ("a/..", "names no data set of TFDS"),
        ("a:1", "names no data set of TFDS"),
        ("a?", None),
        ("a?images=b", "'images=b' is no KEY=VALUE of those that there are; the keys are image, "),
        ("a?image", "'image' is no KEY=VALUE"),
        ("a?image=", "'image=' is no KEY=VALUE"),
        ("a?image=b&image=c", "'image=c' is given twice"),
        ("a?val=train[90%:]", "of which the training would read all; say what is left"),
        ("a?test=validation+train", "test is taken out of train"),
        ("a?val=train[90%:]&train=train", None),
    ):
        if sentence is None:
            parse_tfds_name(text)
        else:
            assert sentence in sentence_of(parse_tfds_name, text)


def test_locations_don_t_depend_on_the_folder_that_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = Member("tfds:a?tree=b.yaml&image=c&data_dir=d").location
    assert name == f"tfds:a?tree={tmp_path}/b.yaml&image=c&data_dir={tmp_path}/d"
    assert Member("tfds:a").location == "tfds:a"


def test_what_is_not_there_or_leaves_a_choice_is_named(data_dir, tmp_path):
    for spec, sentence in (
        ("tfds:cats", f"In {data_dir} there is no data set 'cats'; choose one of pets, or prepare"),
        (f"tfds:pets?data_dir={tmp_path}", f"In {tmp_path} there is no data set 'pets'; prepare"),
        ("tfds:pets", "holds the configs arrays, named; choose one, as in tfds:pets/CONFIG"),
        ("tfds:pets/all", "holds the configs arrays, named; choose one"),
        ("tfds:pets/named:1.0.0", "has no version 1.0.0; there are 2.10.0"),
        ("tfds:pets/named?mask=boxes", "has no image or array 'boxes'; its features are "),
        ("tfds:pets/named?mask=label", "has no image or array 'label'; its features are "),
        ("tfds:pets/named?mask=none", "annotation (LabeledImage)"),
        ("tfds:pets/named?mask=image", "'image' is both image and mask"),
        ("tfds:pets/arrays?image=image", "one must be the mask, and 3 (deep, flat, trimap) look"),
        ("tfds:pets/arrays?mask=flat", "one must be the image, and 2 (image, pixels) look like"),
    ):
        assert sentence in sentence_of(load_hierarchy, spec)


def test_examples_that_are_none_are_named(data_dir):
    source = TfdsSource("pets/named?image=annotation&mask=image", "train")
    assert sentence_of(source.__getitem__, 1) == (
        "Example 1 of pets train (image) is a colour PNG (RGB); a mask is a grey or palette "
        "picture whose values are class indices, or its colours are named where the classes are: "
        "`labels: {'#0164C8': NAME}`."
    )
    source = TfdsSource("pets/arrays?image=flat&mask=deep", "train")
    assert "(flat) is int64 [8, 10]; an image is uint8" in sentence_of(source.__getitem__, 0)
    source = TfdsSource("pets/arrays?image=image&mask=pixels", "train")
    assert "(pixels) is uint8 [8, 10, 3]; a mask has" in sentence_of(source.__getitem__, 0)


@pytest.mark.parametrize("older", [False, True])
def test_nothing_is_imported_that_a_data_set_names(data_dir, tmp_path, monkeypatch, older):
    folder = tmp_path / "pets" / "named" / "2.10.0"
    shutil.copytree(data_dir / "pets" / "named" / "2.10.0", folder)
    (tmp_path / "hostile.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    content = json.loads((folder / "features.json").read_text())
    of_label = content["featuresDict"]["features"]["label"]
    if older:
        of_label |= {"jsonFeature": {"json": json.dumps({"a": [{"type": "hostile.Feature"}]})}}
    else:
        of_label |= {"pythonClassName": "hostile.Feature"}
    (folder / "features.json").write_text(json.dumps(content))
    said = sentence_of(open_prepared, TfdsName("pets", "named", data_dir=str(tmp_path)))
    assert "features.json names hostile.Feature, which TFDS does not have" in said
    assert "hostile" not in sys.modules

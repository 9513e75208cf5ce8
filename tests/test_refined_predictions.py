"""Which pictures `hierseg predict` and `hierseg_jax.load` refine, and what can't be."""

import cv2
import numpy as np
import pytest

import hierseg_jax
from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from tests.test_runtime import deploy_file, reference_file


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return reference_file(tmp_path_factory.mktemp("onnx") / "a.onnx", contract="reference")


def blocks(seed=0):
    few = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(few, (96, 72), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def photo(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), blocks())
    return tmp_path / "photo.png"


@pytest.fixture
def video(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12, (96, 72))
    for seed in range(3):
        writer.write(blocks(seed))
    writer.release()
    return tmp_path / "v.avi"


def masks(segmenter, source, output, **options):
    segment_source(segmenter, str(source), str(output), masks=True, **options)
    top = output.with_name(f"{output.stem}_masks") if output.suffix else output / "masks"
    folder = top / "part"
    return [cv2.imread(str(each), cv2.IMREAD_UNCHANGED) for each in sorted(folder.iterdir())]


def test_refined_labels_are_those_of_the_filter(file):
    segmenter, image = Segmenter(file), blocks()
    found, plain = segmenter(image, bgr=True, refine=True), segmenter(image, bgr=True)
    expected = guided_labels(
        plain.output.planes, plain.placement, segmenter.hierarchy, image, segmenter.decoding
    )
    np.testing.assert_array_equal(found.levels["part"], expected)
    assert (found.levels["part"] != plain.levels["part"]).any()
    for level in segmenter.hierarchy.levels:
        of_leaves = np.uint8(level.leaf_to_class)[found.levels["part"]]
        np.testing.assert_array_equal(found.levels[level.name], of_leaves)


def test_pictures_are_refined_unless_told_otherwise_and_videos_if_told(
    file, photo, video, tmp_path
):
    segmenter = Segmenter(file)
    image = cv2.imread(str(photo))
    expected = {refine: segmenter(image, bgr=True, refine=refine) for refine in (True, False)}
    for given, refine in ((None, True), (True, True), (False, False)):
        (found,) = masks(segmenter, photo, tmp_path / f"p{given}", refine=given)
        np.testing.assert_array_equal(found, expected[refine].levels["part"])
    default, refined, plain = (
        masks(segmenter, video, tmp_path / f"v{given}" / "v.avi", refine=given)
        for given in (None, True, False)
    )
    np.testing.assert_array_equal(default, plain)
    assert (np.array(refined) != np.array(plain)).any()


def test_loaded_networks_refine_unless_told_otherwise(file, photo):
    segmenter, image = Segmenter(file), cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    for refine in (True, False):
        found = hierseg_jax.load(file, refine=refine)(photo)
        expected = segmenter(image, refine=refine)
        np.testing.assert_array_equal(found.labels["part"], expected.levels["part"])
    np.testing.assert_array_equal(
        hierseg_jax.load(file)(photo).labels["part"],
        hierseg_jax.load(file, refine=True)(photo).labels["part"],
    )


def test_what_can_not_be_refined_is_refused_where_it_was_asked_for(file, photo, tmp_path):
    maps_alone = Segmenter(deploy_file(tmp_path / "d.onnx"))
    assert maps_alone.plain
    assert len(masks(maps_alone, photo, tmp_path / "plain")) == 1  # by default it is let alone
    with pytest.raises(ValueError, match="--refine needs the network's scores"):
        segment_source(maps_alone, str(photo), str(tmp_path / "out"), refine=True)
    assert not (tmp_path / "out").exists()


def test_pictures_within_a_window_are_refined_as_without_tiles(file, tmp_path):
    segmenter, small = Segmenter(file), cv2.resize(blocks(), (15, 7), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "small.png"), small)
    (found,) = masks(segmenter, tmp_path / "small.png", tmp_path / "out", tiles=True)
    expected = segmenter(small, bgr=True, refine=True)
    np.testing.assert_array_equal(found, expected.levels["part"])
    assert (found != segmenter(small, bgr=True).levels["part"]).any()


def test_another_picture_or_other_planes_are_refused_in_a_sentence(file):
    segmenter, image = Segmenter(file), blocks()
    result = segmenter(image)
    planes, placement = result.output.planes, result.placement
    for other in (image[:50], image[..., :2], image.astype(np.float32), image[..., 0]):
        with pytest.raises(ValueError, match="The placement is of uint8"):
            segmenter.finish(planes, placement, image_hwc=other)
    for others in (planes[:3], result.output.probabilities, planes[:, :0]):
        with pytest.raises(ValueError, match="Planes of scores are uint16"):
            segmenter.finish(others, placement, image_hwc=image)

"""hierseg_jax.load: from a file or a run to label maps, scores and drawings."""

import functools
import os
import subprocess
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hierseg_jax
from hierseg_jax.checkpoint import checkpoint_meta, find_checkpoint, save_checkpoint
from hierseg_jax.evaluation.eval_step import make_scores
from hierseg_jax.evaluation.shown_pictures import Gallery
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.runtime.packaged_network import packaged_network
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.settings.building import open_source
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.runs import small_settings, train_here
from tests.test_runtime import deploy_file, expected_leaf, reference_file

LEVELS = PASCAL_PERSON_PART.levels


@pytest.fixture(scope="module", params=["reference", "deploy"])
def file(request, tmp_path_factory):
    make = {"reference": reference_file, "deploy": deploy_file}[request.param]
    options = {"contract": "reference"} if request.param == "reference" else {}
    return make(tmp_path_factory.mktemp("net") / "a.onnx", **options)


@pytest.fixture(scope="module")
def with_scores(tmp_path_factory):
    return reference_file(tmp_path_factory.mktemp("net") / "a.onnx", contract="reference")


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Of a network that has learned nothing."""
    settings = small_settings()
    model = create_model("esnet_mini", PASCAL_PERSON_PART.num_classes)
    folder = tmp_path_factory.mktemp("weights") / "checkpoint"
    variables = init_variables(model, jax.random.key(0))
    save_checkpoint(folder, variables, checkpoint_meta(settings, PASCAL_PERSON_PART, step=3))
    return folder


def test_arrays_paths_and_lists_give_the_segmenter_s_label_maps(file, photo, tmp_path):
    network, expected = hierseg_jax.load(file), Segmenter(file)(photo, refine=True)
    cv2.imwrite(str(tmp_path / "photo.png"), photo[..., ::-1])
    paths = [tmp_path / "photo.png", str(tmp_path / "photo.png")]
    mirrored = np.ascontiguousarray(photo[..., ::-1])[..., ::-1]  # as of OpenCV's BGR
    for prediction in [network(photo), *network([mirrored, *paths]), *map(network, paths)]:
        np.testing.assert_array_equal(prediction.image, photo)
        assert list(prediction.labels) == [level.name for level in LEVELS]
        for name, labels_hw in expected.levels.items():
            np.testing.assert_array_equal(prediction.labels[name], labels_hw)
        assert prediction.confidence.shape == (30, 40)
    assert network([]) == []
    assert repr(network) == "Predictor(body: 2 classes, upper_lower: 3 classes, part: 7 classes)"
    assert repr(network(photo)) == "Prediction(30 x 40 pixels; body, upper_lower, part)"
    assert network.class_names == {level.name: level.class_names for level in LEVELS}


def test_scores_at_the_picture_s_size_are_those_that_labels_follow_from(with_scores, photo):
    prediction = hierseg_jax.load(with_scores)(photo)
    assert prediction.scores.shape == (7, 30, 40)
    assert prediction.scores.dtype == np.float32
    np.testing.assert_array_equal(prediction.scores.argmax(0), expected_leaf(photo))
    np.testing.assert_allclose(
        prediction.confidence,
        prediction.segmentation.placement.restore_scores(prediction.segmentation.confidence),
    )


def test_a_file_without_scores_says_so(tmp_path, photo):
    prediction = hierseg_jax.load(deploy_file(tmp_path / "a.onnx"))(photo)
    assert 0 < prediction.confidence.min() <= prediction.confidence.max() <= 1
    with pytest.raises(hierseg_jax.HiersegError, match="exported with --plain and has no scores"):
        _ = prediction.scores


def test_drawings_have_the_picture_s_width_and_a_legend_below(with_scores, tmp_path):
    image = np.full((60, 90, 3), (200, 120, 40), np.uint8)
    prediction = hierseg_jax.load(with_scores)(image)
    drawn = prediction.draw("body")
    assert (drawn.dtype, drawn.shape[1]) == (np.uint8, 90)
    assert drawn.shape[0] > 60
    assert prediction.draw("all").shape[1] == 3 * 90
    np.testing.assert_array_equal(prediction.draw(), prediction.draw(LEVELS[-1].name))
    prediction.save(tmp_path / "new" / "drawn.png", level="body")
    written = cv2.imread(str(tmp_path / "new" / "drawn.png"))
    np.testing.assert_array_equal(written[..., ::-1], drawn)
    shown = cv2.imdecode(np.frombuffer(prediction._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(shown[..., ::-1], prediction.draw())
    before = (tmp_path / "new" / "drawn.png").read_bytes()
    with pytest.raises(FileExistsError, match="exists; choose another name or give overwrite=True"):
        prediction.save(tmp_path / "new" / "drawn.png")
    assert (tmp_path / "new" / "drawn.png").read_bytes() == before
    prediction.save(tmp_path / "new" / "drawn.png", overwrite=True)
    with pytest.raises(ValueError, match="is to be a picture; end its name in"):
        prediction.save(tmp_path / "drawn.txt")
    for level in ("leg", 0):
        with pytest.raises(ValueError, match=f"no level {level!r}; the network has body, upper_lo"):
            prediction.draw(level)


def test_mistakes_are_told_in_a_sentence_with_the_remedy(with_scores, photo, tmp_path):
    (tmp_path / "text.onnx").write_text("no network", "utf-8")
    (tmp_path / "text.png").write_text("no picture", "utf-8")
    network = hierseg_jax.load(with_scores)
    grey = photo[..., 0] / np.float32(255)
    cases = [
        (lambda: hierseg_jax.load(tmp_path / "none"), "does not exist; give an .onnx file"),
        (lambda: hierseg_jax.load(3), "A path is text, or a pathlib.Path; got 3"),
        (lambda: hierseg_jax.load_run(b"run"), "A path is text, or a pathlib.Path; got b'run'"),
        (lambda: hierseg_jax.load(with_scores, threads=1.5), "threads is 1.5; it is 1 or more"),
        (lambda: hierseg_jax.load(tmp_path / "text.onnx"), "is no ONNX file, or a damaged one"),
        (lambda: hierseg_jax.load(tmp_path), "holds no checkpoint"),
        (lambda: hierseg_jax.load(with_scores, which="last"), "`which` is for a run's workdir"),
        (lambda: hierseg_jax.load(tmp_path, threads=2), "`threads` is for an .onnx file"),
        (lambda: network(tmp_path / "none.png"), "There is no picture .*none.png"),
        (lambda: network(tmp_path / "text.png"), "neither a JPEG nor a PNG"),
        (lambda: network(tmp_path), "is a folder; expected a file"),
        (lambda: network(None), "got NoneType, no array"),
        (lambda: network(Photograph()), r"Photograph. Give np.asarray\(picture.convert\('RGB'"),
        (lambda: network(memoryview(photo)), "got memoryview, no array"),
        (lambda: network(jnp.asarray(photo)), r"no array of NumPy. Give np.asarray\(picture\)"),
        (lambda: network(photo.astype(np.int64)), r"np.rint\(picture\).astype\('uint8'\)"),
        (lambda: network(photo.astype(np.float32)), r"np.rint\(picture\).astype\('uint8'\)"),
        (lambda: network(photo.astype(np.uint16) << 8), r"\(picture >> 8\).astype\('uint8'\)"),
        (lambda: network(photo - np.float32(300)), r"got float32 \(30, 40, 3\)\.$"),
        (lambda: network(grey), r"float32 \(30, 40\). Make three .*\* 255\).round"),
        (lambda: network(photo[..., :1]), r"np.repeat\(picture, 3, -1\)"),
        (lambda: network(np.dstack([photo, photo[..., 0]])), r"picture\[..., :3\]"),
        (lambda: network(photo.transpose(2, 0, 1)), r"picture.transpose\(1, 2, 0\)"),
        (lambda: network(photo[None]), "one by one, or as a list"),
    ]
    for mistake, sentence in cases:
        with pytest.raises(hierseg_jax.HiersegError, match=sentence):
            mistake()


class Photograph:
    """As of PIL: to be converted."""

    def convert(self, mode):
        return mode


def test_a_side_is_a_square_s(photo):
    side, sides = (hierseg_jax.load(image_size=size, threads=1) for size in (96, (96, 96)))
    found = side(photo)
    assert found.segmentation.placement.size == (96, 96)
    np.testing.assert_array_equal(found.labels["part"], sides(photo).labels["part"])
    assert Segmenter(packaged_network(), image_size=96).image_size == (96, 96)


def test_remedies_give_pictures(with_scores, photo):
    network, grey = hierseg_jax.load(with_scores), photo[..., 0] / np.float32(255)
    for picture in (
        (np.stack([grey] * 3, -1) * 255).round().astype("uint8"),
        np.repeat(photo[..., :1], 3, -1),
        np.dstack([photo, photo[..., 0]])[..., :3],
        photo.transpose(2, 0, 1).transpose(1, 2, 0),
    ):
        assert network(picture).labels["part"].shape == (30, 40)


def test_an_exported_file_is_loaded_without_jax(with_scores, tmp_path):
    code = (
        "import sys, numpy as np, hierseg_jax\n"
        f"network = hierseg_jax.load({str(with_scores)!r})\n"
        "network(np.zeros((20, 30, 3), np.uint8)).save('drawn.png')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'jax', 'jaxlib', 'flax', "
        "'grain', 'orbax', 'optax', 'absl', 'matplotlib', 'scipy', 'tqdm'}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert said.stdout.strip() == "[]"
    assert (tmp_path / "drawn.png").is_file()


def test_what_a_program_gives_otherwise_than_a_command_does(checkpoint, photo, capsys):
    assert create_model("esnet_mini", np.int64(7)) == create_model("esnet_mini", 7)
    with pytest.raises(
        hierseg_jax.HiersegError, match="There is no split 'valid'; choose one of train"
    ):
        open_source(small_settings().data, 0, "valid")
    with pytest.raises(FileExistsError, match="exists, and a checkpoint is to be written; choose"):
        save_checkpoint(checkpoint, {}, {})
    # A side that the network does not take is told, as `hierseg evaluate` tells it.
    found = hierseg_jax.load(checkpoint, image_size=(100, 40))(photo)
    assert found.segmentation.placement.size == (96, 40)
    assert "100x40 (height x width) is rounded to 96x40" in capsys.readouterr().err


def test_an_epoch_may_be_a_number(tmp_path):
    folder = tmp_path / "run"
    train_here(folder, epochs=1)
    assert hierseg_jax.load_run(folder, 1).meta["epoch"] == 1
    assert find_checkpoint(folder, 1) == find_checkpoint(folder, "1")


def test_a_run_gives_the_label_maps_that_its_evaluation_looks_at(checkpoint, photo):
    run, network = hierseg_jax.load_run(checkpoint), hierseg_jax.load(checkpoint)
    assert (run.hierarchy, run.settings.model.name) == (PASCAL_PERSON_PART, "esnet_mini")
    assert run.meta["step"] == 3
    assert len(repr(run)) < 200  # nobody wants to see all arrays
    scores = jax.jit(make_scores(run.model, run.hierarchy, run.settings.decoding))
    source = [{"image": photo, "label": photo[..., 0]}]
    size, resize = run.settings.data.size, run.settings.data.resizing
    gallery = Gallery(source, run.hierarchy, run.settings.decoding, size, resize)
    leaf_hw = gallery.show(functools.partial(scores, run.variables), 0).prediction
    prediction = network(photo)
    for level in LEVELS:
        np.testing.assert_array_equal(prediction.labels[level.name], level.leaf_to_class[leaf_hw])
    output = prediction.segmentation.output
    assert output.scores.shape == (7, *size)
    np.testing.assert_allclose(output.confidence, output.scores.max(0), rtol=1e-6)
    assert prediction.draw().shape[1] == 40

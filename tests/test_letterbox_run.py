"""A whole run on pictures of several shapes: trained, evaluated, exported, segmented alike."""

import contextlib

import jax
import numpy as np
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.checkpoint import open_checkpoint
from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.resize import Resize, place
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.predictions import leaf_scores
from hierseg_jax.models import create_model
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.train.set_up import set_up
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.balanced import balanced_checkpoint
from tests.figure_folder import write_figures
from tests.margins import clear_choices, miou_range
from tests.runs import small_settings, train_here

SIZE = (32, 48)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_figures(tmp_path_factory.mktemp("figures"))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data):
    workdir = tmp_path_factory.mktemp("run")
    train_here(
        workdir,
        data__spec=str(data),
        data__image_size=SIZE,
        data__resize="letterbox",
        augment="modern",
        epochs=1,
    )
    return workdir


@pytest.mark.parametrize("beside", ["ignored", "background"])
def test_what_lies_beside_is_taught_as_the_run_says_and_validated_never(tmp_path, data, beside):
    settings = small_settings(
        data__spec=str(data),
        data__image_size=SIZE,
        data__resize="letterbox",
        data__beside=beside,
        augment="modern",
    )
    run = set_up(settings, tmp_path)
    for batches, ignored in (
        (run.train_batches, beside == "ignored"),
        (run.val_batches, True),
    ):
        with contextlib.closing(batches()) as found:
            assert (next(found)["label"] == 255).any() == ignored


@pytest.fixture(scope="module")
def source(data):
    return open_split(str(data), "val", 64, {})


@pytest.fixture(scope="module")
def checkpoint(workdir, source, tmp_path_factory):
    """The run's, with classes that all occur."""
    images = [
        place(source[i]["label"].shape, SIZE, "letterbox").fit_image(source[i]["image"])
        for i in range(len(source))
    ]
    return balanced_checkpoint(workdir, images, tmp_path_factory.mktemp("balanced") / "checkpoint")


@pytest.fixture(scope="module")
def scores(checkpoint, source):
    """Of JAX, for the pictures as evaluation brings them to the network's size: [N, H, W, C]."""
    loaded = open_checkpoint(checkpoint)
    hierarchy = Hierarchy.from_json(loaded.meta["hierarchy"])
    # As the export does it, so that one program is compiled.
    model = create_model("esnet_mini", hierarchy.num_classes, conv_impl="xla")
    decoding = loaded.settings.decoding
    scores_of = jax.jit(lambda v, x: leaf_scores(model.apply(v, x), hierarchy, decoding))
    batches = eval_batches(source, size=SIZE, resize=Resize("letterbox"), batch_size=1)
    return np.concatenate(
        [scores_of(loaded.variables, batch["image"].astype(np.float32) / 255) for batch in batches]
    )


@pytest.mark.parametrize("contract", [pytest.param("reference", marks=pytest.mark.slow), "deploy"])
def test_the_runtime_predicts_what_jax_does_and_where(
    checkpoint, source, scores, tmp_path, contract
):
    export = export_checkpoint(
        checkpoint, str(tmp_path / "a.onnx"), contract=contract, brighten=False
    )
    assert (export.metadata.resize, export.metadata.image_size) == ("letterbox", SIZE)
    segmenter = Segmenter(export.file)
    assert segmenter.metadata.resize == "letterbox"
    evaluation, description = evaluate_checkpoint(checkpoint, task="val", batch_size=8)
    assert description["resize"] == "letterbox"
    confusion = np.zeros_like(evaluation.confusion_cc)
    unclear = 0
    for i in range(len(source)):
        image, label = source[i]["image"], source[i]["label"]
        expected_hw = scores[i].argmax(-1).astype(np.uint8)
        clear_hw = clear_choices(scores[i])
        unclear += (~clear_hw).sum()
        result = segmenter(image)
        assert result.levels["part"].shape == label.shape
        assert (result.levels["part"] != 255).all()
        np.testing.assert_allclose(result.confidence, scores[i].max(-1), atol=1e-4)

        # At the picture's size, where the logarithms of scores come bilinearly.
        placement = place(label.shape, SIZE, "letterbox")
        logs_chw = np.log(np.maximum(scores[i], 1e-30)).transpose(2, 0, 1)
        there_hwc = np.exp(np.stack([placement.restore_scores(x) for x in logs_chw], -1))
        there_hwc /= there_hwc.sum(-1, keepdims=True)
        best_hwc = np.sort(there_hwc, -1)
        shown = best_hwc[..., -1] - best_hwc[..., -2] > 1e-3
        assert shown.mean() > 0.8
        for level in segmenter.hierarchy.levels:
            of_level = level.leaf_to_class[there_hwc.argmax(-1)]
            np.testing.assert_array_equal(result.levels[level.name][shown], of_level[shown])
        if contract == "reference":
            found_hwc = result.probabilities.transpose(1, 2, 0)
            np.testing.assert_allclose(found_hwc, scores[i], atol=1e-4)
        small_hw = placement.fit_labels(label)
        counted = small_hw != 255
        np.add.at(confusion, (small_hw[counted], expected_hw[counted]), 1)
    assert len(np.unique(scores.argmax(-1))) > 3
    assert unclear < 0.1 * scores[..., 0].size  # no more can be left out of a comparison
    # And evaluation counts the same, without the bars.
    assert np.abs(confusion - evaluation.confusion_cc).sum() <= 2 * unclear


def test_integers_are_calibrated_and_measured_by_the_same_rule(
    checkpoint, source, scores, tmp_path
):
    export = export_checkpoint(
        checkpoint,
        str(tmp_path / "a.onnx"),
        precision="int8",
        contract="deploy",
        brighten=False,
    )
    evaluation, _ = evaluate_checkpoint(checkpoint, task="val", batch_size=8)
    unclear = sum((~clear_choices(of_picture)).sum() for of_picture in scores)
    for level in export.metadata.hierarchy.levels:
        least, most = miou_range(evaluation.confusion_cc, level, unclear)
        assert least - 1e-9 <= export.miou[level.name][0] <= most + 1e-9
    # Of integers whose ranges come from other pictures nothing but a class in seven would agree.
    segmenter, agreeing = Segmenter(export.file), []
    for i in range(len(source)):
        labels_hw = segmenter(source[i]["image"]).levels["part"]
        placement = place(labels_hw.shape, SIZE, "letterbox")
        expected_hw = placement.restore_labels(scores[i].argmax(-1).astype(np.uint8))
        agreeing.append((labels_hw == expected_hw).mean())
    assert np.mean(agreeing) > 0.7

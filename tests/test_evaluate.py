"""The evaluation code gives the golden numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.evaluation.evaluate import evaluate_batches
from hierseg_jax.evaluation.evaluation_files import FILES, GENERATOR, write_evaluation
from hierseg_jax.evaluation.metrics import count_pictures
from hierseg_jax.evaluation.tables import format_levels, to_json
from hierseg_jax.losses import crossentropy
from hierseg_jax.models import create_model
from hierseg_jax.pytorch.weights import variables_from_state_dict
from hierseg_jax.reports.templates import render
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, PASCAL_PERSON_PART
from tests.reference_weights import load_golden, reference_state_dict

PARALLEL = all_devices()


class LogitsAsImages:
    """Stands in for a network: its images are the golden logits."""

    num_classes = 7
    axis_name = None
    matmul_precision = "default"
    dtype = jnp.float32
    conv_impl = "xla"

    def clone(self, **fields):
        return self

    def apply(self, variables, image_bhwc):
        return image_bhwc


def padded(batch, size):
    """Filled up with what must not count."""
    count = len(batch["label"])
    filled = {
        key: np.concatenate([value, value[:1].repeat(size - count, 0)])
        for key, value in batch.items()
    }
    return filled | {"valid": np.arange(size) < count}


@pytest.fixture(scope="module")
def evaluation():
    golden, _ = load_golden("metrics")
    batches = [
        padded(
            {
                "image": golden[f"logits_nchw_{i}"].transpose(0, 2, 3, 1),
                "label": golden[f"labels_{i}"].astype(np.uint8),
            },
            4,
        )
        for i in range(3)
    ]
    eval_step = PARALLEL.compile_eval_step(
        make_eval_step(LogitsAsImages(), crossentropy, PASCAL_PERSON_PART)
    )
    done = evaluate_batches(eval_step, {}, batches, PASCAL_PERSON_PART, 4, PARALLEL)
    return golden, batches, done


def test_only_counted_pixels_are_inconsistent():
    """Not those that are ignored, nor those of padding."""
    rng, tree = np.random.default_rng(0), PASCAL_PERSON_PART
    logits = rng.normal(size=(3, 8, 9, tree.num_classes)).astype(np.float32)
    label = rng.choice([0, 1, 5, IGNORE_LABEL], (3, 8, 9)).astype(np.uint8)
    valid = np.array([True, True, False])
    step = jax.jit(make_eval_step(LogitsAsImages(), crossentropy, tree))
    found = step({}, {"image": logits, "label": label, "valid": valid})["inconsistent"]
    p = np.exp(logits)
    best = [
        np.stack([p[..., level.leaf_to_class == c].sum(-1) for c in range(level.num_classes)], -1)
        for level in tree.levels
    ]
    best = [scores.argmax(-1) for scores in best]
    apart = np.zeros(label.shape, bool)
    for k in range(1, tree.num_levels):
        apart |= np.asarray(tree.parents(k))[best[k]] != best[k - 1]
    assert apart[label == IGNORE_LABEL].any()
    assert apart[2].any()
    counted = (label != IGNORE_LABEL) & valid[:, None, None]
    np.testing.assert_array_equal(found, (apart & counted).sum((1, 2)))


def test_golden_metric_batches_give_the_golden_numbers(evaluation):
    golden, _, done = evaluation
    assert done.num_images == 10
    np.testing.assert_allclose(
        [level.reference_miou for level in done.levels.values()],
        golden["reference_miou_body_side_part"],
        rtol=0,
        atol=1e-6,
    )
    confusion = golden["confusion_true_by_pred"]
    hit = np.diagonal(confusion)
    iou = hit / (confusion.sum(0) + confusion.sum(1) - hit)
    np.testing.assert_allclose(done.levels["part"].iou, iou)
    np.testing.assert_allclose(done.levels["part"].miou, iou[1:].mean())


def test_the_loss_is_the_mean_over_batches_a_partial_one_counted_whole(evaluation):
    _, batches, done = evaluation
    losses = [crossentropy(b["image"][b["valid"]], b["label"][b["valid"]]) for b in batches]
    np.testing.assert_allclose(done.loss, np.mean(losses), rtol=1e-6)


def test_the_table_and_the_json_hold_every_level_and_class(evaluation):
    _, _, done = evaluation
    table = format_levels(done.levels, ("miou", "f1"))
    content = to_json(done, {"task": "val"})
    for level in PASCAL_PERSON_PART.levels:
        assert f"\n{level.name} " in table
        assert tuple(content["levels"][level.name]["iou"]) == level.class_names
    assert content["levels"]["part"]["miou"] == done.levels["part"].miou


@pytest.mark.parametrize("name", ["effunet", "esnet"])
def test_golden_weights_predict_the_golden_classes(name):
    golden, meta = load_golden(f"{name}_forward_n7")
    model = create_model(name, 7)
    variables = variables_from_state_dict(model, reference_state_dict(meta))
    image = np.random.RandomState(0).rand(2, 3, 64, 96).astype(np.float32)
    label = np.random.RandomState(5).randint(0, 7, (2, 64, 96)).astype(np.uint8)
    batch = {"image": image.transpose(0, 2, 3, 1), "label": label, "valid": np.ones(2, bool)}
    eval_step = PARALLEL.compile_eval_step(make_eval_step(model, crossentropy, PASCAL_PERSON_PART))
    found = eval_step(variables, PARALLEL.put_batch(batch))
    done = evaluate_batches(eval_step, variables, [batch], PASCAL_PERSON_PART, 2, PARALLEL)
    expected = golden["probabilities"].argmax(1)
    np.testing.assert_array_equal(found["prediction"], expected)
    accuracy = (expected == label).mean()
    np.testing.assert_allclose(done.levels["part"].pixel_accuracy, accuracy)


def test_files_of_somebody_else_are_left_alone(evaluation, tmp_path):
    content = to_json(evaluation[2], {})
    page = render(
        "reports/frame.html", title="Report", skip="Skip", head="", sections=[], generator=GENERATOR
    )
    counts = count_pictures(np.ones((2, 7, 7), int), PASCAL_PERSON_PART, ["a.jpg", "b.jpg"])
    measured = dataclasses.replace(evaluation[2], counts=counts, scores_n=np.ones(2))
    write_evaluation(tmp_path, content, measured, page)
    write_evaluation(tmp_path, content, measured, page)
    ours = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert {*ours} == {*FILES}
    theirs = {
        "metrics.json": (b'{"accuracy": 1}', b"no JSON"),
        "report.html": (b"<!DOCTYPE html>", b""),
        "pictures.csv": (b"picture,taken\n", b""),
        "counts.npz": (b"PK", b""),
    }
    for name, contents in theirs.items():
        for foreign in contents:
            for other in ours:
                (tmp_path / other).unlink()
            (tmp_path / name).write_bytes(foreign)
            with pytest.raises(ValueError, match=f"{name} is there and was not written by an eval"):
                write_evaluation(tmp_path, content, measured, page)
            assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: foreign}
            for other, own in ours.items():
                (tmp_path / other).write_bytes(own)

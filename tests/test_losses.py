"""Losses: equal to the reference, and well behaved where the reference is not asked."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.losses import LOSSES, crossentropy, dice, focal, get_loss, iou, tversky
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices
from tests.reference_weights import load_golden

B, H, W, C = 3, 6, 5, 4


@pytest.fixture(scope="module")
def batch():
    rng = np.random.RandomState(0)
    logits = (rng.randn(B, H, W, C) * 3).astype(np.float32)
    labels = rng.randint(0, C, (B, H, W)).astype(np.uint8)
    return logits, labels


@pytest.mark.parametrize(
    ("name", "key"),
    [("dice", "dice"), ("iou", "iou"), ("crossentropy", "crossentropy_on_logits")],
)
def test_losses_equal_the_reference(name, key):
    golden, _ = load_golden("losses")
    logits = golden["logits_nchw"].transpose(0, 2, 3, 1)
    value = jax.jit(get_loss(name))(logits, golden["labels"])
    np.testing.assert_allclose(value, golden[key], rtol=0, atol=1e-6)


def softmax(logits):
    e = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def direct_focal(logits, labels, weights, gamma):
    """Pixel by pixel."""
    p = softmax(logits)
    total = weight_sum = 0.0
    for index, label in np.ndenumerate(labels):
        if label != 255:
            total += weights[label] * (1 - p[index][label]) ** gamma * -np.log(p[index][label])
            weight_sum += weights[label]
    return total / weight_sum


def direct_tversky(logits, labels, weights, alpha, beta, smooth=1.0):
    """Class by class."""
    p = softmax(logits)[labels != 255]
    y = labels[labels != 255]
    losses = []
    for c in range(C):
        tp, fp, fn = p[y == c, c].sum(), p[y != c, c].sum(), (1 - p[y == c, c]).sum()
        score = (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)
        losses.append(1 - score if (y == c).any() else 0.0)
    return np.average(losses, weights=weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_equal_their_definitions(batch, weighted):
    logits, labels = batch[0], np.where(batch[1] == 2, 0, batch[1])  # class 2 is absent
    labels[0, :2] = 255
    weights = np.array([0.5, 2.0, 3.0, 0.1], np.float32) if weighted else np.ones(C, np.float32)
    given = {"class_weights_c": jnp.asarray(weights)} if weighted else {}
    cases = [
        (crossentropy(logits, labels, **given), direct_focal(logits, labels, weights, 0)),
        (focal(logits, labels, **given), direct_focal(logits, labels, weights, 2)),
        (focal(logits, labels, gamma=0.5, **given), direct_focal(logits, labels, weights, 0.5)),
        (dice(logits, labels, **given), direct_tversky(logits, labels, weights, 0.5, 0.5)),
        (iou(logits, labels, **given), direct_tversky(logits, labels, weights, 1, 1)),
        (tversky(logits, labels, **given), direct_tversky(logits, labels, weights, 0.3, 0.7)),
    ]
    for actual, expected in cases:
        np.testing.assert_allclose(actual, expected, rtol=2e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_and_padding_contribute_nothing(batch, name):
    logits, labels = (x.copy() for x in batch)
    loss = jax.jit(jax.value_and_grad(get_loss(name)))
    labels[0, 1:3] = 255
    valid = np.array([True, True, False])
    value, grad = loss(logits, labels, valid_b=valid)
    alone, grad_alone = loss(logits[:2], labels[:2])
    np.testing.assert_allclose(value, alone, rtol=1e-6)
    np.testing.assert_allclose(grad[:2], grad_alone, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_else_counts(batch, name):
    loss = get_loss(name)
    graded = jax.jit(jax.value_and_grad(lambda x, y, valid: loss(x, y, valid_b=valid)))
    assert_nothing_else_counts(graded, *batch, outside=C)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_spread_over_devices_has_the_loss_and_gradient_of_the_whole(batch, name, weighted):
    logits, labels = (np.concatenate([x, x[:1]]) for x in batch)
    labels[0] = 255  # devices count different numbers of pixels
    given = {"class_weights_c": jnp.arange(1.0, C + 1)} if weighted else {}
    assert_same_over_devices(functools.partial(get_loss(name), **given), logits, labels)


@pytest.mark.parametrize("name", LOSSES)
def test_labels_that_are_no_bytes_contribute_nothing(batch, name):
    """-100 is what PyTorch ignores; as a byte it would be another class, as 256 and 258 would."""
    logits, labels = batch[0], batch[1].astype(np.int32)
    labels[0, 1:3] = 255
    ignored = get_loss(name)(logits, labels)
    for other in (-1, -100, 256, 258):
        labels[0, 1:3] = other
        assert get_loss(name)(logits, labels) == ignored


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_no_pictures_costs_nothing(name):
    logits, labels = np.zeros((0, H, W, C), np.float32), np.zeros((0, H, W), np.uint8)
    assert get_loss(name)(logits, labels) == 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_stay_finite(batch, name, dtype):
    logits, labels = jnp.asarray(batch[0], dtype), batch[1]
    signs = jnp.asarray(np.sign(batch[0]), dtype)
    right = jnp.asarray(np.where(np.eye(C, dtype=bool)[labels], 1e4, -1e4), dtype)
    loss = jax.jit(jax.value_and_grad(get_loss(name)))
    cases = {
        "all ignored": (logits, np.full_like(labels, 255)),
        "one class only": (logits, np.full_like(labels, 2)),
        "logits of +-1e4": (signs * 1e4, labels),
        "right by 2e4": (right, labels),
        "wrong by 2e4": (-right, labels),
        "plain": (logits, labels),
    }
    for case, (x, y) in cases.items():
        value, grad = loss(x, y)
        assert value.dtype == jnp.float32, case
        assert grad.dtype == dtype, case
        assert np.isfinite(value), case
        assert np.isfinite(np.asarray(grad, np.float32)).all(), case
        if case == "all ignored":
            assert value == 0
            assert not np.any(grad)
        if case == "right by 2e4":
            np.testing.assert_allclose(value, 0, atol=1e-6)
        if case == "wrong by 2e4":
            assert value > 0.5


@pytest.mark.parametrize("name", LOSSES)
def test_there_is_a_class_weight_for_each_class(batch, name):
    for weights in ([2.0], [1.0] * (C + 1), 2.0, [[1.0] * C]):
        with pytest.raises(ValueError, match=f"a weight for each of {C} classes; got the shape"):
            get_loss(name)(*batch, class_weights_c=weights)


@pytest.mark.parametrize("name", LOSSES)
def test_labels_of_any_integers_are_the_same(batch, name):
    logits, labels = batch
    labels = jnp.where(labels == 255, 3, labels)
    expected = get_loss(name)(logits, labels.astype(jnp.uint8))
    for dtype in (jnp.int8, jnp.int16, jnp.int32, jnp.uint32):
        assert get_loss(name)(logits, labels.astype(dtype)) == expected
    ignored = labels.astype(jnp.int8).at[0].set(-1)
    assert get_loss(name)(logits, ignored) == get_loss(name)(logits, labels.at[0].set(255))


def test_zero_class_weights_stay_finite(batch):
    for name in LOSSES:
        value = get_loss(name)(*batch, class_weights_c=[0] * C)
        assert value == 0


def test_focal_stays_finite_for_small_gamma(batch):
    right = np.where(np.eye(C, dtype=bool)[batch[1]], 1e4, -1e4).astype(np.float32)
    grad = jax.jit(jax.grad(lambda x: focal(x, batch[1], gamma=0.3)))(right)
    assert np.isfinite(grad).all()


def test_wrong_arguments_are_refused(batch):
    logits, labels = batch
    with pytest.raises(ValueError, match=r"choose one of crossentropy, dice, focal, iou, tversky"):
        get_loss("dyce")
    with pytest.raises(ValueError, match=r"got \(3, 6, 5, 4\) and \(3, 5, 6\)"):
        dice(logits, labels.transpose(0, 2, 1))
    with pytest.raises(ValueError, match="gamma 0 or more"):
        focal(logits, labels, gamma=-1.0)

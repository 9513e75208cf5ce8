"""The divergence of a student's scores from a teacher's, against a slow reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.losses.distillation import distillation, in_cells
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART as TREE

RNG = np.random.default_rng(0)
SHAPE = 2, 3, 4
TAUGHT = RNG.random(SHAPE) < 0.7


def logits(channels, seed):
    return np.random.default_rng(seed).normal(0, 2, (*SHAPE, channels)).astype(np.float32)


def softmax(x):
    shares = np.exp(np.asarray(x, np.float64))
    return shares / shares.sum()


def kl(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))


def summed(p, level):
    return [p[level.leaf_to_class == v].sum() for v in range(level.num_classes)]


def slowly(student, teacher, temperature, per_pixel):
    """T² times the mean over the taught pixels of a divergence of two vectors of logits."""
    values = [
        per_pixel(teacher[at] / temperature, student[at] / temperature)
        for at in np.argwhere(TAUGHT).tolist()
        for at in [tuple(at)]
    ]
    return temperature**2 * np.mean(values)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_it_is_the_mean_divergence_of_softened_probabilities(temperature):
    student, teacher = logits(7, 1), logits(7, 2)
    given = {"temperature": temperature}
    found = distillation(student, teacher, TAUGHT, **given)
    expected = slowly(student, teacher, temperature, lambda t, s: kl(softmax(t), softmax(s)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    weights = (0.5, 0.0, 2.0)
    found = distillation(student, teacher, TAUGHT, hierarchy=TREE, level_weights=weights, **given)

    def at_levels(t, s):
        return sum(
            weight * kl(summed(softmax(t), level), summed(softmax(s), level))
            for weight, level in zip(weights, TREE.levels, strict=True)
        )

    expected = slowly(student, teacher, temperature, at_levels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    found = distillation(student, teacher, TAUGHT, hierarchical=True, **given)

    def of_nodes(t, s):
        p, q = (1 / (1 + np.exp(-np.asarray(x, np.float64))) for x in (t, s))
        return kl(p, q) + kl(1 - p, 1 - q)

    expected = slowly(student, teacher, temperature, of_nodes)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_nothing_comes_of_pixels_that_are_not_taught_nor_goes_to_the_teacher(hierarchical):
    student, teacher = (np.where(TAUGHT[..., None], logits(5, n), np.nan) for n in (1, 2))

    def loss(student, teacher, taught=TAUGHT):
        return distillation(student, teacher, taught, hierarchical=hierarchical, temperature=2.0)

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))
    of_student, of_teacher = gradients(student, teacher)
    assert np.isfinite(of_student).all()
    assert (of_student[~TAUGHT] == 0).all()
    assert (of_student[TAUGHT] != 0).all()
    assert (of_teacher == 0).all()
    nothing = np.zeros(SHAPE, bool)
    assert loss(student, teacher, nothing) == 0
    assert (gradients(student, teacher, nothing)[0] == 0).all()


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_student_that_says_the_same_has_nothing_to_learn(hierarchical):
    same = logits(5, 1)
    shifted = same if hierarchical else same + 3  # which softmax does not see
    value, gradient = jax.value_and_grad(distillation)(
        same, shifted, TAUGHT, hierarchical=hierarchical
    )
    assert abs(value) < 1e-6
    assert np.abs(gradient).max() < 1e-7


def test_far_scores_stay_finite():
    for hierarchical in (False, True):
        student, teacher = jnp.full((1, 1, 1, 2), 500.0), jnp.array([[[[-500.0, 500.0]]]])
        taught = np.ones((1, 1, 1), bool)
        value, gradient = jax.value_and_grad(distillation)(
            student, teacher, taught, hierarchical=hierarchical
        )
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_cells_are_means_of_their_pixels():
    x = RNG.normal(size=(2, 4, 6, 3)).astype(np.float32)
    found = in_cells(jnp.asarray(x), 2)
    assert found.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(found[1, 1, 2], x[1, 2:4, 4:6].mean((0, 1)), rtol=1e-5)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got \(2, 3, 4, 7\), \(2, 3, 4, 5\) and \(2, 3, 4\)"):
        distillation(logits(7, 1), logits(5, 1), TAUGHT)

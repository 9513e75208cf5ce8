"""ESNet's smaller variants: how large they are, beside the network of the paper."""

from hierseg_jax.models import create_model, summarize


def totals(name):
    rows = summarize(create_model(name, 7), (192, 192))
    return sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)


def test_the_small_one_has_a_quarter_of_the_weights_and_a_quarter_of_the_work():
    parameters, multiply_adds = totals("esnet")
    small_parameters, small_multiply_adds = totals("esnet_small")
    assert small_parameters == 422_810 < 0.26 * parameters
    assert small_multiply_adds < 0.27 * multiply_adds

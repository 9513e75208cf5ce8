"""PyTorch state_dicts to Flax variables and back."""

import jax
import numpy as np
import pytest

from hierseg_jax.models import create_model, init_variables
from hierseg_jax.pytorch.weights import state_dict_from_variables, variables_from_state_dict
from tests.reference_weights import load_golden, reference_state_dict

MODELS = [("esnet", None), ("effunet", None), ("effunet", "b3")]


@pytest.mark.parametrize(("name", "backbone"), MODELS)
def test_variables_round_trip_bit_exactly(name, backbone):
    model = create_model(name, 5, backbone=backbone)
    variables = init_variables(model, jax.random.key(3))
    rng = np.random.RandomState(0)
    variables["batch_stats"] = jax.tree.map(
        lambda x: rng.randn(*x.shape).astype(np.float32), variables["batch_stats"]
    )
    back = variables_from_state_dict(model, state_dict_from_variables(model, variables))
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, back, variables)


@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_reference_state_dicts_round_trip_with_names_order_and_dtypes(name):
    _, meta = load_golden(f"{name}_forward_n7")
    state_dict = reference_state_dict(meta)
    model = create_model(name, 7)
    back = state_dict_from_variables(model, variables_from_state_dict(model, state_dict))
    assert list(back) == list(state_dict)
    for key, value in state_dict.items():
        assert back[key].dtype == value.dtype, key
        np.testing.assert_array_equal(back[key], value, err_msg=key)


@pytest.fixture(scope="module")
def esnet():
    model = create_model("esnet", 7)
    return model, state_dict_from_variables(model, init_variables(model, jax.random.key(0)))


def test_counters_are_optional(esnet):
    model, state_dict = esnet
    without = {k: v for k, v in state_dict.items() if "num_batches" not in k}
    assert len(state_dict) == 279
    assert len(without) == 279 - 29
    variables_from_state_dict(model, without)


def test_half_precision_weights_are_widened(esnet):
    model, state_dict = esnet
    half = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in state_dict.items()}
    variables = variables_from_state_dict(model, half)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))


def test_every_fault_is_listed_in_one_error(esnet):
    model, state_dict = esnet
    broken = dict(state_dict)
    del broken["encoder.layers.7.bn2.weight"]
    broken["decoder.output_conv.weight"] = np.zeros((16, 5, 2, 2), np.float32)
    broken["encoder.initial_block.conv.bias"] = np.zeros(13, np.int64)
    broken["head.conv.bias"] = np.zeros(7, np.float32)
    with pytest.raises(ValueError, match="do not fit ESNet with 7 classes") as error:
        variables_from_state_dict(model, broken)
    message = str(error.value)
    assert "4 faults" in message
    assert "missing: encoder.layers.7.bn2.weight (128,)" in message
    assert "shape: decoder.output_conv.weight is (16, 5, 2, 2), expected (16, 7, 2, 2)" in message
    assert "dtype: encoder.initial_block.conv.bias is int64" in message
    assert "unexpected: head.conv.bias" in message


def test_variables_of_another_network_are_refused(esnet):
    model, _ = esnet
    variables = init_variables(create_model("esnet", 5), jax.random.key(0))
    del variables["params"]["encoder"]["down1"]
    variables["params"]["more"] = {"bias": np.zeros(3)}
    with pytest.raises(ValueError, match="The variables do not fit") as error:
        state_dict_from_variables(model, variables)
    message = str(error.value)
    assert "missing: params/encoder/down1/conv/kernel" in message
    assert "unexpected: params/more/bias" in message
    assert "shape: params/decoder/output_conv/kernel is (2, 2, 5, 16)" in message

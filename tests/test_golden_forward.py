"""Both networks give the reference's probabilities (golden files)."""

import functools

import jax
import numpy as np
import pytest

from hierseg_jax.models import create_model
from hierseg_jax.pytorch.weights import variables_from_state_dict
from tests.conftest import FULL
from tests.reference_weights import load_golden, reference_state_dict

# File -> the seed and size its `meta` gives for the input.
INPUTS = {7: (0, (64, 96)), 4: (1, (96, 64))}


@pytest.mark.parametrize("num_classes", [7, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["effunet", "esnet"])
@pytest.mark.parametrize("conv_impl", ["xla", "tuned"])
def test_forward_equals_the_reference(name, num_classes, conv_impl):
    golden, meta = load_golden(f"{name}_forward_n{num_classes}")
    model = create_model(name, num_classes, conv_impl=conv_impl)
    variables = variables_from_state_dict(model, reference_state_dict(meta))
    seed, (height, width) = INPUTS[num_classes]
    image_nchw = np.random.RandomState(seed).rand(2, 3, height, width).astype(np.float32)
    image_bhwc = image_nchw.transpose(0, 2, 3, 1)

    @functools.partial(jax.jit, compiler_options=FULL)
    def outputs(variables, image_bhwc):
        encoder = model.apply(variables, image_bhwc, encoder_only=True) if name == "esnet" else None
        return jax.nn.softmax(model.apply(variables, image_bhwc)), encoder

    probabilities, encoder = outputs(variables, image_bhwc)

    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(
        np.moveaxis(np.asarray(probabilities), -1, 1), golden["probabilities"], rtol=0, atol=2e-6
    )
    if name == "esnet":
        np.testing.assert_allclose(
            np.moveaxis(np.asarray(encoder), -1, 1), golden["encoder_logits"], rtol=0, atol=2e-6
        )

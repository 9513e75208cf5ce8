"""EfficientUNet's fine decoder: a skip connection at half size, interpolation between steps."""

import cv2
import jax
import numpy as np
import pytest

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.checkpoint import checkpoint_meta, load_checkpoint, save_checkpoint
from hierseg_jax.checkpoint.stored_network import check_own_arrays
from hierseg_jax.models import Variant, create_model, init_variables
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.upsampling import double_bilinear, upsample
from hierseg_jax.pytorch.convert import convert_to_torch
from hierseg_jax.pytorch.weights import flat_shapes
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.fitting import settled
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.conftest import GOLDEN
from tests.runs import small_settings
from tests.test_pretrained import uneven


def fine(**options):
    return create_model("effunet", 7, backbone="lite0", decoder="fine", **options)


def test_doubling_is_bilinear_interpolation():
    x_bhwc = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    expected = upsample(x_bhwc, 2, "bilinear")
    np.testing.assert_allclose(double_bilinear(x_bhwc), expected, atol=1e-6, rtol=0)


def test_it_adds_one_block_at_half_size_and_changes_no_other_weight():
    plain = flat_shapes(create_model("effunet", 7, backbone="lite0"))
    shapes = flat_shapes(fine())
    added = {path: shape for path, shape in shapes.items() if path not in plain}
    assert {path[1] for path in added} == {"decoder_block4"}
    assert added["params", "decoder_block4", "conv", "kernel"] == (3, 3, 24 + 16, 16)
    differing = {path for path, shape in plain.items() if shapes[path] != shape}
    assert differing == {("params", "head", "kernel")}


def test_its_logits_are_two_pixels_apart():
    image = np.zeros((1, 64, 32, 3), np.float32)
    variables = variable_shapes(fine())
    for upsampling, sides in (("bicubic", (64, 32)), ("bilinear", (32, 16)), ("nearest", (32, 16))):
        model = fine(upsampling=upsampling)
        assert jax.eval_shape(model.apply, variables, image).shape == (1, 64, 32, 7)
        own = jax.eval_shape(model.clone(full_size=False).apply, variables, image)
        assert own.shape == (1, *sides, 7)


@pytest.mark.slow  # its export is verified below
def test_its_graph_equals_the_network():
    model = fine(conv_impl="xla", upsampling="bilinear")
    variables = uneven(init_variables(model, jax.random.key(1)))
    graph = build_graph("deploy", model, variables, PASCAL_PERSON_PART)
    exported = convert(graph, (64, 32), dynamic_size=True).SerializeToString()
    photo = cv2.cvtColor(cv2.imread(str(GOLDEN / "coffee.jpg")), cv2.COLOR_BGR2RGB)
    tree, shapes = PASCAL_PERSON_PART, [(1, 32, 96)]
    assert largest_difference(exported, graph, model, variables, tree, [photo], shapes) <= 1e-4


def test_a_config_chooses_it_where_a_network_has_it():
    settings = settled(small_settings(model__name="effunet", model__decoder="fine"), Variant())
    assert build_model(settings.model, PASCAL_PERSON_PART).output_stride == 2
    with pytest.raises(ValueError, match="esnet_mini has no fine_decoder"):
        create_model("esnet_mini", 7, decoder="fine")
    with pytest.raises(ValueError, match="There is no decoder 'finest'; choose one of reference"):
        create_model("effunet", 7, decoder="finest")
    with pytest.raises(
        ValueError, match=r"model\.decoder is 'finest'; it must be reference or fine"
    ):
        small_settings(model__decoder="finest")


def test_its_checkpoint_is_read_exported_and_no_other_s(tmp_path):
    """What a checkpoint must hold is asked of the network of its settings, decoder and all."""
    settings = settled(
        small_settings(model__name="effunet", model__backbone="lite0", model__decoder="fine"),
        Variant(),
    )
    network = build_model(settings.model, PASCAL_PERSON_PART)
    variables = jax.device_get(uneven(init_variables(network, jax.random.key(0))))
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, variables, checkpoint_meta(settings, PASCAL_PERSON_PART))
    check_own_arrays(load_checkpoint(folder))
    written = export_checkpoint(folder, tmp_path / "fine.onnx", contract="deploy")
    assert written.difference <= 1e-4
    with pytest.raises(ValueError, match="the decoder fine, which the reference's classes do not"):
        convert_to_torch(folder, tmp_path / "fine.safetensors")
    plain = settings.replace({"model.decoder": "reference"})
    save_checkpoint(str(tmp_path / "other"), variables, checkpoint_meta(plain, PASCAL_PERSON_PART))
    with pytest.raises(ValueError, match=r"decoder_block4/\S+ is .*, expected none"):
        check_own_arrays(load_checkpoint(tmp_path / "other"))

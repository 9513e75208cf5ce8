"""EfficientUNet on the first stages of Lite0, for small devices."""

import jax
import numpy as np
import safetensors.numpy

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.models import NETWORKS, Variant, create_model, init_variables, summarize
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.pytorch.weights import flat_shapes
from hierseg_jax.train.initial import initial_weights
from hierseg_jax.train.parameter_groups import rate_factors
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.reference_weights import load_golden, reference_state_dict
from tests.runs import small_settings
from tests.test_pretrained import uneven

LITE = Variant("same", 1e-3, "lite")


def short(**options):
    return create_model("effunet", 7, backbone="lite0_short", variant=LITE, **options)


def test_its_backbone_is_the_beginning_of_lite0():
    rows = summarize(short(), (192, 192))
    assert sum(row.parameters for row in rows) < 500_000
    whole = flat_shapes(create_model("effunet", 7, backbone="lite0"))
    own = {path: shape for path, shape in flat_shapes(short()).items() if path[1] == "efficientnet"}
    assert own.items() <= whole.items()
    last = max(path[2] for path in own if path[2].startswith("stage"))
    assert last == "stage5_block1"


def test_it_starts_from_lite0s_weights(tmp_path):
    _, meta = load_golden("backbone_timm_lite0")
    arrays = reference_state_dict(meta)
    file = tmp_path / "tf_efficientnet_lite0-0aa007d2.safetensors"
    file.write_bytes(safetensors.numpy.save(arrays))
    settings = small_settings(
        model__name="effunet", model__backbone="lite0_short", model__pretrained=str(file)
    )
    model = short()
    weights = initial_weights(settings, model, PASCAL_PERSON_PART)
    assert weights.variant == Variant("same", 1e-3, "half")
    assert weights.variables.keys() == {p for p in flat_shapes(model) if p[1] == "efficientnet"}
    stem = arrays["conv_stem.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(
        weights.variables["params", "efficientnet", "stem_conv", "kernel"], stem
    )
    blocks = ["stage5_block2", "stage5_block3", *(f"stage6_block{i}" for i in range(1, 5))]
    left_out = [f"efficientnet/{block}" for block in (*blocks, "stage7_block1")]
    assert weights.report.splitlines()[-1] == (
        f"  112 tensors left out: bn2, classifier, conv_head, {', '.join(left_out)}"
    )


def test_its_graph_equals_the_network():
    for decoder in ("reference", "fine"):
        model = short(conv_impl="xla", upsampling="bicubic", decoder=decoder)
        variables = uneven(init_variables(model, jax.random.key(1)))
        graph = build_graph("deploy", model, variables, PASCAL_PERSON_PART)
        exported = convert(graph, (64, 32), dynamic_size=True).SerializeToString()
        photo = np.random.default_rng(3).integers(0, 256, (50, 41, 3), np.uint8)
        tree, shapes = PASCAL_PERSON_PART, [(1, 32, 96)]
        assert largest_difference(exported, graph, model, variables, tree, [photo], shapes) <= 1e-4


def test_its_last_stage_learns_at_the_backbones_rate():
    params = variable_shapes(short())["params"]
    factors = rate_factors(params, NETWORKS["effunet"].backbone, 1.0, 0.5)
    backbone = factors["efficientnet"]
    assert backbone["stage5_block1"]["expand_conv"]["kernel"] == 1
    assert backbone["stem_conv"]["kernel"] == 0.5**5

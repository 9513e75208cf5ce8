"""launch/export.py --half and --int8: smaller files, and what they cost."""

import re

import jax
import numpy as np
import onnx
import pytest

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.precision import with_half_weights
from hierseg_jax.bridge.quality import graph_miou
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.confusions import confusion_matrices
from hierseg_jax.evaluation.metrics import evaluate_levels
from hierseg_jax.models import create_model, init_variables
from hierseg_jax.models.graph import fold, ops
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.balanced import balanced_checkpoint
from tests.commands import run_quickly
from tests.runs import train_here
from tests.test_export import export_command
from tests.test_folder import make_folder
from tests.test_pretrained import uneven

LEVELS = ["body", "upper_lower", "part"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    train_here(workdir, epochs=1)
    return workdir


@pytest.fixture(scope="module")
def balanced(workdir, tmp_path_factory):
    """The run's last checkpoint, with classes that all occur."""
    source = FiguresSource("val", 32, count=10, seed=0)
    images = [source[i]["image"] for i in range(len(source))]
    return balanced_checkpoint(workdir, images, tmp_path_factory.mktemp("balanced") / "checkpoint")


def write_other_tree(folder):
    """A data set of three classes, with one picture."""
    images = make_folder(folder)
    lines = [f"{split}: {images.name}" for split in ("train", "val", "test")]
    file = folder / "data.yaml"
    file.write_text("\n".join([*lines, "names: [a, b, c]", "hierarchy: {l: [1, 2]}"]))
    return file


@pytest.mark.parametrize("size", [2, 3])
def test_subpixel_convolution_equals_the_transposed_one(size):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 2, size, size)), rng.normal(size=2)
    image_chw = rng.normal(size=(3, 4, 5))

    # By definition: every input spreads its kernel over the output, stride 2.
    before = 1 if size == 3 else 0
    spread_chw = np.zeros((2, 2 * 4 + 2, 2 * 5 + 2))
    for row, column in np.ndindex(4, 5):
        patch = np.einsum("i,iohw->ohw", image_chw[:, row, column], weights[0])
        spread_chw[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size] += patch
    expected = spread_chw[:, before : before + 8, before : before + 10]
    expected += weights[1][:, None, None]

    wide, bias = fold.subpixel(weights)
    padded = np.pad(image_chw, [(0, 0), *((0, side - 1) for side in wide.shape[2:])])
    windows = np.lib.stride_tricks.sliding_window_view(padded, wide.shape[2:], (1, 2))
    blocks = np.einsum("ihwab,oiab->ohw", windows, wide) + bias[:, None, None]
    doubled = blocks.reshape(2, 2, 2, 4, 5).transpose(0, 3, 1, 4, 2).reshape(2, 8, 10)
    np.testing.assert_allclose(doubled, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("padding", "before", "side"), [("symmetric", 1, "start"), ("same", 0, "end")]
)
def test_a_stem_on_blocks_is_the_stem(padding, before, side):
    rng = np.random.default_rng(0)
    image, kernel = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 6, 10), (5, 3, 3, 3)))
    bias = rng.normal(size=5).astype(np.float32)
    expected = ops.conv(image, kernel, bias, stride=2, padding=padding)
    blocks = ops.space_to_depth(image), fold.of_blocks(kernel, before), bias
    np.testing.assert_allclose(ops.conv(*blocks, padding=side), expected, atol=1e-5)


def test_graph_of_subpixel_convolutions_equals_the_network(workdir):
    loaded = load_checkpoint(find_checkpoint(workdir))
    model = create_model("esnet_mini", 7, conv_impl="xla")
    graph = build_graph("reference", model, loaded.variables, PASCAL_PERSON_PART, integers=True)
    exported = convert(graph, (32, 40), dynamic_size=True)
    assert not [node for node in exported.graph.node if node.op_type == "ConvTranspose"]
    difference = largest_difference(
        exported.SerializeToString(),
        graph,
        model,
        loaded.variables,
        PASCAL_PERSON_PART,
        [FiguresSource("val", 32, count=1, seed=0)[0]["image"]],
        [(1, 32, 40), (1, 16, 24)],
    )
    assert difference <= 1e-4


def labels_of(file):
    """Of the finest level, over the run's validation pictures: uint8 [N, H, W]."""
    segmenter, source = Segmenter(file), FiguresSource("val", 32, count=10, seed=0)
    return np.stack([segmenter(source[i]["image"]).levels["part"] for i in range(len(source))])


def miou_of(file):
    """By level, over the run's validation pictures, which are of the network's size."""
    source = FiguresSource("val", 32, count=10, seed=0)
    labels = [source[i]["label"] for i in range(len(source))]
    confusions = confusion_matrices(labels_of(file), np.stack(labels), 7)
    levels = evaluate_levels(np.asarray(confusions), PASCAL_PERSON_PART, batch_size=1)
    return {name: level.miou for name, level in levels.items()}


@pytest.mark.parametrize(
    ("flag", "precision", "contract"),
    [
        pytest.param("half", "float16", "reference", marks=pytest.mark.slow),
        ("int8", "int8", "deploy"),
    ],
)
def test_smaller_files_run_and_tell_their_loss(balanced, tmp_path, flag, precision, contract):
    export_checkpoint(balanced, str(tmp_path / "float.onnx"), contract=contract)
    file = tmp_path / "small.onnx"
    flags = [f"--{flag}", f"--contract={contract}", "--dynamic"]
    result = run_quickly(*export_command(balanced, file, *flags)[1:])
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""

    metadata = Segmenter(file).metadata
    assert metadata.precision == precision
    verification = metadata.verification
    assert verification["pictures"] == 10
    before, after = verification["miou_float32"], verification[f"miou_{precision}"]
    assert list(before) == list(after) == LEVELS
    assert f"part {before['part']:.4f} -> {after['part']:.4f}" in result.stdout
    # What the files themselves score, by the runtime.
    assert before == pytest.approx(miou_of(tmp_path / "float.onnx"))
    assert after == pytest.approx(miou_of(file))

    # And label by label: rounded they are not the same, but from wrong ranges nothing would agree.
    maps = [labels_of(tmp_path / name) for name in ("float.onnx", "small.onnx")]
    assert (maps[0] == maps[1]).mean() > (0.98 if precision == "float16" else 0.7)
    assert len(np.unique(maps[0])) > 3

    share = file.stat().st_size / (tmp_path / "float.onnx").stat().st_size
    assert share < (0.6 if precision == "float16" else 0.5)
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    labels = Segmenter(file)(picture).levels
    assert {labels[level].shape for level in LEVELS} == {(50, 70)}


def test_integers_are_in_the_file(workdir, tmp_path):
    export = export_checkpoint(str(workdir), str(tmp_path / "a.onnx"), precision="int8")
    model = onnx.load(export.file)
    kernels = {
        tensor.name: tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4
    }
    assert set(kernels.values()) == {onnx.TensorProto.INT8}
    onnx.checker.check_model(model, full_check=True)


def test_weights_beyond_float16_are_refused(workdir):
    loaded = load_checkpoint(find_checkpoint(workdir))
    network = create_model("esnet_mini", 7)
    graph = build_graph("reference", network, loaded.variables, PASCAL_PERSON_PART)
    model = convert(graph, (32, 32))
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    kernel.CopyFrom(
        onnx.numpy_helper.from_array(np.full(tuple(kernel.dims), 1e5, np.float32), kernel.name)
    )
    with pytest.raises(ValueError, match=r"65504.*without --half"):
        with_half_weights(model)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--int8", "--data={other}"], "trained on the classes .* has another class tree"),
        (["--int8", "--half"], "two precisions; give one"),
        (["--data=data.yaml", "--nobrighten"], "--data is for --half, --int8, and what is bright"),
        (["--data=no/data.yaml"], "no/data.yaml: there is no such file"),
        (["--int8", "--data=no/data.yaml"], "no/data.yaml: there is no such file.*--data"),
    ],
)
def test_mistakes_of_precision_end_in_one_sentence(
    workdir, tmp_path, tmp_path_factory, flags, sentence
):
    other = write_other_tree(tmp_path_factory.mktemp("other"))
    flags = [flag.format(other=other) for flag in flags]
    result = run_quickly(*export_command(workdir, tmp_path / "a.onnx", *flags)[1:])
    assert result.returncode == 1
    assert re.search(sentence, result.stderr)
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_label_maps_alone_are_measured_by_the_finest_of_them():
    source = FiguresSource("val", 32, count=3, seed=0)
    model = create_model("esnet_mini", 7)
    variables = uneven(init_variables(model, jax.random.key(0)))
    measured = []
    for plain in (False, True):
        graph = build_graph("deploy", model, variables, PASCAL_PERSON_PART, plain=plain)
        exported = convert(graph, (32, 32)).SerializeToString()
        given = (exported, graph, source, PASCAL_PERSON_PART, (32, 32), Resize(), "leaf")
        measured.append(graph_miou(*given))
    assert measured[0] == pytest.approx(measured[1], abs=1e-3)
    assert measured[0]["part"] > 0

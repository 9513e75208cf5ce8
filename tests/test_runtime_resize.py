"""The rule by which pictures come to the network's size, undone by the runtime."""

import cv2
import numpy as np
import onnx
import pytest

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.bridge.quality import graph_miou, spread_inputs
from hierseg_jax.data.resize import GREY, RESIZES, Resize, place
from hierseg_jax.data.sizes import as_size
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.runtime.metadata import PREFIX, Metadata
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.test_runtime import deploy_file, metadata, reference_file

SIZE = (96, 128)
SHAPES = {"wide": (90, 200), "tall": (210, 80), "like the input": (48, 64)}
# Rows and columns that a crop of such pictures shows, by hand.
CROPPED = {
    "wide": np.s_[0:90, 40:160],
    "tall": np.s_[75:135, 0:80],
    "like the input": np.s_[0:48, 0:64],
}
FILES = {"reference": reference_file, "deploy": deploy_file}


def colour_kernel():
    """Logits of 7 classes: green is background, red class 1, blue class 2; grey is 1 too."""
    kernel = np.zeros((7, 3, 1, 1), np.float32)
    kernel[[0, 1, 2], [1, 0, 2]] = 40
    kernel[1] *= 1.01
    return kernel


def colour_file(file, contract, resize):
    kernel = colour_kernel()
    if contract == "deploy":
        return deploy_file(file, SIZE, resize=resize, kernel=kernel)
    return reference_file(file, SIZE, contract, resize=resize, kernel=kernel)


def scene(height, width):
    """Two parts in their colours on green: RGB, and the truth."""
    label = np.zeros((height, width), np.uint8)
    cv2.circle(label, (round(0.4 * width), round(0.45 * height)), min(height, width) // 3, 1, -1)
    label[round(0.55 * height) :, round(0.6 * width) : round(0.95 * width)] = 2
    colors = np.uint8([(0, 255, 0), (255, 0, 0), (0, 0, 255)])
    return colors[label], label


def open_file(file, contract, resize, stride=32):
    """As `colour_file`, of an input whose sides are open, which it notes down."""
    model = onnx.load(colour_file(file, contract, resize))
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        for axis in axes:
            if axis.dim_value in SIZE:
                axis.dim_param = f"side_{axis.dim_value}"
    told = {f"{PREFIX}stride": stride, f"{PREFIX}image_size": list(SIZE)}
    for entry in model.metadata_props:
        entry.value = str(told.get(entry.key, entry.value))
    onnx.save(model, file)
    return file


def iou(found, expected):
    return (found & expected).sum() / (found | expected).sum()


@pytest.mark.parametrize("contract", FILES)
@pytest.mark.parametrize(
    ("rule", "inputs"),
    [
        # By hand: 90 x 200 becomes 58 x 128, and 210 x 80 becomes 96 x 37.
        ("letterbox", {"wide": (64, 128), "tall": (96, 64), "like the input": SIZE}),
        ("stretch", dict.fromkeys(SHAPES, SIZE)),
        ("crop", dict.fromkeys(SHAPES, SIZE)),
    ],
)
def test_an_open_network_is_given_no_bars_that_it_can_do_without(tmp_path, contract, rule, inputs):
    fixed = Segmenter(colour_file(tmp_path / "fixed.onnx", contract, rule))
    segmenter = Segmenter(open_file(tmp_path / "open.onnx", contract, rule))
    assert (fixed.open, segmenter.open, segmenter.image_size) == (False, True, SIZE)
    for shape, size in inputs.items():
        image, _ = scene(*SHAPES[shape])
        placement, given = segmenter.prepare(image)
        assert placement.size == size
        assert set(size) <= set(given.shape)
        result = segmenter(image)
        assert result.confidence.shape == size
        # This network looks at single pixels, so that bars change nothing beside them.
        for name, expected_hw in fixed(image).levels.items():
            np.testing.assert_array_equal(result.levels[name], expected_hw)
    one = Segmenter(tmp_path / "open.onnx", image_size=(64, 64))
    assert one.prepare(scene(*SHAPES["wide"])[0])[0].size == (
        (32, 64) if rule == "letterbox" else (64, 64)
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", RESIZES)
@pytest.mark.parametrize("contract", FILES)
def test_what_is_found_lies_where_it_is_in_the_picture(tmp_path, contract, rule, shape):
    segmenter = Segmenter(colour_file(tmp_path / "a.onnx", contract, rule))
    assert (segmenter.resize.rule, segmenter.image_size) == (rule, SIZE)
    image, label = scene(*SHAPES[shape])
    seen = np.full(label.shape, rule != "crop")
    seen[CROPPED[shape]] = True
    result = segmenter(image)
    for level in PASCAL_PERSON_PART.levels:
        found = result.levels[level.name]
        np.testing.assert_array_equal(found == 255, ~seen)
        truth = level.leaf_to_class[label]
        for each in np.unique(truth[seen]):
            assert iou(found == each, (truth == each) & seen) > 0.95

    assert result.placement.picture == label.shape
    confidence = result.placement.restore_scores(result.confidence)
    assert confidence.shape == label.shape
    np.testing.assert_array_equal(confidence > 0, seen)
    if contract == "reference":
        head = result.placement.restore_scores(result.probabilities[1])
        assert iou(head > 0.5, (label == 1) & seen) > 0.95
    swapped = segmenter(np.ascontiguousarray(image[..., ::-1]), bgr=True)
    np.testing.assert_array_equal(swapped.levels["part"], result.levels["part"])


def test_a_size_is_one_side_or_two_whole_numbers():
    for size in (32, np.int64(32), (32, 32), [32, np.uint8(32)]):
        assert as_size(size) == (32, 32)
    for size in (32.0, "32", (1, 2, 3), None, ((1, 2),), (1, (2, 3))):
        with pytest.raises(HiersegError, match="A size is one side in pixels, or"):
            as_size(size)


def test_a_level_that_there_is_not_is_refused(tmp_path):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    for levels, sentence in (
        (["part", "parts"], "There is no level 'parts'; the network has"),
        ("part", r"Levels are a list of names, such as \['part'\]; got 'part'"),
    ):
        with pytest.raises(HiersegError, match=sentence):
            segmenter(np.zeros((8, 16, 3), np.uint8), levels=levels)


def test_pictures_of_one_pixel_or_line_are_segmented_under_every_rule(tmp_path):
    for rule in RESIZES:
        segmenter = Segmenter(colour_file(tmp_path / f"{rule}.onnx", "deploy", rule))
        for size in ((1, 1), (1, 300), (300, 1)):
            levels = segmenter(np.full((*size, 3), (255, 0, 0), np.uint8)).levels
            part = levels["part"]
            assert part.shape == size
            assert set(np.unique(part)) <= ({1, 255} if rule == "crop" else {1})
            assert (part == 1).any()


@pytest.mark.parametrize("rule", RESIZES)
def test_metadata_keep_the_rule(rule):
    given = metadata("deploy", rule)
    assert Metadata.from_props(given.to_props(), "a.onnx") == given


def test_files_of_another_rule_are_refused_with_those_that_are_known(tmp_path):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    model = onnx.load(file)
    props = metadata("reference").to_props() | {PREFIX + "resize": "tile"}
    onnx.helper.set_model_props(model, props)
    onnx.save(model, file)
    with pytest.raises(ValueError, match=r"'tile'; .* with stretch, letterbox, crop\. Update"):
        Segmenter(file)


def test_pixels_never_seen_stay_the_plain_photograph():
    level = PASCAL_PERSON_PART.levels[-1]
    photo = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    labels = np.zeros((400, 300), np.uint8)
    plain = Painter([level]).draw(photo, labels, level)[:400]
    labels[300:] = 255
    np.testing.assert_array_equal(Painter([level]).draw(photo, labels, level)[:400], plain)
    labels[280:290] = 6
    changed = (Painter([level]).draw(photo, labels, level)[:400] != plain).any((1, 2))
    assert changed[280:290].all()
    assert not changed[:280].any()
    assert not changed[290:].any()


def test_masks_that_are_written_have_255_where_a_crop_sees_nothing(tmp_path):
    image, label = scene(90, 200)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), image[..., ::-1])
    segmenter = Segmenter(colour_file(tmp_path / "a.onnx", "deploy", "crop"))
    out = tmp_path / "out"
    segment_source(segmenter, str(tmp_path / "photos"), str(out), level="body", masks=True)
    mask = cv2.imread(str(out / "masks" / "body" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert (mask[:, :40] == 255).all()
    assert (mask[:, 160:] == 255).all()
    assert iou(mask[:, 40:160] == 1, label[:, 40:160] > 0) > 0.95
    drawn = cv2.imread(str(out / "a.png"))
    np.testing.assert_array_equal(drawn[:90, 160:], image[:, 160:, ::-1])


class Scenes:
    """Pictures of two shapes with their truth."""

    examples = tuple(scene(*size) for size in ((60, 180), (150, 70)))

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        image, label = self.examples[index]
        return {"image": image, "label": label}


@pytest.mark.parametrize("contract", FILES)
def test_the_quality_of_a_graph_is_measured_by_its_rule_and_without_bars(tmp_path, contract):
    """The network takes the grey of bars for heads, which would cost it much if they counted."""
    deploy = contract == "deploy"
    graph = Graph(
        lambda x: (x,),
        "frame" if deploy else "image",
        np.uint8 if deploy else np.float32,
        deploy,
        (),
    )
    source = Scenes()
    for rule in RESIZES:
        model = colour_file(tmp_path / f"{rule}.onnx", contract, rule).read_bytes()
        miou = graph_miou(model, graph, source, PASCAL_PERSON_PART, SIZE, Resize(rule), "leaf")
        assert miou["body"] > 0.95
        given = list(spread_inputs(graph, source, SIZE, Resize(rule), 5))
        for example, array in zip(source.examples, given, strict=True):
            fitted = place(example[1].shape, SIZE, rule).fit_image(example[0])
            frame = array[0] if deploy else array[0].transpose(1, 2, 0) * 255
            np.testing.assert_allclose(frame, fitted, atol=1e-4)
            grey = (fitted == GREY).all(-1).mean()
            assert grey > 0.4 if rule == "letterbox" else grey == 0

"""The table of layers."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from hierseg_jax.models import create_model, format_summary, summarize
from tests.commands import run_quickly
from tests.conftest import ROOT


@pytest.mark.parametrize(("name", "parameters"), [("effunet", 4_100_091), ("esnet", 1_659_194)])
def test_rows_sum_to_the_same_totals_at_every_depth(name, parameters):
    model = create_model(name, 7)
    totals = set()
    for depth in (1, 2, 9):
        rows = summarize(model, (64, 96), depth)
        totals.add((sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows)))
    ((counted, _),) = totals
    assert counted == parameters


def test_multiply_adds_equal_counts_by_hand():
    rows = {r.name: r for r in summarize(create_model("esnet", 7), (64, 96), depth=9)}
    assert rows["encoder/down1/conv"].multiply_adds == 32 * 48 * 13 * 9 * 3
    assert rows["encoder/pfcu1/conv2_vertical_dilated5"].multiply_adds == 8 * 12 * 128 * 3 * 128
    assert rows["decoder/up1/conv"].multiply_adds == 8 * 12 * 128 * 64 * 9
    assert rows["encoder_head"].output is None
    rows = {r.name: r for r in summarize(create_model("effunet", 7), (64, 96), depth=9)}
    depthwise = rows["efficientnet/stage2_block1/depthwise_conv"]
    assert depthwise.output == (16, 24, 96)
    assert depthwise.multiply_adds == 16 * 24 * 96 * 9
    assert rows["efficientnet/stage2_block1/depthwise_norm"].output == (16, 24, 96)


@pytest.mark.parametrize("name", ["effunet", "effunet_lite0", "esnet"])
def test_all_layers_but_the_encoder_s_own_head_are_used(name):
    network, *backbone = name.split("_")
    rows = summarize(create_model(network, 7, backbone=(*backbone, None)[0]), (64, 96), depth=9)
    assert [r.name for r in rows if r.output is None] == ["encoder_head"] * (name == "esnet")


def test_efficientnet_b0_costs_what_its_paper_says():
    """0.39 billion at 224 (arXiv 1905.11946, table 2), of which the features lack the head's."""
    backbone = summarize(create_model("effunet", 7), (224, 224), depth=1)[0]
    classifier = 7 * 7 * 320 * 1280 + 1280 * 1000
    assert round((backbone.multiply_adds + classifier) / 1e9, 2) == 0.39


def test_the_table_ends_with_the_totals():
    table = format_summary(create_model("esnet", 7), (320, 320))
    assert table.splitlines()[0] == "ESNet, 7 classes, 320 x 320"
    assert table.splitlines()[-1].split() == ["total", "1,659,194", "4,678,425,600"]
    with pytest.raises(ValueError, match="multiples of 8"):
        format_summary(create_model("esnet", 7), (321, 320))


def run_command(*flags):
    return subprocess.run(
        [sys.executable, "launch/summarize.py", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_segments_a_picture(tmp_path):
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((40, 50, 3), 128, np.uint8))
    done = run_command("--model=esnet", "--image_size=16,24", f"--image={picture}")
    assert done.returncode == 0, done.stderr
    assert "ESNet, 7 classes, 16 x 24" in done.stdout
    assert "Segmented 16 x 24" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--image_size=50", "error: EfficientUNet needs sides that are multiples of 32; got 50x50"),
        ("--image_size=0", "error: --image_size is '0'; give one side or height,width in pixels."),
        ("--model=", "error: --model names no network"),
        (
            "--bogus=1",
            "error: summarize.py has no flag --bogus; summarize.py --help tells its flags.",
        ),
        ("--image_size=9999999", "error: --image_size is '9999999'; give one side or"),
        ("--image_size=big", "error: --image_size is 'big'; give one side or height,width"),
        ("--image=missing.jpg", "error: There is no picture missing.jpg"),
        ("--image=README.md", "error: README.md is neither a JPEG nor a PNG, WebP, BMP or TIFF"),
        ("--model=unet", "error: There is no model 'unet'"),
        ("stray", "error: unexpected argument 'stray'"),
    ],
)
def test_the_command_refuses_with_one_sentence(flag, sentence):
    done = run_quickly("launch/summarize.py", flag)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1

"""Raw downloads made for the tests of their preparation."""

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.prepare import prepare
from tests.commands import run_quickly
from tests.conftest import ROOT


def make_raw(root, train=3, val=2, size=(12, 16)):
    """A raw download with the ids t0, t1, ..., v0, v1, ..."""
    raw = root / "raw"
    (raw / "JPEGImages").mkdir(parents=True)
    (raw / "gt_masks").mkdir()
    rng = np.random.default_rng(0)
    for split, letter, count in (("train", "t", train), ("val", "v", val)):
        names = [f"{letter}{i}" for i in range(count)]
        for name in names:
            image = cv2.resize(rng.integers(0, 256, (3, 3, 3), np.uint8), size[::-1])
            cv2.imwrite(str(raw / "JPEGImages" / f"{name}.jpg"), image)
            np.save(raw / "gt_masks" / f"{name}.npy", rng.integers(0, 7, size, np.uint8))
        (raw / f"{split}_id.txt").write_text("\n  ".join(names) + "\n\n")
    return raw


def contents(folder):
    """Relative path -> digest, of all files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def arrived(raw):
    """What the output must hold of images and masks, from the contents of the raw data."""
    files, expected = contents(raw), {}
    for split in ("train", "val"):
        for name in (raw / f"{split}_id.txt").read_text().split():
            expected[f"{split}/images/{name}.jpg"] = files[f"JPEGImages/{name}.jpg"]
            expected[f"{split}/masks/{name}.npy"] = files[f"gt_masks/{name}.npy"]
    return expected


def data_of(out):
    return {name: d for name, d in contents(out).items() if name.startswith(("train/", "val/"))}


def fault(raw, out, error=ValueError, **options):
    """The message of a refusal, which leaves everything as it was."""
    before = contents(raw.parent)
    with pytest.raises(error) as caught:
        prepare(raw, out, **options)
    assert contents(raw.parent) == before
    return str(caught.value)


def run_prepare(*options, python=()):
    """Runs the command that prepares; before it stands `python`, for a process of its own."""
    if not python:
        return run_quickly("prepare", *options)
    return subprocess.run(
        [sys.executable, *python, "launch/prepare.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

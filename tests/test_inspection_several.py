"""Data sets that are looked at together, in one bucket, in two, or one of them here."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pytest

from hierseg_jax.data.inspection.findings import ERROR
from hierseg_jax.data.inspection.inspect_dataset import Inspection, inspect_dataset
from hierseg_jax.data.inspection.several import inspect_together
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.system.bucket_path import BucketPath
from tests.annotated_data import save_image, save_mask
from tests.inspection_data import label, make_data


def make(root: pathlib.Path, split: str) -> Inspection:
    """One picture, the same in every data set."""
    save_image(root / split / "images/a.png")
    save_mask(root / split / "masks/a.png", np.ones((12, 16), np.uint8))
    (root / "data.yaml").write_text(f"{split}: {split}/images\nnames: [background, a]\n")
    return inspect_dataset(load_spec(root / "data.yaml"))


def moved(inspection: Inspection, root: pathlib.Path) -> Inspection:
    """As it would be, were its files elsewhere; nothing is read there any more."""

    def there(file: pathlib.Path) -> pathlib.Path:
        return root / file.relative_to(inspection.spec.root).as_posix()

    examples = [
        dataclasses.replace(
            each,
            pair=dataclasses.replace(
                each.pair, image=there(each.pair.image), mask=there(each.pair.mask)
            ),
        )
        for each in inspection.examples
    ]
    spec = dataclasses.replace(inspection.spec, root=root, file=there(inspection.spec.file))
    return dataclasses.replace(inspection, spec=spec, examples=examples)


@pytest.mark.parametrize(
    ("roots", "shown"),
    [
        (("s3://bucket/one", "s3://bucket/two"), ("one/", "two/")),
        (("s3://bucket/one", "s3://other/two"), ("s3://bucket/one/", "s3://other/two/")),
        (("s3://bucket/one", "gs://bucket/two"), ("s3://bucket/one/", "gs://bucket/two/")),
        (("/here/one", "gs://bucket/two"), ("/here/one/", "gs://bucket/two/")),
        (("/here/one", "/here/two"), ("one/", "two/")),
    ],
)
def test_pictures_of_two_splits_are_found_wherever_the_data_sets_are(
    tmp_path: pathlib.Path, roots: Sequence[str], shown: Sequence[str]
) -> None:
    inspections = [
        moved(make(tmp_path / split, split), BucketPath(r) if "://" in r else pathlib.Path(r))
        for split, r in zip(("train", "val"), roots, strict=True)
    ]
    told = [sentence for _, sentence in inspect_together(inspections, 4, 9)]
    assert any(f"{shown[0]}train/images/a.png" in sentence for sentence in told)
    assert any(f"{shown[1]}val/images/a.png" in sentence for sentence in told)


def test_one_of_them_must_give_what_training_needs(tmp_path):
    one, other = (make_data(tmp_path / name) for name in ("a", "b"))

    def told(*files):
        inspections = [inspect_dataset(load_spec(file), alone=False) for file in files]
        assert not any(f.kind == "absent_split" for each in inspections for f in each.findings)
        return [text for severity, text in inspect_together(inspections, 4, 9) if severity == ERROR]

    text = other.read_text()
    other.write_text("\n".join(line for line in text.split("\n") if not line.startswith("val")))
    assert told(one, other) == []
    one.write_text(other.read_text())
    assert told(one, other) == ["None of these data sets gives a folder for val."]


def test_of_several_one_may_hold_nothing_but_background(tmp_path):
    one, other = (make_data(tmp_path / name) for name in ("a", "b"))
    for mask in (tmp_path / "b/train/masks").iterdir():
        np.save(mask, np.zeros_like(label()))
    inspections = [inspect_dataset(load_spec(file), alone=False) for file in (one, other)]
    assert {f.kind for f in inspections[1].findings} == {"missing_class"}
    assert not [each for each in inspect_together(inspections, 0, 9) if each[0] == ERROR]


def test_classes_are_missing_where_no_data_set_has_them(tmp_path):
    """What one of them lacks and another has is no finding."""
    one, other = (make_data(tmp_path / name) for name in ("a", "b"))
    for folder, split, stripe in (("a", "train", 3), ("b", "val", 2), ("a", "val", 2)):
        for mask in (tmp_path / folder / split / "masks").iterdir():
            label_hw = label()
            label_hw[label_hw == stripe] = 0
            np.save(mask, label_hw)
    inspections = [inspect_dataset(load_spec(file), alone=False) for file in (one, other)]
    kinds = {f.kind for each in inspections for f in each.findings}
    assert not kinds & {"missing_class", "untrained_class"}
    told = inspect_together(inspections, 4, 9)
    assert ("warning", "No mask of val of all data sets holds head (level part).") in told
    assert not [severity for severity, _ in told if severity == ERROR]
    for mask in (tmp_path / "b/train/masks").iterdir():
        np.save(mask, np.where(label() == 3, 0, label()).astype(np.uint8))
    inspections = [inspect_dataset(load_spec(file), alone=False) for file in (one, other)]
    errors = [text for severity, text in inspect_together(inspections, 4, 9) if severity == ERROR]
    assert [text[:62] for text in errors] == [
        "None of the 8 usable masks of train of all data sets holds leg"
    ]

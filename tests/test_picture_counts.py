"""What is counted in every picture gives the evaluation's numbers, and comes back as written."""

import contextlib
import csv
import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.evaluation.extremes import image_scores
from hierseg_jax.evaluation.metrics import count_pictures, evaluate_levels
from hierseg_jax.evaluation.picture_counts import (
    PictureCounts,
    counts_bytes,
    iou,
    pictures_csv,
    read_counts,
)
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.test_metrics_of_inner_labels import labelled, matrices

NAMES = ["a.jpg", "line\nbreak.jpg", "\udc80.jpg"]


def counted(seed=0, names=NAMES):
    confusions_nlc = np.random.default_rng(seed).integers(0, 9, (len(NAMES), 7, 7))
    return confusions_nlc, count_pictures(confusions_nlc, PASCAL_PERSON_PART, names)


@settings(deadline=None, max_examples=60)
@given(labelled())
def test_sums_over_pictures_give_the_iou_of_the_evaluation(case):
    hierarchy = case[0]
    confusions_nlc = matrices(*case)
    counts = count_pictures(confusions_nlc, hierarchy)
    iou_k = iou(counts.labelled_nk.sum(0), counts.predicted_nk.sum(0), counts.right_nk.sum(0))
    metrics = evaluate_levels(confusions_nlc, hierarchy, 2)
    assert counts.levels.tolist() == [n for n, of in metrics.items() for _ in of.class_names]
    assert counts.classes.tolist() == [c for of in metrics.values() for c in of.class_names]
    np.testing.assert_array_equal(iou_k, np.concatenate([of.iou for of in metrics.values()]))
    for name, of in metrics.items():
        own = iou_k[(counts.levels == name) & ~counts.background]
        expected = own[~np.isnan(own)].mean() if not np.isnan(own).all() else np.nan
        np.testing.assert_array_equal(of.miou, expected)


def test_counts_come_back_as_written(tmp_path):
    file = tmp_path / "counts.npz"
    for names in (NAMES, []):
        _, counts = counted(names=names)
        file.write_bytes(counts_bytes(counts))
        found = read_counts(file)
        for field in dataclasses.fields(PictureCounts):
            np.testing.assert_array_equal(
                getattr(found, field.name), getattr(counts, field.name), strict=True
            )


def test_damaged_counts_are_refused_in_a_sentence(tmp_path):
    _, counts = counted()
    whole, file = counts_bytes(counts), tmp_path / "counts.npz"
    fewer = dataclasses.replace(counts, right_nk=counts.right_nk[:2])
    unnamed = dataclasses.replace(counts, names=counts.names[:1])
    numbers = dataclasses.replace(counts, levels=np.arange(len(counts.levels)))
    pickled = dataclasses.replace(counts, classes=counts.classes.astype(object))
    flat = dataclasses.replace(counts, labelled_nk=counts.labelled_nk.ravel())
    one = io.BytesIO()
    np.savez(one, names=counts.names)
    for content in (
        b"",
        whole[: len(whole) // 2],
        b"PK\x03\x04",
        one.getvalue(),
        *map(counts_bytes, (fewer, unnamed, numbers, pickled, flat)),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"counts\.npz is damaged or was not written by an"):
            read_counts(file)


@given(st.data())
def test_flipped_bytes_are_read_or_refused_in_a_sentence(tmp_path_factory, data):
    whole = bytearray(counts_bytes(counted()[1]))
    for _ in range(3):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("flipped") / "counts.npz"
    file.write_bytes(whole)
    with contextlib.suppress(HiersegError):
        read_counts(file)


def test_the_table_of_pictures_begins_with_the_worst():
    confusions_nlc, counts = counted()
    scores_n = image_scores(confusions_nlc)
    scores_n[0] = np.nan
    rows = list(csv.reader(io.StringIO(pictures_csv(counts, scores_n))))
    assert rows[0][:4] == ["picture", "score", "body/background", "body/body"]
    assert len({len(row) for row in rows}) == 1
    shown = ["a.jpg", "line\\nbreak.jpg", "\\udc80.jpg"]
    order = [*np.argsort(scores_n[1:]) + 1, 0]
    assert [row[0] for row in rows[1:]] == [shown[n] for n in order]
    assert rows[-1][1] == ""
    assert float(rows[1][1]) == pytest.approx(np.nanmin(scores_n), abs=1e-4)
    worst = order[0]
    hit, labels, predictions = (
        confusions_nlc[worst][3, 3],
        confusions_nlc[worst][3].sum(),
        confusions_nlc[worst][:, 3].sum(),
    )
    column = rows[0].index(f"{counts.levels[-1]}/{PASCAL_PERSON_PART.class_names[3]}")
    expected = hit / (labels + predictions - hit)
    assert float(rows[1][column]) == pytest.approx(expected, abs=1e-4)
    unnamed = pictures_csv(counted(names=[])[1], scores_n).splitlines()[1:]
    assert [row.split(",")[0] for row in unnamed] == [str(n) for n in order]


def test_a_level_that_no_pixel_is_labelled_at_counts_nothing():
    """Labels stop at groups: how much of the background is right among leaves, nobody knows."""
    tree = dataclasses.replace(Hierarchy.from_mapping({"g": [1, 2], "h": [3]}), inner_labels=True)
    confusions_nlc = np.zeros((1, len(tree.labels.names), 4), int)
    confusions_nlc[0, 0] = [50, 0, 0, 5]
    confusions_nlc[0, tree.labels.names.index("g")] = [1, 20, 20, 4]
    counts = count_pictures(confusions_nlc, tree)
    assert counts.labelled_nk.tolist() == [[55, 45, 0, 0, 0, 0, 0]]
    assert counts.predicted_nk.tolist() == [[51, 40, 9, 0, 0, 0, 0]]


def test_where_groups_are_labelled_a_class_without_a_label_has_no_number():
    _, counts = counted()
    counts.labelled_nk[1, -1] = counts.right_nk[1, -1] = 0
    whole, partial = (
        list(csv.reader(io.StringIO(pictures_csv(counts, np.arange(3), inner))))[2]
        for inner in (False, True)
    )
    assert (whole[-1], partial[-1]) == ("0.0000", "")
    assert whole[:-1] == partial[:-1]

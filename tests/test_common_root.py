"""Files of several data sets have short names, wherever the data sets lie."""

from pathlib import Path

import pytest

from hierseg_jax.data.inspection.findings import shown
from hierseg_jax.data.inspection.several import common_root
from hierseg_jax.system.bucket_path import BucketPath


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        (Path("/data/a"), Path("/data/b/c"), ["a/x.jpg", "b/c/x.jpg"]),
        (BucketPath("s3://d/a"), BucketPath("s3://d/b"), ["a/x.jpg", "b/x.jpg"]),
        (BucketPath("s3://d/a"), BucketPath("gs://d/b"), ["s3://d/a/x.jpg", "gs://d/b/x.jpg"]),
        (BucketPath("s3://d/a"), Path("/data/b"), ["x.jpg", "/data/b/x.jpg"]),
        (Path("/data/b"), BucketPath("s3://d/a"), ["x.jpg", "s3://d/a/x.jpg"]),
    ],
)
def test_files_are_named_from_the_folder_above_all(first, second, names):
    root = common_root([first, second])
    assert [shown(folder / "x.jpg", root) for folder in (first, second)] == names

"""Damaged images and masks of every kind end in an array or in a sentence, never otherwise."""

import io
import re
import zlib

import cv2
import numpy as np
import pytest
import scipy.io
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hierseg_jax.data.prepare.pascal_part import merge_table, read_person_parts
from hierseg_jax.data.read import image_files as decode
from hierseg_jax.data.read.image_files import read_image, read_mask
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.fuzzing import COUNTS, damaged, fuzz, read_or_refused, with_checksums
from tests.test_folder import photograph, png

PHOTOGRAPH = photograph(12, 16)
LABEL = np.random.default_rng(0).integers(0, 7, (12, 16), np.uint8)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def encoded(suffix, array, *options):
    return cv2.imencode(suffix, array, options)[1].tobytes()


NPY = [npy(LABEL), npy(np.asfortranarray(LABEL.astype(">i2"))), npy(LABEL.astype(np.int64))]
MASK_PNG = [encoded(".png", LABEL), png(LABEL % 4, 2, 3, bytes(12)), png(LABEL, 4, 0)]
IMAGE_PNG = [encoded(".png", PHOTOGRAPH), encoded(".png", PHOTOGRAPH.astype(np.uint16) * 257)]
JPEG = [
    encoded(".jpg", PHOTOGRAPH),
    encoded(".jpg", PHOTOGRAPH[..., 0]),
    encoded(".jpg", PHOTOGRAPH, cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
]


def npy_headers():
    """Whole headers with something else in a place, padded and measured as numpy does."""
    shapes = st.lists(
        st.sampled_from(["12", "16", "-12", "0", "True", "10**9", "2" * 30, "'a'", "None", "(1,)"]),
        max_size=70,
    ).map(lambda sides: "(" + "".join(f"{side}, " for side in sides) + ")")
    kinds = ["|u1", "<i8", "|O", "|V8", "<f4", "|b1", "<M8[s]", "|S0", "<u16", "", "u1, u1", "x"]
    fields = [
        st.sampled_from(kinds).map(repr) | st.just("[('a', '<i4', (9999999,))]"),
        st.sampled_from(["True", "False", "1", "None"]),
        shapes | st.just("(" * 3000 + ")" * 3000) | st.just(f"(0x{'f' * 5000}, 0, 0)"),
    ]
    body = st.tuples(*fields).map(
        lambda f: f"{{'descr': {f[0]}, 'fortran_order': {f[1]}, 'shape': {f[2]}}}\n".encode()
    )
    return st.tuples(body, st.integers(1, 4)).map(
        lambda pair: (
            b"\x93NUMPY"
            + bytes([pair[1], 0])
            + len(pair[0]).to_bytes(2 if pair[1] == 1 else 4, "little")
            + pair[0]
            + LABEL.tobytes()
        )
    )


@pytest.mark.filterwarnings("ignore")  # numpy parses headers as Python, which warns
@pytest.mark.parametrize("count", COUNTS)
def test_npy_files(tmp_path, count):
    file = tmp_path / "a.npy"

    def outcome(data):
        file.write_bytes(data)
        return read_or_refused(file, read_mask)

    ends = fuzz(count, st.one_of(damaged(NPY), npy_headers()), outcome, whole=NPY)
    assert ends["read"]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("name", "seeds", "read"),
    [
        ("a.png", MASK_PNG, read_mask),
        ("a.png", IMAGE_PNG, read_image),
        ("a.jpg", JPEG, read_image),
    ],
    ids=["masks", "png images", "jpeg images"],
)
def test_encoded_files(tmp_path, count, name, seeds, read):
    file = tmp_path / name
    broken = damaged(seeds)
    if file.suffix == ".png":
        broken |= broken.map(with_checksums)
    # One input in ten is whole, of any pixels.
    shape = PHOTOGRAPH.shape if read is read_image else LABEL.shape
    whole = hnp.arrays(np.uint8, shape).map(lambda array: encoded(file.suffix, array))
    inputs = st.integers(0, 9).flatmap(lambda digit: broken if digit else whole)

    def outcome(data):
        file.write_bytes(data)
        return read_or_refused(file, read)

    ends = fuzz(count, inputs, outcome, whole=seeds)
    assert ends["read"]


def annotation(compressed):
    part = {"part_name": "head", "mask": LABEL % 2}
    person = {"class": "person", "mask": LABEL, "parts": np.array([part], object)}
    stream = io.BytesIO()
    content = {"anno": {"objects": np.array([person], object)}}
    scipy.io.savemat(stream, content, do_compression=compressed)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", COUNTS)
def test_mat_files(tmp_path, count):
    file, class_of = tmp_path / "a.mat", merge_table(PASCAL_PERSON_PART)

    def outcome(data):
        file.write_bytes(data)
        return read_or_refused(file, lambda f: read_person_parts(f, class_of))

    plain, packed = annotation(False), annotation(True)
    inside = damaged([plain[128:]]).map(
        lambda body: packed[:132] + len(z := zlib.compress(body)).to_bytes(4, "little") + z
    )
    assert fuzz(count, damaged([plain, packed]) | inside, outcome, whole=[plain, packed])["read"]


def test_a_wrong_size_in_a_mat_file_does_not_end_the_process(tmp_path):
    """scipy 1.17.1 would look up a type of 1029 among 20, and crash."""
    file, data = tmp_path / "a.mat", bytearray(annotation(False))
    assert data[440:448] == bytes((1, 0, 0, 0, 0, 0, 0, 0))  # the empty name of a matrix
    data[444] = 16
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.mat is no annotation of PASCAL-Part, or a damaged"):
        read_person_parts(file, merge_table(PASCAL_PERSON_PART))


def test_a_length_in_a_jpeg_s_header_can_t_hide_its_size(tmp_path):
    """libjpeg passes over 0xFF 0x00 alone, where a length would lead past the frame header."""
    data = encoded(".jpg", PHOTOGRAPH)
    frame = data.index(b"\xff\xc0")
    size = (60_000).to_bytes(2) * 2
    bomb = data[: frame + 5] + size + data[frame + 9 :]
    length = 2 + len(bomb) - frame
    hidden = bomb[:frame] + b"\xff\x00" + length.to_bytes(2) + bomb[frame:] + data[2:]
    file = tmp_path / "a.jpg"
    file.write_bytes(hidden)
    with pytest.raises(ValueError, match=re.escape("a.jpg is announced as 60000 x 60000")):
        read_image(file)


class CountingPattern:
    """A pattern that counts the bytes it looks at."""

    def __init__(self, pattern):
        self.pattern, self.looked_at = pattern, 0

    def search(self, text, start):
        found = self.pattern.search(text, start)
        self.looked_at += (found.end() if found else len(text)) - start
        return found


def test_a_jpeg_full_of_fill_bytes_is_read_in_linear_time(tmp_path, monkeypatch):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"\xff\xd8" + b"\xff\xff\x01" * 500_000)
    pattern = CountingPattern(decode._JPEG_MARKER)
    monkeypatch.setattr(decode, "_JPEG_MARKER", pattern)
    with pytest.raises(ValueError, match="is cut off"):
        read_image(file)
    assert 0 < pattern.looked_at <= file.stat().st_size
    # Of a fixed length, so that no search goes back either.
    assert not set(b"*+?{") & set(decode._JPEG_MARKER.pattern.pattern)

"""PNGs of 16 bits and with transparency: how they are read, and that it is said once."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.image_files import check_classes, read_image, read_mask
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.sources import unread_of
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.read.unread import losses, losses_of
from hierseg_jax.runtime.frames import open_frames
from hierseg_jax.system.errors import HiersegError
from tests.inspection_data import make_data

RGB, GRAY, GRAY_ALPHA, RGBA = 2, 0, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, GRAY_ALPHA: 2, RGBA: 4}


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values_hwc, colour_type, *, bits=16, extra=()):
    """As the standard has it, written here: no library chooses anything."""
    height, width, _ = values_hwc.shape
    rows = values_hwc.astype(">u2" if bits == 16 else np.uint8)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *(chunk(*each) for each in extra),
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
            chunk(b"IEND", b""),
        ]
    )


def picture(most, colour_type, seed=0):
    """Numbers from 0 to `most`, both among them."""
    shape = (9, 7, CHANNELS[colour_type])
    values = np.random.default_rng(seed).integers(0, most + 1, shape)
    values[0, 0], values[0, 1] = 0, most
    return values


def colours(values_hwc, colour_type):
    if colour_type in (GRAY, GRAY_ALPHA):
        return np.repeat(values_hwc[..., :1], 3, -1)
    return values_hwc[..., :3]


@pytest.mark.parametrize("colour_type", list(CHANNELS))
@pytest.mark.parametrize(
    ("most", "bits"),
    [(65535, 16), (4096, 16), (4095, 12), (1024, 12), (1023, 10), (256, 10), (255, 8)],
)
def test_the_upper_eight_of_the_bits_in_use_are_read(tmp_path, colour_type, most, bits):
    values = picture(most, colour_type)
    file = tmp_path / "a.png"
    file.write_bytes(png(values, colour_type))
    image = read_image(file)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, colours(values, colour_type) >> (bits - 8))


@pytest.mark.parametrize(
    ("told", "most", "bits"),
    [
        (16, 200, 16),  # really dark
        (10, 900, 10),
        (10, 60, 10),
        (12, 900, 12),
        (14, 16383, 14),
        (10, 65535, 16),  # scaled to all bits, as the standard wants it
        (5, 900, 16),
    ],
)
def test_a_file_can_say_how_many_bits_are_its_picture_s(tmp_path, told, most, bits):
    values = picture(most, RGB)
    file = tmp_path / "a.png"
    file.write_bytes(png(values, RGB, extra=[(b"sBIT", bytes([told] * 3))]))
    np.testing.assert_array_equal(read_image(file), values >> (bits - 8))


def test_a_picture_of_nothing_but_black_stays_black(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(np.zeros((4, 4, 3), int), RGB))
    assert not read_image(file).any()


def test_the_runtime_reads_them_as_training_does(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(picture(1023, RGB), RGB))
    (frame,) = open_frames(str(file))
    np.testing.assert_array_equal(frame.image_bgr[..., ::-1], read_image(file))


def test_a_mask_of_16_bits_keeps_its_numbers_and_no_large_one_becomes_a_class(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(np.array([[[0], [1], [2], [255]]]), GRAY))
    assert read_mask(file).tolist() == [[0, 1, 2, 255]]
    check_classes(read_mask(file), file, 3)
    for value in (256, 257, 300, 65535):
        file.write_bytes(png(np.array([[[0], [1], [value]]]), GRAY))
        with pytest.raises(HiersegError, match=f"a.png holds the labels {value}; the tree has"):
            check_classes(read_mask(file), file, 3)


EIGHT = np.full((2, 2, 1), 3)
PALETTE = [(b"PLTE", bytes(12)), (b"tRNS", bytes(4))]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(picture(9, RGB), RGB, bits=8), []),
        (png(picture(9, RGB), RGB), ["16 bits"]),
        (png(picture(9, RGBA), RGBA, bits=8), ["transparency"]),
        (png(picture(9, GRAY_ALPHA), GRAY_ALPHA), ["16 bits", "transparency"]),
        (png(EIGHT, 3, bits=8, extra=PALETTE), ["transparency"]),
        (png(EIGHT, 3, bits=8, extra=PALETTE[:1]), []),
        (cv2.imencode(".jpg", np.zeros((4, 4, 3), np.uint8))[1].tobytes(), []),
        (b"", []),
        (b"\x89PNG\r\n\x1a\n\0\0", []),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 40, []),
    ],
)
def test_what_is_not_read_is_told_from_the_header(tmp_path, content, said):
    file = tmp_path / "a.png"
    file.write_bytes(content)
    sentences = losses([file, file, tmp_path / "missing.png", tmp_path])
    assert len(sentences) == len(said)
    for sentence, word in zip(sentences, said, strict=True):
        assert sentence.startswith(f"{file} is a PNG")
        assert word in sentence


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour_type", [RGBA, GRAY_ALPHA])
def test_an_alpha_through_which_nothing_shows_is_not_told_of(tmp_path, colour_type, bits):
    values = picture(99, colour_type)
    values[..., -1] = 2**bits - 1
    opaque, clear = tmp_path / "opaque.png", tmp_path / "clear.png"
    opaque.write_bytes(png(values, colour_type, bits=bits))
    values[3, 3, -1] -= 1
    clear.write_bytes(png(values, colour_type, bits=bits))
    assert not any("transparency" in each for each in losses([opaque]) + losses_of(opaque))
    (said,) = (each for each in losses([opaque, clear]) if "transparency" in each)
    assert said.startswith(f"{clear} is a PNG with transparency")
    assert any("transparency" in each for each in losses_of(clear))


def test_a_split_says_it_once_and_names_the_first_file(tmp_path):
    data = make_data(tmp_path, train=4, val=3)
    assert unread_of([FolderSource(tmp_path / "train/images", 4)]) == []
    for name in ("train/images/train2", "train/images/train3", "val/images/val0"):
        values = np.repeat(np.repeat(picture(999, RGB), 16, 0), 16, 1)[:48, :64]
        (tmp_path / f"{name}.png").write_bytes(png(values, RGB))
    sources = [FolderSource(tmp_path / f"{split}/images", 4) for split in ("train", "val")]
    (sentence,) = unread_of([SkippingSource(sources[0], replace=True), sources[1]])
    assert sentence.startswith(f"{tmp_path}/train/images/train2.png is a PNG of 16 bits")
    found = [f for f in inspect_dataset(load_spec(data)).findings if f.kind == "unread"]
    assert [f.file for f in found] == [
        "train/images/train2.png",
        "train/images/train3.png",
        "val/images/val0.png",
    ]

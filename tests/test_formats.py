"""WebP, BMP and TIFF pictures, and the masks that other tools store."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import strategies as st

from hierseg_jax.data.read import image_files
from hierseg_jax.data.read.image_files import decode_mask, read_image, read_mask
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.read.unread import losses
from hierseg_jax.runtime.frames import open_frames
from hierseg_jax.system.errors import HiersegError
from tests.fuzzing import COUNTS, damaged, fuzz, read_or_refused
from tests.inspection_data import make_data
from tests.test_folder import photograph

PHOTOGRAPH = photograph(12, 16)
LABEL = np.random.default_rng(0).integers(0, 7, (12, 16), np.uint8)
LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)
DEEP = (PHOTOGRAPH.astype(np.uint16) << 4) + 5  # of 12 bits, as cameras store them


def encoded(suffix, array, *options):
    return cv2.imencode(suffix, array, options)[1].tobytes()


def tiff(rows, tags, order="<"):
    """A TIFF of one strip, written by hand: OpenCV writes no palettes."""
    body = rows.tobytes()
    values = {256: rows.shape[1], 257: rows.shape[0], 258: 8 * rows.itemsize, 259: 1, 262: 1}
    values |= {273: 8, 277: 1, 278: rows.shape[0], 279: len(body)} | tags
    lists = [(tag, v if isinstance(v, list) else [v]) for tag, v in sorted(values.items())]
    directory = 8 + len(body)
    at, more = directory + 2 + 12 * len(lists) + 4, b""
    entries = b""
    for tag, numbers in lists:
        held = struct.pack(f"{order}{len(numbers)}H", *numbers)
        if len(held) > 4:
            entries += struct.pack(f"{order}HHII", tag, 3, len(numbers), at + len(more))
            more += held
        else:
            entries += struct.pack(f"{order}HHI", tag, 3, len(numbers)) + held.ljust(4, b"\0")
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", directory)
    count = struct.pack(f"{order}H", len(lists))
    return start + body + count + entries + bytes(4) + more


def palette_bmp(rows, bits):
    """A BMP of a palette whose colours are not the numbers."""
    unpacked = np.unpackbits(rows[..., None], axis=-1)[..., 8 - bits :]
    packed = np.packbits(unpacked.reshape(len(rows), -1), axis=1)
    width = (rows.shape[1] * bits + 31) // 32 * 4
    body = np.pad(packed, ((0, 0), (0, width - packed.shape[1])))[::-1].tobytes()
    palette = np.random.default_rng(0).integers(0, 256, 4 << bits, np.uint8).tobytes()
    start = 54 + len(palette)
    header = struct.pack("<IIiiHHIIIIII", start, 40, *rows.shape[::-1], 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<II", start + len(body), 0) + header + palette + body


IMAGES = {
    "webp": (".webp", encoded(".webp", PHOTOGRAPH, *LOSSLESS), PHOTOGRAPH),
    "lossy webp": (".webp", encoded(".webp", PHOTOGRAPH, cv2.IMWRITE_WEBP_QUALITY, 80), None),
    "webp with alpha": (
        ".webp",
        encoded(".webp", np.dstack([PHOTOGRAPH, np.full((12, 16), 255, np.uint8)]), *LOSSLESS),
        PHOTOGRAPH,
    ),
    "bmp": (".bmp", encoded(".bmp", PHOTOGRAPH), PHOTOGRAPH),
    "tiff": (".tif", encoded(".tif", PHOTOGRAPH), PHOTOGRAPH),
    "tiff of 12 bits in 16": (".tiff", encoded(".tif", DEEP), PHOTOGRAPH),
    "grey bmp": (".bmp", encoded(".bmp", LABEL), np.dstack([LABEL] * 3)),
    "grey tiff": (".tif", encoded(".tif", LABEL), np.dstack([LABEL] * 3)),
    "grey tiff of 16 bits": (
        ".tif",
        encoded(".tif", LABEL.astype(np.uint16) * 256 + 255),
        np.dstack([LABEL] * 3) if LABEL.max() > 256 else None,
    ),
    "big-endian tiff": (".tif", tiff(LABEL, {}, ">"), np.dstack([LABEL] * 3)),
}  # fmt: skip
MASKS = {
    "palette tiff": (".tif", tiff(LABEL, {262: 3, 320: list(range(768))})),
    "tiff": (".tif", encoded(".tif", LABEL)),
    "tiff of 16 bits": (".tiff", encoded(".tif", LABEL.astype(np.uint16))),
    "tiff of signed numbers": (".tif", encoded(".tif", LABEL.astype(np.int16))),
    "tiff of floats": (".tif", encoded(".tif", LABEL.astype(np.float32))),
    "bmp": (".bmp", encoded(".bmp", LABEL)),
    "palette bmp": (".bmp", palette_bmp(LABEL, 8)),
    "palette bmp of 4 bits": (".bmp", palette_bmp(LABEL, 4)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_pictures_of_every_format_are_read(tmp_path, name):
    suffix, content, expected = IMAGES[name]
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    image = read_image(file)
    assert image.dtype == np.uint8
    assert image.shape == PHOTOGRAPH.shape
    if expected is not None:
        np.testing.assert_array_equal(image, expected[..., ::-1])
    # The runtime reads the same, as OpenCV orders channels.
    (frame,) = open_frames(str(file))
    np.testing.assert_array_equal(frame.image_bgr, image[..., ::-1])


def test_a_pattern_reaches_every_folder_but_hidden_ones(tmp_path):
    for name in ("a.jpg", "b/c.jpg", "b/d/e.jpg", "b/._c.jpg", ".f/g.jpg"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    for pattern, names in {
        "**/*.jpg": ["a.jpg", "c.jpg", "e.jpg"],
        "*/*.jpg": ["c.jpg"],
        "**/**/?.jpg": ["a.jpg", "c.jpg", "e.jpg"],
    }.items():
        assert [file.name for file in open_frames(str(tmp_path / pattern)).files] == names


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_every_format_give_their_numbers(tmp_path, name):
    suffix, content = MASKS[name]
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    mask = read_mask(file)
    assert mask.dtype.kind in "iu"
    np.testing.assert_array_equal(mask, LABEL)


@pytest.mark.parametrize("dtype", [bool, np.float16, np.float32, np.float64, np.int32, ">f4"])
@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 1)])
def test_arrays_of_other_types_and_shapes_give_their_numbers(tmp_path, dtype, shape):
    label = LABEL % 2
    np.save(tmp_path / "a.npy", np.asfortranarray(label.astype(dtype).reshape(shape)))
    mask = read_mask(tmp_path / "a.npy")
    assert mask.dtype.kind in "iu"
    np.testing.assert_array_equal(mask, label)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_are_not_whole_are_no_mask(tmp_path, value):
    label = LABEL.astype(np.float32)
    label[3, 4] = value
    np.save(tmp_path / "a.npy", label)
    with pytest.raises(HiersegError, match=r"values that are no whole numbers, such as .*;"):
        read_mask(tmp_path / "a.npy")


def test_all_formats_may_lie_in_one_split(tmp_path):
    file = make_data(tmp_path)
    for i, suffix in enumerate((".webp", ".bmp", ".tif")):
        image = tmp_path / f"train/images/train{i}.png"
        picture = cv2.imread(str(image))
        image.unlink()
        cv2.imwrite(str(image.with_suffix(suffix)), picture, LOSSLESS if i == 0 else ())
        mask = tmp_path / f"train/masks/train{i}.npy"
        cv2.imwrite(str(mask.with_suffix(".tif")), np.load(mask))
        mask.unlink()
    source, others = open_split(str(file), "train", 32, {}), make_data(tmp_path / "as_before")
    for i, example in enumerate(open_split(str(others), "train", 32, {})[i] for i in range(4)):
        np.testing.assert_array_equal(source[i]["image"], example["image"])
        np.testing.assert_array_equal(source[i]["label"], example["label"])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.webp", IMAGES["webp"][1][:-9], "is cut off"),
        ("a.webp", b"RIFF" + (9 << 20).to_bytes(4, "little") + b"WEBPVP8X", "is cut off"),
        ("a.webp", b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02" + bytes(9), "is an animation"),
        (
            "a.webp",
            b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6,
            "announced as 1677",
        ),
        ("a.bmp", IMAGES["bmp"][1][:-1], "is cut off"),
        ("a.bmp", IMAGES["bmp"][1][:18] + struct.pack("<ii", 60000, 60000) + bytes(40), "60000 x"),
        ("a.bmp", IMAGES["bmp"][1][:30] + b"\1" + IMAGES["bmp"][1][31:], "BMP that is compressed"),
        ("a.tif", IMAGES["tiff"][1][:-20], "is cut off"),
        ("a.tif", tiff(LABEL, {257: 60000, 256: 60000}), "60000 x 60000"),
        ("a.tif", tiff(LABEL, {273: 60000}), "is cut off"),
        ("a.tif", b"II+\0" + bytes(90), "is a BigTIFF"),
        ("a.tif", encoded(".tif", LABEL.astype(np.float32)), "is a TIFF of floating-point numbers"),
    ],
)
def test_pictures_that_cannot_be_read_are_refused_undecoded(
    tmp_path, monkeypatch, name, content, sentence
):
    file = tmp_path / name
    file.write_bytes(content)
    monkeypatch.setattr(image_files, "_decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(HiersegError) as error:
        read_image(file)
    assert str(error.value).startswith(str(file))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.tif", encoded(".tif", PHOTOGRAPH), "is a colour TIFF; a mask is"),
        ("a.bmp", encoded(".bmp", PHOTOGRAPH), "is a colour BMP; a mask is"),
        ("a.tif", tiff(LABEL, {259: 7}), "is compressed as a JPEG is, which changes"),
        ("a.tif", tiff(LABEL, {262: 0}), "a mask has one whole number"),
        ("a.tif", encoded(".tif", LABEL + np.float32(0.5)), "no whole numbers, such as"),
        ("a.bmp", b"text", "masks are .npy, .png, .bmp or .tif"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, name, content, sentence):
    with pytest.raises(HiersegError) as error:
        decode_mask(content, tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert sentence in str(error.value)


def test_what_is_not_read_of_a_tiff_is_said(tmp_path):
    for name, content in {
        "deep.tif": encoded(".tif", DEEP),
        "plain.tif": encoded(".tif", PHOTOGRAPH),
        "clear.tif": tiff(LABEL, {338: 2}),
        "no.tif": b"II*\0",
    }.items():
        (tmp_path / name).write_bytes(content)
    names = ("no.tif", "deep.tif", "clear.tif", "plain.tif")
    deep, clear = losses(tmp_path / name for name in names)
    assert deep.startswith(f"{tmp_path}/deep.tif is a TIFF of 16 bits. Of such pictures the upper")
    assert clear.startswith(f"{tmp_path}/clear.tif is a TIFF with transparency")


@pytest.mark.parametrize("count", COUNTS)
def test_damaged_files_end_in_an_array_or_a_sentence(tmp_path, count):
    seeds = [(suffix, content) for suffix, content, _ in IMAGES.values()]
    masks = list(MASKS.values())
    broken = st.one_of(
        *(damaged([content]).map(lambda d, s=suffix: (s, d)) for suffix, content in seeds + masks)
    )

    def outcome(case):
        suffix, content = case
        file = tmp_path / f"a{suffix}"
        file.write_bytes(content)
        read_or_refused(file, lambda path: losses([path]))
        if suffix != ".webp":
            read_or_refused(file, read_mask)
        return read_or_refused(file, read_image)

    assert fuzz(count, broken, outcome, whole=seeds)["read"]

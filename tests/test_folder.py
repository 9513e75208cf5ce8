"""Reading images and masks: exact where they are good, one sentence where they are not."""

import ast
import gc
import io
import pickle
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from hierseg_jax.data.read import image_files as decode
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.npy import read_npy
from hierseg_jax.data.read.spec import load_spec


def photograph(height, width, seed=0):
    """Smooth enough for a JPEG, uint8 BGR."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def make_folder(root, images=("a.jpg",), masks=("a.npy",), size=(24, 32)):
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i, name in enumerate(images):
        cv2.imwrite(str(root / "images" / name), photograph(*size, seed=i))
    for i, name in enumerate(masks):
        label = np.random.default_rng(i).integers(0, 4, size, np.uint8)
        if name.lower().endswith("npy"):
            with (root / "masks" / name).open("wb") as stream:
                np.save(stream, label)
        else:
            cv2.imwrite(str(root / "masks" / name), label)
    return root / "images"


def png(rows, bits, colour_type, palette=b"", interlace=0):
    """A PNG of packed rows, written by hand: OpenCV writes neither palettes nor 2 bits."""
    height, width = rows.shape

    def chunk(kind, body):
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    unpacked = np.unpackbits(rows[..., None].astype(np.uint8), axis=-1)[..., 8 - bits :]
    packed = np.packbits(unpacked.reshape(height, width * bits), axis=-1)
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([bits, colour_type, 0, 0, interlace])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"gAMA", (45455).to_bytes(4))
        + (chunk(b"PLTE", palette) if palette else b"")
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed)))
        + chunk(b"IEND", b"")
    )


def fault(image_dir, file):
    """The sentence about reading the first example, which starts with the file at fault."""
    source = FolderSource(image_dir, 4)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(file))} ") as caught:
        source[0]
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_examples_are_paired_by_stem_and_ordered_by_it(tmp_path):
    images = ("b.JPG", "a.png", "a.b.jpeg", "c.PNG")
    image_dir = make_folder(tmp_path, images, ("c.NPY", "b.png", "a.npy", "a.b.PNG"))
    (image_dir / "Thumbs.db").write_bytes(b"x")
    (image_dir / "._b.jpg").write_bytes(b"x")
    source = FolderSource(str(image_dir), 4)
    assert source.names == ("a", "a.b", "b", "c")
    assert len(source) == 4
    for i, name in enumerate(("a.png", "a.b.jpeg", "b.JPG", "c.PNG")):
        expected = cv2.cvtColor(cv2.imread(str(image_dir / name)), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(source[i]["image"], expected)
    order = {"c": 0, "b": 1, "a": 2, "a.b": 3}
    for i, name in enumerate(source.names):
        expected = np.random.default_rng(order[name]).integers(0, 4, (24, 32), np.uint8)
        np.testing.assert_array_equal(source[i]["label"], expected)
        assert source[i]["label"].dtype == source[i]["image"].dtype == np.uint8
    with pytest.raises(IndexError):
        source[4]


def test_a_source_travels_to_worker_processes(tmp_path):
    source = FolderSource(make_folder(tmp_path), 4)
    sent = pickle.loads(pickle.dumps(source))
    assert sent.names == source.names
    np.testing.assert_array_equal(sent[0]["image"], source[0]["image"])


@pytest.mark.parametrize("name", ["grey.jpg", "grey.png", "alpha.png", "deep.png", "turned.jpg"])
def test_every_kind_of_image_reads_as_opencv_reads_it(tmp_path, name):
    file = tmp_path / name
    image = photograph(20, 30)
    kinds = {
        "grey": image[..., 0],
        "alpha": np.dstack([image, image[..., :1]]),
        "deep": image.astype(np.uint16) * 257,
    }
    cv2.imwrite(str(file), kinds.get(file.stem, image))
    if file.stem == "turned":  # EXIF orientation 6, a quarter turn
        exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
        data = file.read_bytes()
        file.write_bytes(
            data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + data[2:] + b"trailing"
        )
    read = decode.read_image(file)
    np.testing.assert_array_equal(read, cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB))
    assert read.shape == ((30, 20, 3) if file.stem == "turned" else (20, 30, 3))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("colour_type", [0, 3])
def test_grey_and_palette_masks_give_their_stored_values(tmp_path, bits, colour_type):
    rows = np.random.default_rng(bits).integers(0, 2**bits, (9, 13))
    palette = np.random.default_rng(1).integers(0, 256, 3 * 2**bits, np.uint8).tobytes()
    file = tmp_path / "mask.png"
    file.write_bytes(png(rows, bits, colour_type, palette if colour_type == 3 else b""))
    np.testing.assert_array_equal(decode.read_mask(file), rows)


@pytest.mark.parametrize("dtype", ["uint8", "int8", ">i2", "uint16", "int32", "int64", "uint64"])
def test_integer_masks_of_every_type_become_uint8(tmp_path, dtype):
    image_dir = make_folder(tmp_path)
    label = np.random.default_rng(0).integers(0, 4, (24, 32)).astype(dtype)
    if dtype != "int8":
        label[0] = 255
    np.save(tmp_path / "masks/a.npy", np.asfortranarray(label))
    read = FolderSource(image_dir, 4)[0]["label"]
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, label)


def test_sixteen_bit_png_masks_are_read(tmp_path):
    image_dir = make_folder(tmp_path)
    (tmp_path / "masks/a.npy").unlink()
    label = np.random.default_rng(0).integers(0, 4, (24, 32)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "masks/a.png"), label)
    np.testing.assert_array_equal(FolderSource(image_dir, 4)[0]["label"], label)


@pytest.mark.parametrize(
    ("images", "masks", "sentence"),
    [
        ([f"{i}.jpg" for i in range(7)], ["6.npy"], "6 images without a mask .*0.jpg, .*4.jpg, .."),
        (["a.jpg"], ["a.npy", "b.npy"], "masks: 1 mask without an image .*: b.npy"),
        (["a.jpg", "a.png"], ["a.npy"], "1 stem shared by several files.*a.jpg and a.png"),
        (["a.jpg"], ["a.npy", "a.png"], "1 stem shared by several files.*a.npy and a.png"),
        ([], [], "holds no images"),
    ],
)
def test_folders_that_do_not_pair_are_refused(tmp_path, images, masks, sentence):
    image_dir = make_folder(tmp_path / "{braces}", images, masks)
    with pytest.raises(ValueError, match=sentence):
        FolderSource(image_dir, 4)


def test_the_way_to_train_on_the_labelled_part_of_a_folder_is_told_and_works(tmp_path):
    make_folder(tmp_path, ["a.jpg", "b.jpg"], ["a.npy"])
    file = tmp_path / "data.yaml"
    split = "{images: images, masks: masks}"
    for _ in range(2):
        file.write_text(f"train: {split}\nnames: [background, a, b, c]\n")
        spec = load_spec(file)
        try:
            source = FolderSource(spec.layout("train"), 4)
        except ValueError as error:
            (split,) = re.findall("`(.*)`", str(error))
            (tmp_path / "labelled.txt").write_text("a\n")
    assert source.names == ("a",)


def test_a_picture_of_a_kind_that_is_not_read_is_named_beside_its_mask(tmp_path):
    image_dir = make_folder(tmp_path, ["a.jpg"], ["a.npy", "b.npy"])
    (image_dir / "b.HEIC").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b\.npy\. .*b\.HEIC is a picture of a kind that is not"):
        FolderSource(image_dir, 4)


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="images, where the images should lie"):
        FolderSource(tmp_path / "images", 4)
    make_folder(tmp_path, masks=())
    (tmp_path / "masks").rmdir()
    with pytest.raises(FileNotFoundError, match="masks, where the masks should lie"):
        FolderSource(tmp_path / "images", 4)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_cut_off_images_are_refused(tmp_path, name, kept, capfd):
    image_dir = make_folder(tmp_path, [name], size=(120, 160))
    data = (image_dir / name).read_bytes()
    (image_dir / name).write_bytes(data[: int(len(data) * kept)])
    cv2.imwrite(str(tmp_path / "masks/a.png"), np.zeros((120, 160), np.uint8))
    (tmp_path / "masks/a.npy").unlink()
    assert "is cut off" in fault(image_dir, image_dir / name)
    assert capfd.readouterr().err == ""


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_photograph(tmp_path):
    image_dir = make_folder(tmp_path)
    data = (image_dir / "a.jpg").read_bytes()
    thumbnail = b"Exif\0\0" + data[:200] + b"\xff\xd9"
    inside = data[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail + data[2:]
    (image_dir / "a.jpg").write_bytes(inside)
    FolderSource(image_dir, 4)[0]
    (image_dir / "a.jpg").write_bytes(inside[:-2])
    assert "is cut off" in fault(image_dir, image_dir / "a.jpg")


def test_damaged_images_are_refused(tmp_path):
    image_dir = make_folder(tmp_path, ["a.png"])
    file = image_dir / "a.png"
    data = file.read_bytes()
    file.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
    assert "checksum" in fault(image_dir, file)
    file.write_bytes(b"GIF89a")
    assert "is neither a JPEG nor a PNG" in fault(image_dir, file)
    file.write_bytes(b"")
    assert "is neither a JPEG nor a PNG" in fault(image_dir, file)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n")
    assert "until `git lfs pull` in its repository fetches it" in fault(image_dir, file)


def test_images_that_announce_too_many_pixels_are_refused_undecoded(tmp_path, monkeypatch):
    image_dir = make_folder(tmp_path)
    jpeg = bytearray((image_dir / "a.jpg").read_bytes())
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    bomb = png(np.zeros((1, 1)), 8, 3, b"\0\0\0")
    header = b"IHDR" + (20_000).to_bytes(4) * 2 + bomb[24:29]
    bomb = bomb[:12] + header + zlib.crc32(header).to_bytes(4) + bomb[33:]
    monkeypatch.setattr(decode, "_decoded", lambda *_: pytest.fail("decoded"))
    for data, size in ((bytes(jpeg), "65535 x 65535"), (bomb, "20000 x 20000")):
        (image_dir / "a.jpg").write_bytes(data)
        assert f"announced as {size}, more than 100,000,000" in fault(
            image_dir, image_dir / "a.jpg"
        )
    (tmp_path / "mask.png").write_bytes(bomb)
    with pytest.raises(ValueError, match="announced as 20000 x 20000"):
        decode.read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.full((24, 32), 0.5, np.float32), "holds float32 values"),
        (np.zeros((24, 32), complex), "holds complex128 values"),
        (np.zeros((24, 32), "m8[s]"), "holds timedelta64"),
        (np.zeros((24, 32, 3), np.uint8), "plane for every class, store `np.argmax(mask, 2)."),
        (np.zeros((3, 24, 32), np.uint8), "(3, 24, 32); a mask is [height, width], one"),
        (np.zeros((3, 24, 32), np.uint8), "plane for every class, store `np.argmax(mask, 0)."),
        (np.uint8(3), "has the shape ()"),
        (np.zeros((0, 32), np.uint8), "holds an empty array"),
        (np.full((24, 32), None), "holds Python objects (a pickle), which are never loaded"),
        (np.zeros((32, 24), np.uint8), "is 32 x 24 (height x width), but its image"),
        (
            np.zeros((12, 16), np.uint8),
            "at 50 % of its sides; `hierseg prepare` scales such masks without new values",
        ),
        (np.full((24, 32), 4, np.int16), "holds the labels 4; the tree has the classes 0 to 3"),
        (np.full((24, 32), -2), "holds the labels -2;"),
        (np.arange(24 * 32).reshape(24, 32), "holds the labels 4, 5, 6, 7, 8, ...;"),
        (np.full((24, 32), 256), "holds the labels 256;"),
    ],
)
def test_arrays_that_are_no_mask_are_refused(tmp_path, array, sentence):
    image_dir = make_folder(tmp_path)
    np.save(tmp_path / "masks/a.npy", array)
    assert sentence in fault(image_dir, tmp_path / "masks/a.npy")


def test_npy_files_are_read_while_others_parse_python():
    """CPython counts the depth of all parsers in one place; JAX has a callback at collections."""
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    stream, times = io.BytesIO(), iter(range(20))
    np.save(stream, mask)

    def parse_too(*_):
        if next(times, None) is not None:
            ast.parse("0")

    thresholds = gc.get_threshold()
    gc.callbacks.append(parse_too)
    gc.set_threshold(1)
    try:
        found = read_npy(stream.getvalue(), Path("mask.npy"))
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(parse_too)
    np.testing.assert_array_equal(found, mask)


def test_damaged_npy_files_are_refused(tmp_path):
    image_dir = make_folder(tmp_path)
    file = tmp_path / "masks/a.npy"
    data = file.read_bytes()
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    for bad, sentence in (
        (data[:-1], "is cut off"),
        (data[:50], "is no .npy file, or a damaged one"),
        (b"", "is no .npy file"),
        ((tmp_path / "x.npz").read_bytes(), "is no .npy file"),
        (pickle.dumps([1]), "is no .npy file"),
        (data.replace(b"(24, 32)", b"(-4, -8)"), "holds an empty array"),
        (data.replace(b"(24, 32), ", b"(10**99),"), "is no .npy file"),
    ):
        file.write_bytes(bad)
        assert sentence in fault(image_dir, file)


@pytest.mark.filterwarnings("ignore")  # numpy parses headers as Python, which warns
def test_flipped_bytes_of_a_mask_end_in_a_sentence_or_a_mask(tmp_path):
    make_folder(tmp_path, masks=("a.npy", "a.png"))
    rng = np.random.default_rng(0)
    for name in ("a.npy", "a.png"):
        file = tmp_path / "masks" / name
        data = np.frombuffer(file.read_bytes(), np.uint8)
        for _ in range(300):
            bad = data.copy()
            bad[rng.integers(0, min(len(data), 128), 3)] = rng.integers(0, 256, 3)
            file.write_bytes(bad.tobytes())
            try:
                assert decode.read_mask(file).ndim == 2
            except ValueError as error:
                sentence = str(error)
                assert sentence.startswith(str(file))


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_masks_are_refused(tmp_path, channels):
    image_dir = make_folder(tmp_path, masks=("a.png",))
    file = tmp_path / "masks/a.png"
    cv2.imwrite(str(file), np.zeros((24, 32, channels), np.uint8))
    assert "is a colour PNG (RGB" in fault(image_dir, file)
    file.write_bytes(file.read_bytes()[:40])
    assert "is cut off" in fault(image_dir, file)
    file.write_bytes(b"text")
    assert "is no PNG image" in fault(image_dir, file)


def test_a_file_that_has_gone_is_named(tmp_path):
    source = FolderSource(make_folder(tmp_path), 4)
    (tmp_path / "masks/a.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"masks/a\.npy"):
        source[0]

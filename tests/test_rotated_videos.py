"""Videos of a phone that was held upright: stored on their side, with a tag that says so."""

import struct

import cv2
import numpy as np
import pytest

from hierseg_jax.runtime.frames import Video
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.stream import segment_source
from tests.test_runtime import KERNEL, reference_file

WIDTH, HEIGHT = 320, 240
# Clockwise turns, and the first two columns of the matrix in the tkhd box, which takes (x, y, 1)
# of a stored frame to where it is shown.
TURNS = {
    0: (1, 0, 0, 1, 0, 0),
    90: (0, 1, -1, 0, HEIGHT, 0),
    180: (-1, 0, 0, -1, WIDTH, HEIGHT),
    270: (0, -1, 1, 0, 0, WIDTH),
}


def stored_frame():
    """Quarters of red, green, blue and grey."""
    frame_bgr = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    frame_bgr[: HEIGHT // 2, : WIDTH // 2] = 0, 0, 255
    frame_bgr[: HEIGHT // 2, WIDTH // 2 :] = 0, 255, 0
    frame_bgr[HEIGHT // 2 :, : WIDTH // 2] = 255, 0, 0
    return frame_bgr


def write_tagged(file, turn):
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 10, (WIDTH, HEIGHT))
    for _ in range(3):
        writer.write(stored_frame())
    writer.release()
    data = bytearray(file.read_bytes())
    header = data.index(b"tkhd") + 4
    start = header + (52 if data[header] == 1 else 40)  # times and length of 8 or 4 bytes
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    assert data[start : start + 36] == plain
    a, b, c, d, x, y = (value << 16 for value in TURNS[turn])
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, 1 << 30)
    file.write_bytes(data)
    return file


def corners(frame_bgr):
    """Colours of three corners, since a legend is in the first: b, g, r, or - for grey."""
    near = [frame_bgr[20, -20], frame_bgr[-20, 20], frame_bgr[-20, -20]]
    return "".join(
        "bgr"[int(c.argmax())] if int(c.max()) - int(c.min()) > 90 else "-" for c in near
    )


@pytest.mark.parametrize("turn", TURNS)
def test_a_video_with_a_rotation_tag_is_read_and_written_upright(tmp_path, turn):
    source = write_tagged(tmp_path / "phone.mp4", turn)
    expected = np.rot90(stored_frame(), -turn // 90)
    video = Video(str(source))
    assert video.size == expected.shape[1::-1]
    frames = [frame.image_bgr for frame in video]
    assert [frame.shape for frame in frames] == 3 * [expected.shape]
    assert {corners(frame) for frame in frames} == {corners(expected)}
    # All is background, and the photograph stays as it is.
    file = reference_file(tmp_path / "a.onnx", contract="reference", kernel=0 * KERNEL)
    segment_source(Segmenter(file), str(source), str(tmp_path / "out.mp4"), masks=True)
    written = Video(str(tmp_path / "out.mp4"))
    assert written.size[0] == video.size[0]
    drawn = [frame.image_bgr[: len(expected)] for frame in written]  # without the legend below
    assert {corners(frame) for frame in drawn} == {corners(expected)}
    mask = cv2.imread(
        str(tmp_path / "out_masks" / "part" / "frame_000001.png"), cv2.IMREAD_UNCHANGED
    )
    assert mask.shape == expected.shape[:2]

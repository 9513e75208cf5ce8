"""Cameras and addresses: who is live, what is written, and what is said where there is none."""

import http.server
import threading

import cv2
import numpy as np
import pytest

from hierseg_jax.runtime.frames import open_frames
from hierseg_jax.runtime.outputs import VideoFile
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.sink import Sink
from hierseg_jax.runtime.stream import segment_source
from hierseg_jax.runtime.video import Video, is_address, missing_camera, without_password
from hierseg_jax.system.errors import HiersegError
from tests.test_runtime import reference_file

FRAME = np.full((64, 96, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return Segmenter(
        reference_file(tmp_path_factory.mktemp("net") / "a.onnx", contract="reference")
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    file = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 12, (96, 64))
    for _ in range(6):
        writer.write(FRAME)
    writer.release()
    return file


@pytest.fixture(scope="module")
def server(clip):
    jpeg = cv2.imencode(".jpg", FRAME)[1].tobytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            kind = {
                "/camera": "multipart/x-mixed-replace; boundary=b",
                "/clip.avi": "video/avi",
                "/shot.jpg": "image/jpeg",
            }
            path = self.path.partition("?")[0]
            if path not in kind:
                self.send_error(404)
                return
            part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            bodies = {
                "/camera": 8 * (part + jpeg + b"\r\n"),
                "/clip.avi": clip.read_bytes(),
                "/shot.jpg": jpeg[:100],
            }
            body = bodies[path]
            self.send_response(200)
            self.send_header("Content-Type", kind[path])
            if path != "/camera":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_a_video_at_an_address_is_read_as_a_file_is(server, segmenter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary, (place,) = segment_source(segmenter, f"{server}/clip.avi?token=1", None)
    assert (summary.frames, summary.dropped, summary.faults) == (6, 0, [])
    assert str(place) == "segmented/clip.mp4"
    assert Video(str(place)).size == (96, 64)


def test_a_stream_that_ends_says_so_and_what_was_written_is_kept(server, segmenter, tmp_path):
    source, out = f"{server}/camera", tmp_path / "out.avi"
    assert open_frames(source).live
    with pytest.raises(HiersegError, match=r"camera gives no more frames, after 8; what was made"):
        segment_source(segmenter, source, str(out))
    assert len(list(Video(str(out)))) >= 1
    with pytest.raises(HiersegError, match=r"Nothing would come of .*--show .*--output"):
        segment_source(segmenter, source, None)


def test_an_address_that_tells_no_size_of_its_frames_is_refused(server):
    with pytest.raises(HiersegError, match=r"shot\.jpg tells no size of its frames: it is damaged"):
        open_frames(f"{server}/shot.jpg")


def test_who_does_not_answer_is_named_without_a_password(server):
    host = server.removeprefix("http://")
    with pytest.raises(HiersegError, match=rf"^http://{host}/none can't be opened") as told:
        open_frames(f"http://user:secret@{host}/none")
    assert "secret" not in str(told.value)
    assert without_password("rtsp://me:a%20b@cam:554/1") == "rtsp://cam:554/1"
    assert without_password("rtsp://me:a@b@cam/1") == without_password("rtsp://token@cam/1")
    for address in ("http://host/a:b@c", "http://host?to=a:b@c"):
        assert without_password(address) == address


def test_addresses_are_no_files_or_patterns():
    assert all(map(is_address, ("rtsp://a/b", "RTSP://a", "http://a/*.mp4", "https://a")))
    assert not any(map(is_address, ("0", "C:/a.mp4", "file.mp4", "s3://a/b", "http:/a")))


def test_a_tilde_is_the_home_and_a_bucket_is_not_on_this_machine(clip, monkeypatch):
    cv2.imwrite(str(clip.with_name("a.png")), FRAME)
    monkeypatch.setenv("HOME", str(clip.parent))
    monkeypatch.setenv("USERPROFILE", str(clip.parent))
    assert len(open_frames("~/clip.avi")) == 6
    assert [len(open_frames(f"~{end}")) for end in ("", "/a.png", "/*.png")] == [1, 1, 1]
    with pytest.raises(HiersegError, match="is not on this machine"):
        open_frames("s3://bucket/photos")


def test_a_camera_that_is_not_there_tells_which_are(tmp_path):
    told = missing_camera(3, tmp_path, "linux")
    assert told.startswith("No camera with the index 3 can be opened (tried: ")
    assert told.endswith(f"): {tmp_path} has no camera at all.")
    for name in ("video0", "video2", "null"):
        (tmp_path / name).write_text("")
    assert missing_camera(3, tmp_path, "linux").endswith(f"{tmp_path} has video0, video2.")
    assert "gives no pictures" in missing_camera(2, tmp_path, "linux")
    assert "Indices count from 0" in missing_camera(1, tmp_path, "win32")


def test_what_is_only_shown_is_not_written(segmenter, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), FRAME)
    before = sorted(tmp_path.iterdir())
    for source in (str(clip), str(tmp_path / "a.png")):
        opened = open_frames(source)
        sink = Sink(segmenter, opened, source, None, [2], False, False, pictures=False)
        for frame in opened:
            sink.take(frame, segmenter(frame.image_bgr, bgr=True))
        sink.close()
        assert sink.places == ()
    assert sorted(tmp_path.iterdir()) == before


def test_a_choice_of_legend_holds_for_videos_and_images(segmenter, clip, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), FRAME)
    for legend, higher in (("below", True), ("corner", False), ("none", False)):
        out = tmp_path / legend
        segment_source(segmenter, str(clip), str(out / "v.avi"), legend=legend)
        segment_source(segmenter, str(tmp_path / "a.png"), str(out / "a.png"), legend=legend)
        assert (Video(str(out / "v.avi")).size[1] > 64) == higher
        assert (len(cv2.imread(str(out / "a.png"))) > 64) == higher
    with pytest.raises(HiersegError, match="choose auto, below, corner, none"):
        segment_source(segmenter, str(clip), str(tmp_path / "v.avi"), legend="top")


def test_a_source_that_changes_its_size_is_named_and_what_came_before_is_kept(tmp_path):
    file = tmp_path / "v.avi"
    writer = VideoFile(file, 10, (32, 24))
    writer.write(np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(HiersegError, match=r"v\.avi: after 1 frame .* 32x24 to 24x32 pixels"):
        writer.write(np.zeros((32, 24, 3), np.uint8))
    writer.close()
    assert len(list(Video(str(file)))) == 1

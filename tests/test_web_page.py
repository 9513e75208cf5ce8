"""The page of `hierseg web` in Chromium: label maps are the runtime's, of files and of a camera."""

import base64
import contextlib
import threading

import cv2
import numpy as np
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.runtime.packaged_network import packaged_network, packaged_photograph
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.web.engine import find_engine
from hierseg_jax.runtime.web.serve import open_server
from hierseg_jax.runtime.web.site import site_files, write_site
from tests.browser import CHROMIUM, Browser
from tests.conftest import ROOT
from tests.runs import train_here

ENGINE = ROOT / "node_modules/onnxruntime-web"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(
        not ENGINE.is_dir(), reason="needs `npm install onnxruntime-web` in the checkout"
    ),
]
READY = "document.documentElement.dataset.state === 'ready'"
MAPS = """(async () => {
  const { size, rgba, levels } = await (await import("./page.js")).labelMaps();
  const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const maps = Object.entries(levels).map(([name, map]) => [name, text(map)]);
  return { size, rgba: text(rgba), levels: Object.fromEntries(maps) };
})()"""
# Steps of scores, within which two ways of adding numbers may choose another class.
CLEAR = 8


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    train_here(workdir, epochs=2)
    return workdir


@pytest.fixture(scope="module", params=["deploy", "reference", "plain"])
def segmenter(request, workdir, tmp_path_factory):
    file = tmp_path_factory.mktemp("export") / "a.onnx"
    contract = "deploy" if request.param == "plain" else request.param
    export_checkpoint(workdir, file, contract=contract, plain=request.param == "plain")
    segmenter = Segmenter(file, provider="cpu")
    segmenter.file = file
    return segmenter


@contextlib.contextmanager
def served(segmenter, file, folder):
    """The address of a site in a folder."""
    engine = find_engine(str(ENGINE))
    write_site(folder, site_files(segmenter, file.read_bytes(), engine), engine)
    with open_server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def address(segmenter, tmp_path_factory):
    with served(segmenter, segmenter.file, tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """A film for Chromium's camera, which stands still: each frame is the average of all."""
    file = tmp_path_factory.mktemp("camera") / "film.y4m"
    return write_film(file, [smooth_picture((480, 640), 1)] * 3)


def write_film(file, frames):
    with file.open("wb") as film:
        film.write(b"YUV4MPEG2 W640 H480 F15:1 Ip A1:1 C420jpeg\n")
        for frame_hwc in frames:
            film.write(b"FRAME\n" + cv2.cvtColor(frame_hwc, cv2.COLOR_RGB2YUV_I420).tobytes())
    return file


@pytest.fixture
def browser(tmp_path, camera, address):
    with Browser(tmp_path, f"--use-file-for-fake-video-capture={camera}") as browser:
        browser.open(address)
        browser.until(READY)
        yield browser


def smooth_picture(size, seed):
    """Coloured clouds: uint8 RGB [H, W, 3]."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("light", [1, 1 / 8])
def test_an_open_letterbox_goes_without_bars_as_in_the_runtime(tmp_path, light):
    """The network in the package, and a part of its photograph, by day and in the dark."""
    segmenter = Segmenter(packaged_network(), provider="cpu")
    image_hwc = cv2.imread(str(packaged_photograph()))[15:225, 40:413, ::-1]
    image_hwc = np.ascontiguousarray(light * image_hwc).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image_hwc[..., ::-1])
    assert segmenter.prepare(image_hwc)[0].size == (224, 384)
    with (
        served(segmenter, packaged_network(), tmp_path / "site") as address,
        Browser(tmp_path) as browser,
    ):
        browser.open(address)
        browser.until(READY)
        browser.choose_file("#file", tmp_path / "a.png")
        browser.until("!document.getElementById('save').disabled")
        seen_hwc, levels = maps_of(browser)
    np.testing.assert_array_equal(seen_hwc, image_hwc)
    for name, expected_hw in segmenter(image_hwc, refine=True).levels.items():
        assert len(np.unique(expected_hw)) > 1
        assert (levels[name] != expected_hw).mean() <= 1e-3


def maps_of(browser):
    told = browser.run(MAPS)
    height, width = told["size"]

    def array(text, *shape):
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, *shape)

    levels = {name: array(text) for name, text in told["levels"].items()}
    return np.ascontiguousarray(array(told["rgba"], 4)[..., :3]), levels


def assert_refined_labels(segmenter, image_hwc, found):
    enlarged, refined = (segmenter(image_hwc, refine=refine).levels for refine in (False, True))
    finest = segmenter.hierarchy.levels[-1].name
    assert (refined[finest] != enlarged[finest]).mean() > 1e-2
    for name, expected_hw in refined.items():
        assert (found[name] != expected_hw).mean() <= 1e-3


def assert_equal_labels(segmenter, image_hwc, found):
    result = segmenter(image_hwc)
    clear = np.ones(image_hwc.shape[:2], bool)
    if not segmenter.plain:
        enlarged = [result.placement.restore_scores(plane) for plane in result.output.planes]
        best = np.sort(enlarged, axis=0).astype(int)
        clear = best[-1] - best[-2] > CLEAR
        assert clear.mean() > 0.9
    assert found.keys() == result.levels.keys()
    for name, expected_hw in result.levels.items():
        np.testing.assert_array_equal(found[name][clear], expected_hw[clear])


def test_a_picture_has_the_labels_of_the_runtime(browser, segmenter, address, tmp_path):
    image_hwc = smooth_picture((333, 517), 0)
    cv2.imwrite(str(tmp_path / "a.png"), image_hwc[..., ::-1])
    browser.choose_file("#file", tmp_path / "a.png")
    browser.until("!document.getElementById('save').disabled")
    seen_hwc, levels = maps_of(browser)
    np.testing.assert_array_equal(seen_hwc, image_hwc)
    if segmenter.plain:
        assert_equal_labels(segmenter, image_hwc, levels)
    else:
        assert_refined_labels(segmenter, image_hwc, levels)
    shown = browser.run("document.getElementById('legend').innerText")
    finest = segmenter.hierarchy.levels[-1]
    present = np.unique(levels[finest.name])
    names = [finest.class_names[i].replace("_", " ") for i in present if i]
    assert set(names) >= set(shown.split("\n")) - {""}
    assert all(request.startswith(address) for request in browser.requests)


def test_a_legend_of_nothing_says_so_on_the_screen_and_in_a_saved_picture(browser):
    module = "import('./legend.js')"
    browser.run(
        f"""{module}.then(({{showLegend, withLegend}}) => {{
          const list = document.createElement('ul');
          showLegend(list, []);
          const picture = document.createElement('canvas');
          [picture.width, picture.height] = [300, 9];
          const inked = (shown) => {{
            const saved = withLegend(picture, 'part', shown);
            const pixels = saved.getContext('2d').getImageData(0, 9, 300, saved.height - 9);
            let last = 0;
            for (let i = 0; i < pixels.data.length; i += 4)
              if (pixels.data[i] > 60) last = Math.max(last, (i / 4) % 300);
            return last;
          }};
          const one = {{name: 'a', color: '#fff', there: true}};
          window.found = [list.innerText, inked([]), inked([one])];
        }})"""
    )
    browser.until("window.found !== undefined")
    said, nothing, one = browser.run("window.found")
    assert said == "nothing found"
    assert nothing > one + 30


def test_a_frame_of_the_camera_has_the_labels_of_the_runtime(browser, segmenter):
    browser.run("document.getElementById('camera').click()")
    browser.until("document.getElementById('speed').textContent.includes('FPS')")
    browser.run("document.getElementById('pause').click()")
    seen_hwc, levels = maps_of(browser)
    assert seen_hwc.shape == (480, 640, 3)
    assert_equal_labels(segmenter, seen_hwc, levels)


def test_frames_of_a_camera_are_averaged(tmp_path):
    """Of a photograph with a sensor's noise: they come nearer to the mean of all than one does."""
    photograph = cv2.imread(str(packaged_photograph()))[..., ::-1]
    still_hwc = cv2.resize(photograph, (640, 480))
    noise = np.random.default_rng(0).normal(0, 25, (10, *still_hwc.shape))
    frames = (still_hwc + noise).round().clip(0, 255).astype(np.uint8)
    camera = write_film(tmp_path / "film.y4m", frames)
    segmenter = Segmenter(packaged_network(), provider="cpu", image_size=256)
    with (
        served(segmenter, packaged_network(), tmp_path / "site") as address,
        Browser(tmp_path, f"--use-file-for-fake-video-capture={camera}") as browser,
    ):
        browser.open(address)
        browser.until(READY)
        browser.run(
            """(() => {
              const read = window.createImageBitmap.bind(window);
              window.frames_read = 0;
              window.createImageBitmap = (...of) => (window.frames_read++, read(...of));
              document.getElementById('camera').click();
            })()"""
        )
        browser.until("window.frames_read > 12")
        browser.run("document.getElementById('pause').click()")
        seen_hwc, levels = maps_of(browser)
    finest = segmenter.hierarchy.levels[-1].name
    placement = segmenter.prepare(still_hwc)[0]
    coded = (cv2.cvtColor(frame_hwc, cv2.COLOR_RGB2YUV_I420) for frame_hwc in frames)
    read = [cv2.cvtColor(frame_hwc, cv2.COLOR_YUV2RGB_I420) for frame_hwc in coded]
    mean_chw = np.mean([segmenter.score(frame_hwc).output.planes for frame_hwc in read], 0)
    mean_hw = segmenter.finish(mean_chw.astype(np.uint16), placement)[finest]
    alone_hw = segmenter(seen_hwc).levels[finest]
    assert (levels[finest] != mean_hw).mean() < 0.7 * (alone_hw != mean_hw).mean()


def test_a_camera_is_off_where_a_frame_fails(browser):
    """Frames that can't be had, as where the network runs out of memory."""
    browser.run(
        """(() => {
          const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (wish) => (window.stream = await given(wish));
          window.createImageBitmap = async () => { throw new Error("no memory"); };
          document.getElementById('camera').click();
        })()"""
    )
    browser.until("document.getElementById('notice').textContent === 'no memory'")
    assert browser.run("window.stream.getTracks().every((track) => track.readyState === 'ended')")
    assert browser.run("document.getElementById('pause').hidden")


def test_the_page_has_threads_and_needs_no_network_once_loaded(browser, address):
    assert browser.run("crossOriginIsolated")
    assert "CPU" in browser.run("document.getElementById('device').textContent")
    browser.call(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=0,
        uploadThroughput=0,
    )
    browser.open(f"{address}?again")
    browser.until(READY)

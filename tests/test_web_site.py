"""What `hierseg web` writes, serves, and refuses to replace."""

import base64
import hashlib
import json
import socket
import struct
import threading
import urllib.request

import pytest

from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.web.engine import CDN, DIGESTS, Engine, find_engine
from hierseg_jax.runtime.web.serve import open_server
from hierseg_jax.runtime.web.site import PAGE, RECORD, model_json, site_files, write_site
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.test_command import hierseg
from tests.test_runtime import reference_file

ENGINE = Engine("0", "https://example.org/", {}, {})


@pytest.fixture
def package(tmp_path):
    """An npm package with nothing in its files."""
    dist = tmp_path / "package" / "dist"
    dist.mkdir(parents=True)
    for name in DIGESTS:
        (dist / name).write_text(f"// {name}")
    (dist.parent / "package.json").write_text('{"version": "9.8.7"}')
    return dist.parent


def contents(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_command_writes_a_site_and_says_how_to_see_it(tmp_path, package):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    done = hierseg("web", file, f"--output={tmp_path / 'my site'}", f"--runtime={package}")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"--directory '{tmp_path / 'my site'}' 8000" in done.stdout
    assert done.stdout.endswith("and open http://localhost:8000\n")
    site = contents(tmp_path / "my site")
    assert {"index.html", "model.onnx", "model.json", RECORD} < site.keys()
    model = json.loads(site["model.json"])
    assert model["file"]["sha256"] == hashlib.sha256(site["model.onnx"]).hexdigest()
    assert [level["name"] for level in model["levels"]] == ["body", "upper_lower", "part"]
    assert model["levels"][2]["colors_rgb"] == PASCAL_PERSON_PART.levels[2].colors.tolist()
    assert (model["image_size"], model["contract"], model["plain"]) == (
        [8, 16],
        "reference",
        False,
    )


def test_a_file_without_metadata_is_refused(tmp_path):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx"))
    with pytest.raises(HiersegError, match="has no metadata"):
        model_json(segmenter, b"")


def test_a_site_takes_the_place_of_an_earlier_one_and_leaves_other_files(tmp_path):
    folder = tmp_path / "site"
    write_site(folder, {"a": b"1", "runtime/b": b"2"}, ENGINE)
    (folder / "CNAME").write_text("example.org")
    write_site(folder, {"a": b"3", "c": b"4"}, ENGINE)
    found = contents(folder)
    assert found.keys() == {"a", "c", "CNAME", RECORD}
    assert (found["a"], found["CNAME"]) == (b"3", b"example.org")


def test_what_was_not_written_here_is_never_replaced(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(HiersegError, match=r"holds files, and no site\.json"):
        write_site(folder, {"a": b"1"}, ENGINE)
    with pytest.raises(HiersegError, match="is a file; --output is a folder"):
        write_site(folder / "mine", {"a": b"1"}, ENGINE)
    (folder / "mine").unlink()
    write_site(folder, {"a": b"1", "b": b"2"}, ENGINE)
    (folder / "a").write_text("changed by hand")
    before = contents(folder)
    with pytest.raises(HiersegError, match="has been changed since"):
        write_site(folder, {"a": b"3", "b": b"4"}, ENGINE)
    assert contents(folder) == before
    # What the new site does not have, and was changed, stays as well.
    write_site(folder, {"b": b"4"}, ENGINE)
    assert (folder / "a").read_text() == "changed by hand"


@pytest.mark.parametrize(
    "record", ["{", "[]", '{"sha256_of_files": 3}', '{"sha256_of_files": {"a": 3}}']
)
def test_a_record_of_something_else_is_refused(tmp_path, record):
    (tmp_path / RECORD).write_text(record)
    with pytest.raises(HiersegError, match="is not the record of an earlier site"):
        write_site(tmp_path, {"a": b"1"}, ENGINE)


def test_a_record_can_not_lead_out_of_the_folder(tmp_path):
    folder, beside = tmp_path / "site", tmp_path / "beside"
    beside.write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    folder.mkdir()
    (folder / RECORD).write_text(json.dumps({"sha256_of_files": {"../beside": [digest]}}))
    write_site(folder, {"a": b"1"}, ENGINE)
    assert beside.read_text() == "x"


def test_the_engine_is_an_installed_package_or_a_pinned_one_with_digests(
    package, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found = find_engine(str(package))
    assert (found.version, found.base, found.files.keys()) == ("9.8.7", "runtime/", DIGESTS.keys())
    for name, data in found.files.items():
        digest = base64.b64encode(hashlib.sha384(data).digest()).decode()
        assert found.integrity[name] == f"sha384-{digest}"
    assert find_engine(str(package / "dist")) == found
    pinned = find_engine(None)
    assert (pinned.base, pinned.files) == (CDN, {})
    assert all(len(base64.b64decode(text[7:])) == 48 for text in pinned.integrity.values())
    (tmp_path / "node_modules").mkdir()
    package.rename(tmp_path / "node_modules" / "onnxruntime-web")
    assert find_engine(None) == found
    package = tmp_path / "node_modules" / "onnxruntime-web"
    (package / "dist" / "ort.wasm.min.mjs").unlink()
    with pytest.raises(HiersegError, match=r"lacks ort\.wasm\.min\.mjs"):
        find_engine(str(package))


def test_all_that_the_page_loads_is_in_the_package_and_kept_for_offline_use(tmp_path, package):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    names = site_files(segmenter, b"", find_engine(str(package))).keys()
    assert {f"runtime/{name}" for name in DIGESTS} < names
    worker = (PAGE / "service-worker.js").read_text()
    listed = set(json.loads("[" + worker.split("SMALL = [")[1].split(",\n]")[0] + "]"))
    small = {file.name for file in PAGE.iterdir()} - {"index.html", "service-worker.js"}
    assert listed == small | {"./", "model.json", RECORD}


def test_a_browser_that_goes_away_is_not_told_of(tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(bytes(1 << 24))
    with open_server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.create_connection(("127.0.0.1", server.server_port)) as visitor:
            visitor.sendall(b"GET /a.bin HTTP/1.0\r\n\r\n")
            visitor.recv(100)
            # Closes at once, with what was sent unread.
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(60)
        server.shutdown()
    assert capsys.readouterr().err == ""


def test_it_is_served_with_the_headers_that_threads_need(tmp_path):
    (tmp_path / "a.js").write_text("1")
    with open_server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://localhost:{server.server_port}/a.js") as answer:
            headers = dict(answer.headers)
        with pytest.raises(HiersegError, match="give another --port"):
            open_server(tmp_path, server.server_port)
        server.shutdown()
    assert headers["Content-type"] == "text/javascript"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"

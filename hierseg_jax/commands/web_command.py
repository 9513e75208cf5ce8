"""Writes a page that runs an exported network in the browser; needs no JAX.

hierseg web figures.onnx --output=site
"""

import shlex
from pathlib import Path

from hierseg_jax.runtime.packaged_network import network_file
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.web.engine import find_engine
from hierseg_jax.runtime.web.serve import open_server
from hierseg_jax.runtime.web.site import site_files, write_site
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size
from hierseg_jax.system.paths import local_path

FLAGS = CommandFlags()
_ONNX_FILE = FLAGS.string("onnx_file", None, "Of `hierseg export`; the network in the package.")
FLAGS.alias("model", "onnx_file")
_OUTPUT = FLAGS.string(
    "output", None, "Folder: new, empty, or with an earlier site.", required=True
)
_RUNTIME = FLAGS.string(
    "runtime",
    None,
    "Folder of the npm package onnxruntime-web; by default in ./node_modules, or else the page "
    "loads it from a CDN.",
)
_IMAGE_SIZE = FLAGS.list("image_size", None, "Side, or height,width, if the file is open.")
_SERVE = FLAGS.bool("serve", False, "Then serve it on this machine.")
_PORT = FLAGS.integer("port", 8000, "Of --serve.", 0, 65535)


@command(FLAGS, bare="onnx_file")
def main() -> None:
    """Writes the site, and serves it where that is asked for."""
    file, folder = local_path(network_file(_ONNX_FILE.value)), local_path(_OUTPUT.value)
    engine = find_engine(_RUNTIME.value)
    # What it can't open or does not understand, the page could not either.
    segmenter = Segmenter(file, provider="cpu", image_size=parse_size(_IMAGE_SIZE.value))
    files = site_files(segmenter, file.read_bytes(), engine)
    write_site(folder, files, engine)
    size = sum(map(len, files.values())) / 1e6
    place = "with it" if engine.files else f"from {engine.base}"
    print(f"{folder}: {size:.1f} MB, onnxruntime-web {engine.version} {place}")
    if _SERVE.value:
        _serve(folder, _PORT.value)
    else:
        where = shlex.quote(str(folder))
        print(
            f"Next: python -m http.server --bind 127.0.0.1 --directory {where} 8000\n"
            "and open http://localhost:8000"
        )


def _serve(folder: Path, port: int) -> None:
    with open_server(folder, port) as server:
        print(f"Open http://localhost:{server.server_port} (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()

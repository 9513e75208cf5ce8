"""Serves a site on this machine, with the headers that threads in a page need."""

import functools
import http.server
import sys
from pathlib import Path
from typing import Any

from hierseg_jax.system.errors import HiersegOSError

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, quietly."""

    # What the system has for them may be anything; browsers run no module of another kind.
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".css": "text/css",
        ".html": "text/html",
        ".js": "text/javascript",
        ".json": "application/json",
        ".mjs": "text/javascript",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:  # noqa: D102
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:  # noqa: D102
        pass


class Server(http.server.ThreadingHTTPServer):
    """One that says nothing of browsers that go away before they have all of a file."""

    def handle_error(self, *given: Any) -> None:  # noqa: D102
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*given)


def open_server(folder: Path, port: int) -> Server:
    """A server of a folder at 127.0.0.1, which `serve_forever` starts.

    Args:
      folder: of a site.
      port: 0 for any that is free.

    Raises:
      HiersegError: the port is taken.
    """
    handler = functools.partial(Handler, directory=str(folder))
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise HiersegOSError(
            f"Port {port} can't be used ({error.strerror or error}); give another --port, or 0 for "
            "any that is free."
        ) from error

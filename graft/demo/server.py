"""A static file server on loopback."""

import errno
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tasks.common.errors import GraftError

LOOPBACK = "127.0.0.1"


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    # Browsers refuse modules and WebAssembly of another type.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".json": "application/json",
    }

    def end_headers(self) -> None:
        """Let the browser ask again each time: the folder may be made anew."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the name in the base class
        """Write nothing: the address is all that the user needs."""


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return the server of a folder on a port of loopback; 0: any that is free.

    Raises:
        GraftError: The port is in use.
    """
    try:
        return ThreadingHTTPServer((LOOPBACK, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        message = f"port {port} is in use. Choose another --port, or 0 for any that is free."
        raise GraftError(message) from error

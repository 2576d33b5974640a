"""A static file server on loopback."""

import errno
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tasks.common.errors import GraftError

LOOPBACK = "127.0.0.1"


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    # Browsers refuse modules and WebAssembly of another type.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".css": "text/css",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript",
        ".json": "application/json",
        ".mjs": "text/javascript",
        ".onnx": "application/octet-stream",
        ".wasm": "application/wasm",
        ".webp": "image/webp",
    }

    def end_headers(self) -> None:
        """Let the browser ask again each time: the folder may be made anew."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the name in the base class
        """Write nothing: the address is all that the user needs."""


class Server(ThreadingHTTPServer):
    """The server of a folder. Closing a page while it loads is no error."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a fault while a request is answered, except that the browser ended the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def make_server(folder: Path, port: int) -> Server:
    """Return the server of a folder on a port of loopback; 0: any that is free.

    Raises:
        GraftError: The port is in use, or needs rights that the user lacks.
    """
    try:
        return Server((LOOPBACK, port), partial(Handler, directory=str(folder)))
    except OSError as error:
        reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs the rights of an administrator"}
        if error.errno not in reasons:
            raise
        message = f"port {port} {reasons[error.errno]}. Choose another --port, or 0 for any that is free."
        raise GraftError(message) from error

"""A real HTTP server on loopback that serves one file, with the faults that its script lists."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    """A request that the host received: its path, and its headers by lower-case name."""

    path: str
    headers: dict[str, str]


class Host(ThreadingHTTPServer):
    """Serves `content` at every path; each GET takes the next act of `script`, or `then` when there is none.

    `validator` is the header that identifies a version of the content: etag, weak (a weak ETag), modified, or none.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, content: bytes, validator: str = "etag") -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.validator = validator
        self.version = 1
        self.script: list[str] = []
        self.then = "good"
        self.requests: list[Request] = []
        self.gate = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def renew(self) -> None:
        """Change the content, but not its length."""
        self.version += 1
        self.content = bytes(byte ^ self.version for byte in self.content)

    def ranges(self) -> list[str | None]:
        """List the Range header of every request so far."""
        return [request.headers.get("range") for request in self.requests]

    def handle_error(self, *_: object) -> None:
        """Ignore clients that close the connection."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request of a connection."""

    protocol_version = "HTTP/1.1"
    server: Host

    def do_GET(self) -> None:
        """Play the next act of the script."""
        host = self.server
        host.requests.append(Request(self.path, {name.lower(): value for name, value in self.headers.items()}))
        name, _, argument = (host.script.pop(0) if host.script else host.then).partition(" ")
        self.close_connection = True
        getattr(self, f"play_{name}")(*[argument] if argument else [])

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def requested_offset(self) -> int:
        """Return the first byte of the requested range; 0 without one, or when If-Range names another version."""
        text = self.headers.get("Range")
        guard = self.headers.get("If-Range")
        return int(text[len("bytes=") : -1]) if text and guard in {None, *self.validator_headers().values()} else 0

    def validator_headers(self) -> dict[str, str]:
        """Return the headers that identify this version of the content."""
        version = self.server.version
        return {
            "etag": {"ETag": f'"v{version}"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
            "weak": {"ETag": f'W/"v{version}"'},
            "modified": {"Last-Modified": f"Mon, 01 Jan 2024 00:00:{version:02} GMT"},
            "none": {},
        }[self.server.validator]

    def send_head(self, status: int, headers: dict[str, str]) -> None:
        """Send the status line and the headers."""
        self.send_response(status)
        for name, value in (headers | {"Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()

    def send_head_from(self, start: int, **more: str) -> bytes:
        """Send the headers of the content from the byte `start` on, and return these bytes."""
        content = self.server.content
        headers = self.validator_headers() | {"Content-Length": str(len(content) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_head(206 if start else 200, headers | {name.replace("_", "-"): text for name, text in more.items()})
        return content[start:]

    def play_good(self) -> None:
        """Send the requested bytes."""
        if self.requested_offset() < len(self.server.content):
            self.wfile.write(self.send_head_from(self.requested_offset()))
        else:
            self.play_status("416")

    def play_ignore(self) -> None:
        """Send the whole file whatever range is requested."""
        self.wfile.write(self.send_head_from(0))

    def play_status(self, text: str) -> None:
        """Answer with this status, and with the Retry-After that follows it, if any."""
        status, _, retry_after = text.partition(" ")
        headers = {"Retry-After": retry_after} if retry_after else {}
        self.send_head(int(status), headers | {"Content-Length": "0"})

    def play_redirect(self, target: str) -> None:
        """Send the client elsewhere."""
        self.send_head(302, {"Location": target, "Content-Length": "0"})

    def send_half(self, **headers: str) -> None:
        """Send the first half of the requested bytes."""
        rest = self.send_head_from(self.requested_offset(), **headers)
        self.wfile.write(rest[: len(rest) // 2])

    def play_cut(self) -> None:
        """Close in the middle."""
        self.send_half()

    def play_reset(self) -> None:
        """Reset the connection in the middle."""
        self.send_half()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def play_stall(self) -> None:
        """Send half, then nothing until the client closes the connection."""
        self.send_half()
        self.connection.recv(1)

    def play_silence(self) -> None:
        """Send nothing until the client closes the connection."""
        self.connection.recv(1)

    def play_gate(self) -> None:
        """Send half, and the rest when the test opens the gate."""
        rest = self.send_head_from(self.requested_offset())
        self.wfile.write(rest[: len(rest) // 2])
        self.server.gate.wait(60)
        with suppress(OSError):
            self.wfile.write(rest[len(rest) // 2 :])

    def play_ignore_cut(self) -> None:
        """Start from the beginning whatever range is requested, and close in the middle."""
        rest = self.send_head_from(0)
        self.wfile.write(rest[: len(rest) // 2])

    def play_renew_cut(self) -> None:
        """Change the content, then close in the middle."""
        self.server.renew()
        self.send_half()

    def play_careless(self) -> None:
        """Change the content, and send the rest of the new one though If-Range names the old one."""
        self.server.renew()
        text = self.headers.get("Range")
        if text:
            self.wfile.write(self.send_head_from(int(text[len("bytes=") : -1])))
        else:
            self.send_half()

    def play_corrupt(self) -> None:
        """Send other bytes."""
        self.wfile.write(self.send_head_from(self.requested_offset())[::-1])

    def play_corrupt_cut(self) -> None:
        """Send other bytes, and close in the middle."""
        rest = self.send_head_from(self.requested_offset())[::-1]
        self.wfile.write(rest[: len(rest) // 2])

    def play_excess(self) -> None:
        """Send more bytes than announced."""
        self.wfile.write(self.send_head_from(self.requested_offset()) + b"more")

    def play_chunked_range(self, more: str) -> None:
        """Send a range in chunks, longer than announced, or shorter for 'less'; cut without a range request."""
        size = len(self.server.content)
        start = self.requested_offset()
        if not start:
            self.send_half()
            return
        self.send_head(
            206,
            self.validator_headers()
            | {"Content-Range": f"bytes {start}-{size - 1}/{size}", "Transfer-Encoding": "chunked"},
        )
        self.send_chunk(self.server.content[start:-1] if more == "less" else self.server.content[start:] + b"more")

    def play_range(self, template: str) -> None:
        """Answer a range request with a Content-Range of this template; cut where that would be right, or no range."""
        start, size = self.requested_offset(), len(self.server.content)
        content_range = template.format(first=start, last=size - 1, total=size, past=start + 1, more=size + 1)
        if start and content_range != f"bytes {start}-{size - 1}/{size}":
            self.wfile.write(self.send_head_from(start, Content_Range=content_range))
        else:
            self.send_half()

    def play_long_range(self) -> None:
        """Answer a range request with a body that is longer than announced; cut without a range request."""
        start = self.requested_offset()
        if start:
            length = str(len(self.server.content) - start + len(b"more"))
            self.wfile.write(self.send_head_from(start, Content_Length=length) + b"more")
        else:
            self.send_half()

    def play_unsatisfiable(self) -> None:
        """Refuse the range; cut without a range request."""
        if self.requested_offset():
            self.play_status("416")
        else:
            self.send_half()

    def play_unnamed_length(self) -> None:
        """Send the file without its length, as old servers do: its end is the end of the connection."""
        self.send_head(200, self.validator_headers())
        self.wfile.write(self.server.content)

    def play_unnamed_length_cut(self) -> None:
        """Close in the middle without having announced a length."""
        self.send_head(200, self.validator_headers())
        self.wfile.write(self.server.content[: len(self.server.content) // 2])

    def play_chunked(self) -> None:
        """Send the file in chunks."""
        self.send_head(200, self.validator_headers() | {"Transfer-Encoding": "chunked"})
        self.send_chunk(self.server.content)

    def play_chunked_cut(self) -> None:
        """Close without the last chunk."""
        self.send_head(200, self.validator_headers() | {"Transfer-Encoding": "chunked"})
        self.send_chunk(self.server.content[: len(self.server.content) // 2], ended=False)

    def send_chunk(self, body: bytes, *, ended: bool = True) -> None:
        """Send one chunk, unless it is empty, which would mean the end; then send the end."""
        chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        self.wfile.write(chunk + (b"0\r\n\r\n" if ended else b""))

    def play_gzip(self) -> None:
        """Claim that the content is encoded."""
        self.wfile.write(self.send_head_from(0, Content_Encoding="gzip"))


@contextmanager
def serve(content: bytes, validator: str = "etag") -> Iterator[Host]:
    """Run a host while the block runs."""
    with Host(content, validator) as host:
        threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
        yield host
        host.gate.set()
        host.shutdown()

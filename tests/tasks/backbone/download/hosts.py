"""A real HTTP server on loopback that serves one file, and misbehaves as its script says."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    """A request as it came: its path, and its headers by lower-case name."""

    path: str
    headers: dict[str, str]


class Host(ThreadingHTTPServer):
    """Serves `content` at every path; each GET takes the next act of `script`, or `then` when there is none.

    `naming` says how versions of the content are named: etag, weak (an ETag that is not strong), modified, or none.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, content: bytes, naming: str = "etag") -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.naming = naming
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
        """Keep quiet about clients that leave."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

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

    def asked(self) -> int:
        """Return the first byte that is asked for, and may be given: 0 unless the range is for this very version."""
        text = self.headers.get("Range")
        guard = self.headers.get("If-Range")
        return int(text[len("bytes=") : -1]) if text and guard in {None, *self.names().values()} else 0

    def names(self) -> dict[str, str]:
        """Return the headers that name this version of the content."""
        version = self.server.version
        return {
            "etag": {"ETag": f'"v{version}"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
            "weak": {"ETag": f'W/"v{version}"'},
            "modified": {"Last-Modified": f"Mon, 01 Jan 2024 00:00:{version:02} GMT"},
            "none": {},
        }[self.server.naming]

    def head(self, status: int, headers: dict[str, str]) -> None:
        """Send the status line and the headers."""
        self.send_response(status)
        for name, value in (headers | {"Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()

    def announce(self, start: int, **others: str) -> bytes:
        """Send the headers of the content from `start` on, and return that rest."""
        content = self.server.content
        headers = self.names() | {"Content-Length": str(len(content) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.head(206 if start else 200, headers | {name.replace("_", "-"): text for name, text in others.items()})
        return content[start:]

    def play_good(self) -> None:
        """Send what is asked for."""
        if self.asked() < len(self.server.content):
            self.wfile.write(self.announce(self.asked()))
        else:
            self.play_status("416")

    def play_ignore(self) -> None:
        """Send the whole file whatever range is asked for."""
        self.wfile.write(self.announce(0))

    def play_status(self, text: str) -> None:
        """Answer with this status, and with the Retry-After that follows it, if any."""
        status, _, retry_after = text.partition(" ")
        headers = {"Retry-After": retry_after} if retry_after else {}
        self.head(int(status), headers | {"Content-Length": "0"})

    def play_redirect(self, target: str) -> None:
        """Send the client elsewhere."""
        self.head(302, {"Location": target, "Content-Length": "0"})

    def half(self, **headers: str) -> None:
        """Send half of what is asked for."""
        rest = self.announce(self.asked(), **headers)
        self.wfile.write(rest[: len(rest) // 2])

    def play_cut(self) -> None:
        """Close in the middle."""
        self.half()

    def play_reset(self) -> None:
        """Reset the connection in the middle."""
        self.half()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def play_stall(self) -> None:
        """Send half and then nothing until the client goes."""
        self.half()
        self.connection.recv(1)

    def play_silence(self) -> None:
        """Send nothing at all until the client goes."""
        self.connection.recv(1)

    def play_gate(self) -> None:
        """Send half, and the rest when the test opens the gate."""
        rest = self.announce(self.asked())
        self.wfile.write(rest[: len(rest) // 2])
        self.server.gate.wait(60)
        with suppress(OSError):
            self.wfile.write(rest[len(rest) // 2 :])

    def play_ignore_cut(self) -> None:
        """Start from the beginning whatever range is asked for, and close in the middle."""
        rest = self.announce(0)
        self.wfile.write(rest[: len(rest) // 2])

    def play_renew_cut(self) -> None:
        """Change the content, then close in the middle."""
        self.server.renew()
        self.half()

    def play_careless(self) -> None:
        """Change the content, and send the rest of the new one though If-Range asks for the old one."""
        self.server.renew()
        text = self.headers.get("Range")
        if text:
            self.wfile.write(self.announce(int(text[len("bytes=") : -1])))
        else:
            self.half()

    def play_corrupt(self) -> None:
        """Send other bytes."""
        self.wfile.write(self.announce(self.asked())[::-1])

    def play_corrupt_cut(self) -> None:
        """Send other bytes, and close in the middle."""
        rest = self.announce(self.asked())[::-1]
        self.wfile.write(rest[: len(rest) // 2])

    def play_excess(self) -> None:
        """Send more bytes than announced."""
        self.wfile.write(self.announce(self.asked()) + b"more")

    def play_chunked_range(self, more: str) -> None:
        """Send a range in chunks, longer than its Content-Range says, or shorter for 'less'; cut when none is asked."""
        size = len(self.server.content)
        start = self.asked()
        if not start:
            self.half()
            return
        self.head(
            206,
            self.names() | {"Content-Range": f"bytes {start}-{size - 1}/{size}", "Transfer-Encoding": "chunked"},
        )
        self.chunks(self.server.content[start:-1] if more == "less" else self.server.content[start:] + b"more")

    def play_range(self, template: str) -> None:
        """Answer a range request with this Content-Range, made from first, last and total; cut when none is asked."""
        start, size = self.asked(), len(self.server.content)
        if start:
            told = template.format(first=start, last=size - 1, total=size, past=start + 1, more=size + 1)
            self.wfile.write(self.announce(start, Content_Range=told))
        else:
            self.half()

    def play_long_range(self) -> None:
        """Answer a range request with a body that is longer than its Content-Range says; cut when none is asked."""
        start = self.asked()
        if start:
            length = str(len(self.server.content) - start + len(b"more"))
            self.wfile.write(self.announce(start, Content_Length=length) + b"more")
        else:
            self.half()

    def play_unsatisfiable(self) -> None:
        """Refuse the range; cut when none is asked for."""
        if self.asked():
            self.play_status("416")
        else:
            self.half()

    def play_unnamed_length(self) -> None:
        """Send the file without its length, as old servers do: its end is the end of the connection."""
        self.head(200, self.names())
        self.wfile.write(self.server.content)

    def play_unnamed_length_cut(self) -> None:
        """Close in the middle without having told a length."""
        self.head(200, self.names())
        self.wfile.write(self.server.content[: len(self.server.content) // 2])

    def play_chunked(self) -> None:
        """Send the file in chunks."""
        self.head(200, self.names() | {"Transfer-Encoding": "chunked"})
        self.chunks(self.server.content)

    def play_chunked_cut(self) -> None:
        """Close without the last chunk."""
        self.head(200, self.names() | {"Transfer-Encoding": "chunked"})
        self.chunks(self.server.content[: len(self.server.content) // 2], ended=False)

    def chunks(self, body: bytes, *, ended: bool = True) -> None:
        """Send one chunk, and the end."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if ended else b""))

    def play_gzip(self) -> None:
        """Claim that the content is encoded."""
        self.wfile.write(self.announce(0, Content_Encoding="gzip"))


@contextmanager
def serving(content: bytes, naming: str = "etag") -> Iterator[Host]:
    """Run a host while the block runs."""
    with Host(content, naming) as host:
        threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
        yield host
        host.gate.set()
        host.shutdown()

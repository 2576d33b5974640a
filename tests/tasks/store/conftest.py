"""An empty store in a folder, and a real S3 server on loopback."""

import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from pyarrow import fs
from werkzeug.serving import make_server

from tasks.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class S3Server:
    """Serves S3 on loopback; a request whose method and path match `denied` is answered with 403."""

    def __init__(self) -> None:
        """Start to serve."""
        self.denied = re.compile("")
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def options(self) -> str:
        """The end of the address of a bucket on this server."""
        return options(self._server.server_port)

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self.denied.fullmatch(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"):
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


def options(port: int) -> str:
    """Return the end of the address of a bucket at a port of loopback."""
    return f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file and no service of this machine give credentials."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest, credentials: None) -> str:  # noqa: ARG001
    """Make a bucket and return the address of a folder in it."""
    name = f"test-{zlib.crc32(request.node.name.encode())}"
    fs.FileSystem.from_uri(f"s3://{name}{server.options}&allow_bucket_creation=true")[0].create_dir(name)
    return f"s3://{name}/a/store{server.options}"

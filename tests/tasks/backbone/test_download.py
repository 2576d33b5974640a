"""Downloads, from a real HTTP server on loopback that serves and misbehaves."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.backbone.download import fetch, imagenet
from tasks.backbone.registry import ARCHITECTURES
from tasks.common.errors import DownloadError, GraftError

CONTENT = bytes(range(256)) * 9000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT at every path; the first folder of the path names a fault."""

    def do_GET(self) -> None:
        """Answer with the content, or with the fault that the path names."""
        fault = self.path.split("/")[1]
        if fault.isdigit():
            self.send_error(int(fault))
            return
        if fault == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "/good/file.h5")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write({"short": CONTENT[:-1000], "wrong": CONTENT[::-1]}.get(fault, CONTENT))

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("fault", ["good", "elsewhere"])
def test_a_file_arrives_whole_also_through_a_redirect(host: str, tmp_path: Path, fault: str) -> None:
    fetch(f"{host}/{fault}/file.h5", tmp_path / "file.h5", MD5)
    assert (tmp_path / "file.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["404", "500", "503", "short", "wrong"])
def test_after_a_fault_no_file_is_in_place_and_the_error_tells_what_to_do(
    host: str, tmp_path: Path, fault: str
) -> None:
    url = f"{host}/{fault}/file.h5"
    with pytest.raises(DownloadError) as caught:
        fetch(url, tmp_path / "file.h5", MD5)
    told = str(caught.value)
    assert url in told
    assert "\n" not in told
    assert f"Put the file there by hand as {tmp_path / 'file.h5'}, or set backbone.weights to starter" in told
    assert list(tmp_path.iterdir()) == []


def test_without_network_the_url_and_the_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    with pytest.raises(DownloadError) as caught:
        imagenet(ARCHITECTURES["VGG16"], None, "http://127.0.0.1:9")
    told = str(caught.value)
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert f"cannot download http://127.0.0.1:9/vgg16/{name}" in told
    assert str(tmp_path / "weights" / name) in told


def test_a_file_in_the_cache_is_used_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    place = tmp_path / "weights" / "mobilenet_5_0_224_tf_no_top.h5"
    place.parent.mkdir()
    place.touch()
    assert imagenet(ARCHITECTURES["MobileNet"], 0.5, "http://127.0.0.1:9") == place


def test_a_width_without_imagenet_weights_is_refused() -> None:
    with pytest.raises(GraftError) as caught:
        imagenet(ARCHITECTURES["MobileNet"], 0.3, None)
    assert str(caught.value) == "MobileNet has ImageNet weights for alpha 0.25, 0.5, 0.75, 1.0; found 0.3."

"""The files of onnxruntime-web, fetched by npm from a registry on loopback."""

import base64
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from graft import GraftError
from graft.demo.server import make_server
from graft.demo.web_runtime import FILES, VERSION, copy_runtime


def write_package(folder: Path, address: str) -> None:
    """Write a package of the same name and version with other files, as a registry offers it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        content = json.dumps({"name": "onnxruntime-web", "version": VERSION}).encode()
        member = tarfile.TarInfo("package/package.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    package = buffer.getvalue()
    (folder / "other.tgz").write_bytes(package)
    digest = base64.b64encode(hashlib.sha512(package).digest()).decode()
    dist = {"tarball": f"{address}/other.tgz", "integrity": f"sha512-{digest}"}
    version = {"name": "onnxruntime-web", "version": VERSION, "dist": dist}
    facts = {"name": "onnxruntime-web", "dist-tags": {"latest": VERSION}, "versions": {VERSION: version}}
    (folder / "onnxruntime-web").write_text(json.dumps(facts))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder as npm's registry, for a Python environment without the package and an empty cache."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with make_server(folder, 0) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        write_package(folder, address)
        monkeypatch.setenv("npm_config_registry", address)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def refuse(tmp_path: Path) -> str:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(GraftError) as caught:
        copy_runtime(target, None)
    assert list(target.iterdir()) == []
    assert not (tmp_path / "cache").exists()
    return str(caught.value)


def test_another_package_than_the_published_one_is_refused(registry: Path, tmp_path: Path) -> None:
    assert (registry / "other.tgz").exists()
    message = refuse(tmp_path)
    assert message.startswith(
        f"npm delivered another onnxruntime-web {VERSION} than the published one: expected SHA-512"
    )
    assert message.endswith("Check which registry npm uses.")


def test_a_registry_without_the_package_is_named_by_npm(registry: Path, tmp_path: Path) -> None:
    (registry / "onnxruntime-web").unlink()
    message = refuse(tmp_path)
    assert message.startswith(f"npm cannot fetch onnxruntime-web {VERSION}: ")
    assert "404" in message
    assert message.endswith("Check the network, or give the folder of the package with --runtime.")


def test_a_machine_without_npm_is_told_to_install_it(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(registry))
    assert refuse(tmp_path) == (
        f"the page needs the npm package onnxruntime-web {VERSION}, and npm is not installed. Install Node.js, or give "
        "the folder of the package with --runtime."
    )


def test_the_package_in_the_cache_is_used_without_npm(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(registry))
    package = tmp_path / "cache" / "npm" / f"onnxruntime-web-{VERSION}"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": VERSION}))
    for name in FILES:
        (package / "dist" / name).write_text(name)
    (tmp_path / "target").mkdir()
    copy_runtime(tmp_path / "target", None)
    assert {path.name: path.read_text() for path in (tmp_path / "target").iterdir()} == {name: name for name in FILES}

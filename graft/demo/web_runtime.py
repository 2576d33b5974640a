"""The files of onnxruntime-web that the page needs: installed, in the cache, or fetched once by npm."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder, cache_folder
from tasks.common.progress import say
from tasks.common.text import printable

VERSION = "1.30.0"
# npm's own hash of the package in this version.
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# Without support for graphics cards, which would need larger files.
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SECONDS = 300


def copy_runtime(target: Path, package: Path | None) -> None:
    """Copy the files into the folder `target`, from the folder of the package, if that is given.

    Otherwise they are taken from `node_modules` of the Python environment, or from the cache, into which npm fetches
    the package once.

    Raises:
        GraftError: The package is another one or of another version, or it cannot be fetched.
    """
    if package is not None:
        _check(package)
        source = package
    else:
        source = next((folder for folder in (_installed(), _cached()) if _version(folder) == VERSION), None) or _fetch()
    for name in FILES:
        shutil.copyfile(source / "dist" / name, target / name)


def _installed() -> Path:
    return Path(sys.prefix) / "node" / "node_modules" / "onnxruntime-web"


def _cached() -> Path:
    return cache_folder() / "npm" / f"onnxruntime-web-{VERSION}"


def _version(package: Path) -> str | None:
    """Return the version of a folder that holds the package with all files; None if it does not."""
    try:
        facts = json.loads((package / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_complete = all((package / "dist" / name).is_file() for name in FILES)
    if not is_complete or not isinstance(facts, dict) or facts.get("name") != "onnxruntime-web":
        return None
    return str(facts.get("version"))


def _check(package: Path) -> None:
    version = _version(package)
    if version is None:
        message = (
            f"{printable(str(package))} is not the folder of the npm package onnxruntime-web: expected a package.json "
            f"of that name, and dist/{FILES[0]}."
        )
        raise GraftError(message)
    if version != VERSION:
        message = (
            f"{printable(str(package))} holds onnxruntime-web {printable(version)}; the page needs {VERSION}. Install "
            f"that version: npm install onnxruntime-web@{VERSION}."
        )
        raise GraftError(message)


def _fetch() -> Path:
    """Fetch the package into the cache and return its folder."""
    npm = shutil.which("npm")
    if npm is None:
        message = (
            f"the page needs the npm package onnxruntime-web {VERSION}, and npm is not installed. Install Node.js, or "
            "give the folder of the package with --runtime."
        )
        raise GraftError(message)
    say(f"graft demo: npm fetches onnxruntime-web {VERSION} into the cache; this is done once")
    with TemporaryDirectory() as folder:
        _unpack(_download(npm, Path(folder)))
    return _cached()


def _download(npm: str, folder: Path) -> Path:
    """Let npm fetch the package into a folder, and return its archive, whose hash is checked."""
    command = [
        npm,
        "pack",
        f"onnxruntime-web@{VERSION}",
        "--loglevel=error",
        "--ignore-scripts",
        "--pack-destination",
        ".",
    ]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        reason = " ".join((done.stderr or done.stdout).split())[-300:] or f"it ended with exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"it had not ended after {SECONDS} s"
    packages = list(folder.glob("*.tgz"))
    if len(packages) != 1:
        message = (
            f"npm cannot fetch onnxruntime-web {VERSION}: {printable(reason).rstrip('.')}. Check the network, or give "
            "the folder of the package with --runtime."
        )
        raise GraftError(message)
    digest = base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
    if digest != SHA512:
        message = (
            f"npm delivered another onnxruntime-web {VERSION} than the published one: expected SHA-512 {SHA512}, found "
            f"{digest}. Check which registry npm uses."
        )
        raise GraftError(message)
    return packages[0]


def _unpack(package: Path) -> None:
    """Write the files that the page needs, and package.json, into the cache."""
    with atomic_folder(_cached()) as target, tarfile.open(package) as archive:
        (target / "dist").mkdir()
        for name in ("package.json", *(f"dist/{name}" for name in FILES)):
            # The hash says that they are there.
            with cast("IO[bytes]", archive.extractfile(f"package/{name}")) as file:
                (target / name).write_bytes(file.read())

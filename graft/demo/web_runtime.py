"""The files of onnxruntime-web that the page needs: installed, in the cache, or fetched once by npm."""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

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
        GraftError: The package has not these files, or it cannot be fetched.
    """
    candidates = [package] if package is not None else [_installed(), _cached()]
    source = next((folder for folder in candidates if _is_complete(folder)), None)
    if source is None and package is not None:
        message = f"{printable(str(package))} is not the package onnxruntime-web: it has no dist/{FILES[0]}."
        raise GraftError(message)
    for name in FILES:
        shutil.copyfile((source or _fetch()) / "dist" / name, target / name)


def _installed() -> Path:
    return Path(sys.prefix) / "node" / "node_modules" / "onnxruntime-web"


def _cached() -> Path:
    return cache_folder() / "npm" / f"onnxruntime-web-{VERSION}"


def _is_complete(package: Path) -> bool:
    return all((package / "dist" / name).is_file() for name in FILES)


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
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packages) != 1:
            reason = printable(" ".join(done.stderr.split())[-300:])
            message = f"npm cannot fetch onnxruntime-web {VERSION}: {reason}. Give its folder with --runtime."
            raise GraftError(message)
        digest = base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
        if digest != SHA512:
            message = f"onnxruntime-web {VERSION} from npm has another SHA-512 than the published one: {digest}."
            raise GraftError(message)
        with atomic_folder(_cached()) as target, tarfile.open(packages[0]) as archive:
            (target / "dist").mkdir()
            for name in FILES:
                content = archive.extractfile(f"package/dist/{name}")
                if content is None:
                    message = f"onnxruntime-web {VERSION} from npm has no dist/{name}."
                    raise GraftError(message)
                (target / "dist" / name).write_bytes(content.read())
    return _cached()
